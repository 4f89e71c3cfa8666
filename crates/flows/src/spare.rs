//! A spare machine's life: made, configured and warmed before anybody asks; then claimed or retired.
//!
//! The steps are data in `domain::spare`. A claim deletes the spare's row and
//! names the agent in the machine's, in one statement; retirement begins by
//! taking the row out of a claim's reach. Whichever comes first wins, so a
//! machine on its way out is never given to anybody.

use std::time::Duration;

use app::machines::SPARE;
use domain::{
    MachineId,
    alert::AlertKind,
    protocol::{Ask, Gateway, Reply},
    spare::Spare,
};
use store::{flows::Claim, machines::Machine};

use crate::{
    World,
    deliver::Wish,
    machine::{On, nonce},
    outcome::{HouseFlow, HouseWrite, Next, Outcome, Step, StepError},
};

/// The signal that a spare has an agent now.
pub const CLAIMED: &str = "claimed";
/// The signal that a spare is not wanted any more.
pub const RETIRE: &str = "retire";

/// How long to sleep while the machine starts, if it does not call first.
const NET: Duration = Duration::from_secs(2);
/// How often a ready spare is looked at when no sweep complains.
const REST: Duration = Duration::from_hours(1);

/// A flow for a machine that was just reserved.
pub(crate) fn begin(world: &World, machine: MachineId) -> HouseFlow {
    let step = stored(&Spare::Create);
    HouseFlow {
        id: domain::entropy::mint(world.entropy.as_ref()),
        kind: SPARE,
        subject: machine.uuid(),
        step: step.value,
        deadline: step.deadline,
    }
}

/// Runs one step.
///
/// # Errors
/// [`StepError::Retry`] only: a spare that is stuck is retired.
pub async fn run(world: &World, claim: &Claim) -> Result<Outcome, StepError> {
    let step: Spare = serde_json::from_value(claim.step.clone())
        .map_err(|_| StepError::retry("this build cannot read the flow's step"))?;
    let machine = MachineId::from_uuid(claim.subject);
    let mut tx = world.db.system().await?;
    let row = store::machines::by_id(&mut tx, machine).await?;
    drop(tx);
    // Gone, or somebody's: then its agent's own flow looks after it.
    let Some(row) = row.filter(|row| row.agent.is_none()) else {
        return Ok(Outcome::next(Next::Done).house(HouseWrite::SpareForgotten(machine)));
    };
    let here = Here { world, claim, row: &row };
    if let Spare::Retire { .. } = step {
        return Ok(here.retire().await.unwrap_or_else(|error| here.retirement_stuck(&step, &error)));
    }
    if claim.overdue {
        return Ok(here.give_up(&step, "it took too long"));
    }
    if claim.hears(RETIRE) {
        return Ok(go(&Spare::Retire { why: "it is not wanted any more".to_owned() }).heard());
    }
    match here.take(&step).await {
        Err(StepError::Stuck { why, .. }) => Ok(here.give_up(&step, &why)),
        other => other,
    }
}

struct Here<'a> {
    world: &'a World,
    claim: &'a Claim,
    row: &'a Machine,
}

