//! Making a machine, and destroying it.

use std::time::Duration;

use app::machines::SPARE;
use domain::{
    MachineId,
    agent::Seen,
    job::{AskedBy, Job},
    life::Life,
    machine::{MachineFacts, MachineName},
    protocol::Ask,
    timeline::Happening,
};
use store::{agents::Observation, machines::Machine};

use super::Here;
use crate::{
    deliver,
    machine::{absent, provider},
    outcome::{HouseWrite, Next, Outcome, StepError, TenantWrite},
    spare::CLAIMED,
};

impl Here<'_> {
    /// Takes a spare, or reserves a machine to be made.
    pub(super) async fn reserve(&self) -> Result<Outcome, StepError> {
        match self.take_spare().await? {
            Some(spare) => Ok(self.taken(&spare)),
            None => self.reserve_new(),
        }
    }

    /// A spare that is this agent's from now on. Run twice, the second run finds what the first one took.
    async fn take_spare(&self) -> Result<Option<Machine>, StepError> {
        if self.machine.is_some() || !self.world.machines.pool.is_kept() {
            return Ok(self.machine.clone());
        }
        let tenant = self.claim.tenant.ok_or_else(|| StepError::retry("an agent's flow has no tenant"))?;
        let mut tx = self.world.db.system().await?;
        if !store::flows::hold(&mut tx, self.claim).await? {
            return Err(StepError::retry("another worker has this flow now"));
        }
        let image = &self.world.machines.image;
        let taken = store::spares::claim(&mut tx, tenant, self.agent.id, image).await?;
        // Refilled on the claim, not at the next tick.
        app::jobs::ask(&mut tx, self.world.entropy.as_ref(), Job::Pool, AskedBy::Berth).await?;
        let spare = match taken {
            Some(machine) => {
                store::flows::signal_house(&mut tx, SPARE, &[machine.uuid()], CLAIMED).await?;
                store::machines::by_id(&mut tx, machine).await?
            }
            None => None,
        };
        tx.commit().await?;
        Ok(spare)
    }

    /// Where there is a pool, the page says whether it had a machine: without one it takes longer.
    fn found(&self, spare: bool, mut outcome: Outcome) -> Outcome {
        if self.world.machines.pool.is_kept() {
            let said = TenantWrite::Say(self.agent.id, vec![Happening::MachineTaken { spare }]);
            outcome.tenant.insert(0, said);
        }
        outcome
    }

    /// It runs, its gateway is ready and warm: only the agent's own configuration is missing.
    fn taken(&self, spare: &Machine) -> Outcome {
        let machine = spare.id;
        let facts = MachineFacts {
            id: machine,
            isolation: spare.isolation,
            image: spare.image.clone(),
            openclaw: spare.guest.as_ref().map(|hello| hello.openclaw.clone()),
            created_at: spare.created_at,
            keys_replaced_at: None,
        };
        let observation = Observation { machine: Some(facts), ..Observation::default() };
        let outcome = self
            .found(true, self.go(&Life::Reserve, Life::Apply { machine }))
            .tenant(TenantWrite::Observe(self.agent.id, Box::new(observation)));
        self.see(outcome, Seen::Configuring { since: self.now() })
    }

    /// The id and the keys are committed with the next step, before anything exists outside.
    fn reserve_new(&self) -> Result<Outcome, StepError> {
        let reservation = deliver::reservation(self.world, Some(self.agent.id))?;
        let machine = reservation.id;
        let facts = MachineFacts {
            id: machine,
            isolation: self.world.provider.isolation(),
            image: self.world.machines.image.clone(),
            openclaw: None,
            created_at: self.claim.now,
            keys_replaced_at: None,
        };
        let observation = Observation { machine: Some(facts), ..Observation::default() };
        Ok(self
            .found(false, self.go(&Life::Reserve, Life::Create { machine }))
            .house(HouseWrite::Reserve(Box::new(reservation)))
            .tenant(TenantWrite::Observe(self.agent.id, Box::new(observation))))
    }

    /// Finds the machine by its name, or makes it with its files and starts it.
    pub(super) async fn create(&self, machine: MachineId) -> Result<Outcome, StepError> {
        let sighting = self.on(machine)?.make().await?;
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
        if let Some(row) = &self.machine {
            // Also one that the step does not name: a spare taken in the moment before.
            self.on(row.id)?.destroy().await?;
            outcome = outcome.house(HouseWrite::Gone(row.id));
        } else if let Some(machine) = machine {
            self.world.provider.remove(&MachineName::of(machine)).await.map_err(provider)?;
        }
        Ok(outcome.house(self.close_alerts()).tenant(TenantWrite::ForgetAgent(self.agent.id)))
    }

    pub(super) fn preparing(&self, outcome: Outcome) -> Outcome {
        self.see(outcome, Seen::Preparing { since: self.now() })
    }
}
