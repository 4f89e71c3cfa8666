//! Making a machine, and destroying it.

use std::time::Duration;

use clients::provider::{Plan, ProviderError};
use domain::{
    MachineId,
    agent::Seen,
    alert::AlertKind,
    life::Life,
    machine::{MachineFacts, MachineName},
    protocol::Ask,
};
use store::agents::Observation;

use super::Here;
use crate::{
    deliver,
    outcome::{HouseWrite, Next, Outcome, StepError, TenantWrite},
};

impl Here<'_> {
    /// The id and the keys are committed with the next step, before anything exists outside.
    pub(super) fn reserve(&self) -> Outcome {
        let reservation = deliver::reservation(self.world, self.agent.id);
        let machine = reservation.id;
        let facts = MachineFacts {
            id: machine,
            isolation: self.world.provider.isolation(),
            image: self.world.machines.image.clone(),
            openclaw: None,
            created_at: self.claim.now,
        };
        let observation = Observation { machine: Some(facts), ..Observation::default() };
        self.go(&Life::Reserve, Life::Create { machine })
            .house(HouseWrite::Reserve(Box::new(reservation)))
            .tenant(TenantWrite::Observe(self.agent.id, Box::new(observation)))
    }

    /// Finds the machine by its name, or makes it with its files and starts it.
    pub(super) async fn create(&self, machine: MachineId) -> Result<Outcome, StepError> {
        let row = self.row(machine)?;
        let plan = Plan {
            name: MachineName::of(machine),
            machine,
            image: row.image.clone(),
            files: deliver::files(self.world, row)?,
            limits: self.world.machines.limits,
        };
        let sighting = self.world.provider.ensure(&plan).await.map_err(provider)?;
        let outcome = self.go(&Life::Create { machine }, Life::Await { machine });
        Ok(self.preparing(outcome).house(HouseWrite::Made(machine, sighting.address)))
    }

    /// Starts a machine that was stopped. It may come back at another address.
    pub(super) async fn start(&self, machine: MachineId) -> Result<Outcome, StepError> {
        let name = MachineName::of(machine);
        self.world.provider.start(&name).await.map_err(provider)?;
        let sighting = self.world.provider.look(&name).await.map_err(provider)?.ok_or_else(|| absent(machine))?;
        let outcome = self.go(&Life::Start { machine }, Life::Await { machine });
        Ok(self.preparing(outcome).house(HouseWrite::Made(machine, sighting.address)))
    }

    /// Lets the gateway end its work, then takes the power away. Data stays.
    pub(super) async fn stop(&self, machine: MachineId) -> Result<Outcome, StepError> {
        let row = self.row(machine)?;
        // The guest drains; a machine that does not answer is shut down by its provider all the same.
        if let Err(error) = self.world.ask(row, self.claim.now, Ask::Stop, Duration::from_mins(1)).await {
            tracing::info!(error = &error as &dyn std::error::Error, "the gateway was not stopped by its guest");
        }
        let stopped = self.world.provider.stop(&MachineName::of(machine), Duration::from_secs(30)).await;
        stopped.map_err(provider)?;
        let outcome = self.go(&Life::Stop { machine }, Life::Stopped { machine }).heard().house(self.close_alerts());
        Ok(self.see(outcome, Seen::Stopped { since: self.now() }))
    }

    /// Destroys the machine, sees that it is gone, then forgets the agent. Already gone is success.
    pub(super) async fn remove(&self, machine: Option<MachineId>) -> Result<Outcome, StepError> {
        if !matches!(self.agent.seen, Seen::Deleting { .. }) {
            let again = Next::Go(super::stored(&Life::Remove { machine }));
            return Ok(self.see(Outcome::next(again).heard(), Seen::Deleting { since: self.now() }));
        }
        let mut outcome = Outcome::next(Next::Done).heard();
        if let Some(machine) = machine {
            if let Some(row) = &self.machine {
                // A courtesy: the disk is destroyed next anyway, so no answer changes nothing.
                self.world.ask(row, self.claim.now, Ask::Wipe, Duration::from_secs(5)).await.ok();
            }
            self.world.provider.remove(&MachineName::of(machine)).await.map_err(provider)?;
            outcome = outcome.house(HouseWrite::Gone(machine));
        }
        Ok(outcome.house(self.close_alerts()).tenant(TenantWrite::ForgetAgent(self.agent.id)))
    }

    pub(super) fn preparing(&self, outcome: Outcome) -> Outcome {
        self.see(outcome, Seen::Preparing { since: self.now() })
    }
}

/// A provider's trouble as a step's: some pass by themselves, some need a person.
#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
pub(super) fn provider(error: ProviderError) -> StepError {
    match &error {
        // What exactly does not answer is the operator's to know.
        ProviderError::Unavailable { .. } => {
            tracing::warn!(error = %error, "the machine provider is not available");
            StepError::retry("the machine provider is not available; Berth goes on trying")
        }
        ProviderError::Busy => StepError::retry(error.to_string()),
        ProviderError::ImageMissing { .. } | ProviderError::Refused { .. } | ProviderError::Garbled { .. } => {
            StepError::stuck(format!("{error}. Retry once that is mended."), AlertKind::FlowFailed)
        }
    }
}

/// The provider says surely that a machine with data on it is not there.
pub(super) fn absent(machine: MachineId) -> StepError {
    StepError::stuck(
        format!("the machine {machine} is not at its provider any more. Delete the agent and create it anew."),
        AlertKind::MachineMismatch,
    )
}