impl Here<'_> {
    async fn take(&self, step: &Spare) -> Result<Outcome, StepError> {
        let on = On { world: self.world, claim: self.claim, row: self.row };
        let machine = self.row.id;
        match step {
            Spare::Create => {
                let sighting = on.make().await?;
                Ok(go(&Spare::Await).house(HouseWrite::Made(machine, sighting.address)))
            }
            Spare::Await if on.answers().await? => Ok(go(&Spare::Hello)),
            Spare::Hello => match on.meet().await? {
                Some(hello) => Ok(go(&Spare::Apply).house(HouseWrite::Hello(machine, hello)).heard()),
                None => Ok(wait(step, NET)),
            },
            Spare::Apply => {
                let configured = on.configure(&Wish::default()).await?;
                Ok(go(&Spare::Warm).house(HouseWrite::InForce(machine, configured.in_force)))
            }
            Spare::Warm => match on.prove(&nonce(self.world), "berth-warm".to_owned()).await {
                Ok(_) => Ok(wait(&Spare::Ready, REST)
                    .house(HouseWrite::SpareReady(machine))
                    .house(HouseWrite::CloseAlerts(vec![LOW.to_owned()]))),
                Err(error) => Err(StepError::retry(error.to_string())),
            },
            Spare::Ready => self.look(&on).await,
            Spare::Await | Spare::Retire { .. } => Ok(wait(step, NET)),
        }
    }

    /// A spare that does not answer is not mended: another one is made.
    async fn look(&self, on: &On<'_>) -> Result<Outcome, StepError> {
        for _ in 0..2 {
            let answer = on.ask(Ask::Status, Duration::from_secs(5)).await;
            if matches!(answer, Ok(Reply::Status(status)) if status.gateway == Gateway::Ready) {
                return Ok(wait(&Spare::Ready, REST));
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(go(&Spare::Retire { why: "it did not answer".to_owned() }).heard())
    }

    /// Out of every claim's reach first, then destroyed.
    async fn retire(&self) -> Result<Outcome, StepError> {
        let mut tx = self.world.db.system().await?;
        // The spare before its flow, as whoever claims it locks them.
        let ours =
            store::spares::retire(&mut tx, self.row.id).await? && store::flows::hold(&mut tx, self.claim).await?;
        if ours {
            tx.commit().await?;
        } else {
            // Claimed in the last moment: it is an agent's machine now.
            return Ok(Outcome::next(Next::Done));
        }
        On { world: self.world, claim: self.claim, row: self.row }.destroy().await?;
        Ok(Outcome::next(Next::Done)
            .house(HouseWrite::Gone(self.row.id))
            .house(HouseWrite::SpareForgotten(self.row.id))
            .house(HouseWrite::CloseAlerts(vec![self.stuck_key()])))
    }

    /// Never given up: the machine may still cost money.
    fn retirement_stuck(&self, step: &Spare, error: &StepError) -> Outcome {
        tracing::warn!(machine = %self.row.id, error = error as &dyn std::error::Error, "a retirement will be tried again");
        let hopeless = matches!(error, StepError::Stuck { .. }) || self.claim.overdue;
        if !hopeless {
            return wait(step, Duration::from_secs(3));
        }
        wait(step, Duration::from_mins(1)).house(HouseWrite::Alert {
            key: self.stuck_key(),
            kind: AlertKind::RemovalStuck,
            subject: self.row.id.to_string(),
            message: format!("the retirement of the spare {} does not end: {error}", self.row.id),
        })
    }

    fn stuck_key(&self) -> String {
        format!("{}:{}", AlertKind::RemovalStuck.name(), self.row.id)
    }

    fn give_up(&self, step: &Spare, why: &str) -> Outcome {
        tracing::warn!(machine = %self.row.id, step = step.name(), why, "a spare is given up");
        go(&Spare::Retire { why: why.to_owned() }).heard().house(HouseWrite::Alert {
            key: LOW.to_owned(),
            kind: AlertKind::PoolLow,
            subject: self.row.id.to_string(),
            message: format!("a spare machine was given up at {}: {why}", step.name()),
        })
    }
}

/// The one alert about the pool; closed by the next spare that becomes ready.
pub(crate) const LOW: &str = "pool_low";

fn go(step: &Spare) -> Outcome {
    Outcome::next(Next::Go(stored(step)))
}

fn wait(step: &Spare, pause: Duration) -> Outcome {
    Outcome::next(Next::Wait(stored(step), pause)).heard()
}

fn stored(step: &Spare) -> Step {
    Step { name: step.name(), value: serde_json::to_value(step).unwrap_or_default(), deadline: step.deadline() }
}
