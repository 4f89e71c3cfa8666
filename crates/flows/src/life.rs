//! An agent's life: reserve → create → await → hello → apply → prove → live, rest, and the way out.
//!
//! The steps are data in `domain::life`; here is what they do. [`run`] decides what
//! pre-empts a step (removal, a missed deadline, a changed wish) and hands over
//! to one function a step.

mod answer;
mod making;
mod rest;

use std::time::{Duration, Instant};

use app::agents::signal;
use chrono::{DateTime, Utc};
use domain::{
    AgentId, MachineId, TenantId,
    agent::{Agent, Seen, Wanted},
    alert::AlertKind,
    life::Life,
    timeline::Happening,
};
use store::{
    agents::{Chosen, Observation},
    flows::Claim,
    machines::Machine,
};

use crate::{
    World,
    deliver::Wish,
    machine::On,
    outcome::{HouseWrite, Next, Outcome, Step, StepError, TenantWrite},
};

/// How long a resting step sleeps when nobody wakes it.
const REST: Duration = Duration::from_hours(1);

/// What a step of this flow knows.
pub(crate) struct Here<'a> {
    world: &'a World,
    claim: &'a Claim,
    agent: Agent,
    chosen: Wish,
    machine: Option<Machine>,
    began: Instant,
}

/// Runs one step.
///
/// # Errors
/// [`StepError::Retry`] only: whatever is stuck ends in the step `failed`.
pub async fn run(world: &World, claim: &Claim) -> Result<Outcome, StepError> {
    let step: Life = serde_json::from_value(claim.step.clone())
        .map_err(|_| StepError::retry("this build cannot read the flow's step"))?;
    let Some(here) = look(world, claim, &step).await? else { return Ok(Outcome::next(Next::Done)) };
    if claim.removal_asked && !matches!(step, Life::Remove { .. }) {
        return Ok(here.go(&step, step.teardown()).heard());
    }
    if let Life::Remove { machine } = step {
        // Never given up, whatever happens: a machine may still cost money.
        return Ok(here.remove(machine).await.unwrap_or_else(|error| here.removal_stuck(machine, &error)));
    }
    // A wish before the deadline: giving up hears it, and whoever asked to stop has a machine that runs on.
    if let Some(instead) = here.wished_instead(&step) {
        return Ok(here.go(&step, instead).heard());
    }
    if claim.overdue {
        return Ok(here.overdue(&step));
    }
    match here.take(step.clone()).await {
        Err(StepError::Stuck { why, alert }) => Ok(here.give_up(&step, &why, alert)),
        other => other,
    }
}

/// Reads the agent and its machine. `None`: the agent is gone, and its flow with it.
async fn look<'a>(world: &'a World, claim: &'a Claim, step: &Life) -> Result<Option<Here<'a>>, StepError> {
    let began = Instant::now();
    let tenant: TenantId = claim.tenant.ok_or_else(|| StepError::retry("an agent's flow has no tenant"))?;
    let mut tx = world.db.system().await?;
    let machine = match step.machine() {
        Some(machine) => store::machines::by_id(&mut tx, machine).await?,
        // A spare may have been taken by a run of `reserve` that was never written down.
        None => store::machines::of_agent(&mut tx, AgentId::from_uuid(claim.subject)).await?,
    };
    let mut tx = tx.into_tenant(tenant).await?;
    let found = store::agents::with_choices(&mut tx, AgentId::from_uuid(claim.subject)).await?;
    let here = |Chosen { agent, choices, credentials, bots }| {
        let chosen = Wish { choices, bots, of: Some((tenant, agent.id)), credentials };
        Here { world, claim, agent, chosen, machine, began }
    };
    Ok(found.map(here))
}

