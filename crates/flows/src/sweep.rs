//! One look at every machine: who answers, who does not, who is a stranger.
//!
//! A sweep only looks. What it finds wrong it tells the agent's own flow, which
//! looks again before it does anything; machines that no row knows are an alert,
//! never a deletion.

use std::{collections::BTreeSet, time::Duration};

use app::agents::{LIFE, signal};
use domain::{
    alert::AlertKind,
    machine::MachineName,
    protocol::{Ask, Gateway, Reply},
};
use futures::{StreamExt as _, stream};
use serde_json::json;
use store::{flows::Claim, machines::Machine};

use crate::{
    World,
    outcome::{HouseWrite, Next, Outcome, StepError},
    runner::name,
};

/// Machines asked at once.
const AT_ONCE: usize = 32;
/// A machine that can be reached answers within this.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// What was found of one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Its gateway is ready.
    Ready,
    /// It is being made, stopped, or on its way out: not looked at.
    Resting,
    /// It answers, its gateway is not ready.
    NotReady,
    /// It does not answer.
    Silent,
}

/// Runs the sweep.
///
/// # Errors
/// [`StepError::Retry`] only.
pub async fn run(world: &World, claim: &Claim) -> Result<Outcome, StepError> {
    if claim.overdue {
        let counts = json!({ "error": "the sweep did not end in time" });
        return Ok(Outcome::next(Next::Done).house(HouseWrite::SweepEnded(claim.subject, counts)));
    }
    let (machines, live) = known(world).await?;
    let found: Vec<(Machine, Found)> = stream::iter(machines)
        .map(|machine| {
            let expected = machine.agent.is_some_and(|agent| live.contains(&agent.uuid()));
            async move {
                let found = if expected { look(world, claim, &machine).await } else { Found::Resting };
                (machine, found)
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;

    let count = |what: Found| found.iter().filter(|(_, f)| *f == what).count();
    let listed = world.provider.list().await;
    let strangers: Vec<MachineName> = match &listed {
        Ok(listed) => {
            let ours: BTreeSet<MachineName> = found.iter().map(|(machine, _)| MachineName::of(machine.id)).collect();
            listed.iter().map(|sighting| sighting.name.clone()).filter(|name| !ours.contains(name)).collect()
        }
        Err(_) => Vec::new(),
    };
    let counts = json!({
        "machines": found.len(),
        "ready": count(Found::Ready),
        "not_ready": count(Found::NotReady),
        "silent": count(Found::Silent),
        "resting": count(Found::Resting),
        "strangers": strangers.len(),
        "provider": if listed.is_ok() { "listed" } else { "unknown" },
    });
    let mut outcome = Outcome::next(Next::Done).house(HouseWrite::SweepEnded(claim.subject, counts));
    for (machine, found) in &found {
        if let (Found::NotReady | Found::Silent, Some(agent)) = (found, machine.agent) {
            outcome = outcome.house(HouseWrite::Signal(LIFE, agent.uuid(), signal::LOOK));
        }
    }
    if listed.is_ok() {
        let keys = strangers.iter().map(|stranger| format!("{}:{stranger}", AlertKind::MachineMismatch.name()));
        outcome = outcome.house(HouseWrite::CloseStrangersBut(keys.collect()));
    }
    for stranger in strangers {
        tracing::warn!(machine = %stranger, "the provider holds a machine of ours that no row knows");
        outcome = outcome.house(HouseWrite::Alert {
            key: format!("{}:{stranger}", AlertKind::MachineMismatch.name()),
            kind: AlertKind::MachineMismatch,
            subject: stranger.to_string(),
            message: format!("the provider holds {stranger}, which is ours and which no row knows"),
        });
    }
    Ok(outcome)
}

/// The machines that are not gone, and the agents whose flow rests in `live`.
async fn known(world: &World) -> Result<(Vec<Machine>, BTreeSet<uuid::Uuid>), StepError> {
    let mut tx = world.db.system().await?;
    let machines = store::machines::living(&mut tx).await?;
    let flows = store::flows::all(&mut tx).await?;
    let live = flows.into_iter().filter(|flow| flow.kind == LIFE && name(&flow.step) == "live");
    Ok((machines, live.map(|flow| flow.subject).collect()))
}

async fn look(world: &World, claim: &Claim, machine: &Machine) -> Found {
    match world.ask(machine, claim.now, Ask::Status, LOOK_MAX).await {
        Ok(Reply::Status(status)) if status.gateway == Gateway::Ready => Found::Ready,
        Ok(_) => Found::NotReady,
        Err(_) => Found::Silent,
    }
}