impl Here<'_> {
    async fn take(&self, step: Life) -> Result<Outcome, StepError> {
        match step {
            Life::Reserve => self.reserve().await,
            Life::Create { machine } => self.create(machine).await,
            Life::Await { machine } => self.wait_for_guest(machine).await,
            Life::Hello { machine } => self.hello(machine).await,
            Life::Apply { machine } => self.apply(machine).await,
            Life::Prove { machine, tries } => self.prove(machine, tries).await,
            Life::Live { machine } => Ok(self.live(machine)),
            Life::Recover { machine, looks } => self.recover(machine, looks).await,
            Life::Stop { machine } => self.stop(machine).await,
            Life::Stopped { machine } => Ok(self.stopped(machine)),
            Life::Start { machine } => self.start(machine).await,
            Life::Restart { machine } => self.restart(machine).await,
            Life::Failed { machine, why } => Ok(self.failed(machine, why)),
            Life::Remove { machine } => self.remove(machine).await,
        }
    }

    /// What the tenant wants now, where it is not what this step is for.
    fn wished_instead(&self, step: &Life) -> Option<Life> {
        let machine = step.machine()?;
        match (self.agent.wanted, step) {
            (
                Wanted::Stopped,
                Life::Await { .. }
                | Life::Hello { .. }
                | Life::Apply { .. }
                | Life::Prove { .. }
                | Life::Live { .. }
                | Life::Recover { .. }
                | Life::Start { .. }
                | Life::Restart { .. },
            ) => Some(Life::Stop { machine }),
            // Where Berth gave up, each wish is tried once; and what was never made cannot be stopped.
            (Wanted::Stopped, Life::Failed { .. }) if self.asked(signal::WANTED) && self.was_made() => {
                Some(Life::Stop { machine })
            }
            (Wanted::Running, Life::Stopped { .. }) => Some(Life::Start { machine }),
            // Wanted gone comes as removal; everything else is on its way already.
            (Wanted::Gone | Wanted::Running | Wanted::Stopped, _) => None,
        }
    }

    fn overdue(&self, step: &Life) -> Outcome {
        let minutes = step.deadline().unwrap_or_default().as_secs().div_ceil(60);
        let why = format!(
            "{} did not end within {minutes} minutes. Retry, or delete the agent; nothing was lost.",
            Life::sentence(step.name()),
        );
        self.give_up(step, &why, AlertKind::FlowFailed)
    }

    /// Tries again in a while. Once the deadline is over, or where waiting does not help, a person is told.
    fn removal_stuck(&self, machine: Option<MachineId>, error: &StepError) -> Outcome {
        let hopeless = matches!(error, StepError::Stuck { .. });
        tracing::warn!(agent = %self.agent.id, error = error as &dyn std::error::Error, "a removal will be tried again");
        let pause = if hopeless || self.claim.overdue { Duration::from_mins(1) } else { Duration::from_secs(3) };
        let outcome = Outcome::next(Next::Wait(stored(&Life::Remove { machine }), pause));
        if !hopeless && !self.claim.overdue {
            return outcome;
        }
        outcome.house(HouseWrite::Alert {
            key: format!("{}:{}", AlertKind::RemovalStuck.name(), self.agent.id),
            kind: AlertKind::RemovalStuck,
            subject: self.agent.id.to_string(),
            message: format!("the removal of {} does not end: {error}", self.agent.id),
        })
    }

    /// Ends in `failed`, with the sentence for the tenant and an alert for the operator.
    fn give_up(&self, step: &Life, why: &str, kind: AlertKind) -> Outcome {
        tracing::error!(agent = %self.agent.id, step = step.name(), why, "an agent's flow needs a person");
        let subject = match (kind, step.machine()) {
            (AlertKind::HostKeyChanged, Some(machine)) => machine.to_string(),
            _ => self.agent.id.to_string(),
        };
        let alert = HouseWrite::Alert {
            key: format!("{}:{}", kind.name(), self.agent.id),
            kind,
            subject,
            message: format!("{} gave up at {}: {why}", self.agent.id, step.name()),
        };
        let failed = Life::Failed { machine: step.machine(), why: why.to_owned() };
        let seen = Seen::Failed { since: self.now(), why: why.to_owned() };
        self.see(Outcome::next(Next::Wait(stored(&failed), REST)).heard(), seen).house(alert)
    }

    /// The database's clock when the step was claimed, and how long the step has run since: a step may take minutes.
    fn now(&self) -> DateTime<Utc> {
        self.claim.now + self.began.elapsed()
    }

    /// Moves on at once, saying so on the timeline.
    #[expect(clippy::needless_pass_by_value, reason = "callers build the next step in place")]
    fn go(&self, from: &Life, to: Life) -> Outcome {
        let mut said = Vec::new();
        let rests = |step: &Life| step.deadline().is_none();
        if !rests(from) && from.name() != to.name() && !matches!(to, Life::Failed { .. }) {
            let took_ms = (self.now() - self.claim.step_since).num_milliseconds();
            said.push(Happening::StepEnded { step: from.name().to_owned(), took_ms });
        }
        if !rests(&to) && from.name() != to.name() {
            said.push(Happening::StepStarted { step: to.name().to_owned() });
        }
        // A wish that came before this claim wakes nobody any more: where it leads on at once, there is no rest.
        // So does a change of what the machine is given, which came while an older one was brought there, and a
        // rotation whose turn has come.
        let is_live = matches!(to, Life::Live { .. });
        let is_due = is_live && (self.is_stale() || self.rotation_is_due());
        let sleeps = rests(&to) && self.wished_instead(&to).is_none() && !is_due;
        let rest = if is_live { self.rest() } else { REST };
        let next = if sleeps { Next::Wait(stored(&to), rest) } else { Next::Go(stored(&to)) };
        let outcome = Outcome::next(next);
        if said.is_empty() { outcome } else { outcome.tenant(TenantWrite::Say(self.agent.id, said)) }
    }

    /// Also writes a state of the agent, if it is another one than before.
    fn see(&self, outcome: Outcome, seen: Seen) -> Outcome {
        if self.agent.seen.name() == seen.name() && self.agent.seen.why() == seen.why() {
            return outcome;
        }
        let observation = Observation { seen: Some(seen.clone()), ..Observation::default() };
        outcome
            .tenant(TenantWrite::Observe(self.agent.id, Box::new(observation)))
            .tenant(TenantWrite::Say(self.agent.id, vec![Happening::Seen { seen }]))
    }

    /// The machine's row. A row that is gone while a step needs it is a fault that a person must see.
    fn row(&self, machine: MachineId) -> Result<&Machine, StepError> {
        self.machine.as_ref().ok_or_else(|| {
            StepError::stuck(
                format!("the machine {machine} is gone from the database. Delete the agent and create it anew."),
                AlertKind::MachineMismatch,
            )
        })
    }

    fn on(&self, machine: MachineId) -> Result<On<'_>, StepError> {
        Ok(On { world: self.world, claim: self.claim, row: self.row(machine)? })
    }

    /// Whether the provider ever had the machine.
    fn was_made(&self) -> bool {
        self.machine.as_ref().is_some_and(|row| row.state == "made")
    }

    /// Every alert about this agent: what was wrong was seen to be right, or is gone with it.
    fn close_alerts(&self) -> HouseWrite {
        HouseWrite::CloseAlerts(
            AlertKind::EVERY.iter().map(|kind| format!("{}:{}", kind.name(), self.agent.id)).collect(),
        )
    }

    fn asked(&self, what: &str) -> bool {
        self.claim.hears(what)
    }
}

/// Stays in this step for a while, or until woken.
fn wait(step: &Life, pause: Duration) -> Outcome {
    Outcome::next(Next::Wait(stored(step), pause)).heard()
}

/// A step as the runner stores it.
pub(crate) fn stored(step: &Life) -> Step {
    Step { name: step.name(), value: serde_json::json!(step), deadline: step.deadline() }
}
