//! One look at every machine: who answers, who does not, who is a stranger.
//!
//! A sweep only looks. What it finds wrong it tells the machine's own flow,
//! which looks again before it does anything; machines that no row knows are an
//! alert, never a deletion. A large fleet is swept in slices, each a child flow
//! that any process may take. When too many machines are silent at once, the
//! fault is rather ours than theirs: nobody is told but the operator.
//!
//! How long it takes is decided by machines that let us wait, not by those that
//! answer: a dead one is waited for three times. So a slice goes on with others
//! meanwhile, and a fleet is cut into as many slices as a worker has seats for.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use app::{
    agents::{LIFE, signal},
    machines::SPARE,
};
use domain::{
    MachineId,
    alert::AlertKind,
    entropy::mint,
    machine::{Health, MachineName},
    protocol::{Ask, Gateway, Reply},
    sweep::{Found, Slice, Sweep},
};
use futures::{StreamExt as _, stream};
use serde_json::json;
use store::{
    fleet::{self, Expected},
    flows::{ChildFlow, Claim},
};
use tokio::sync::Semaphore;

use crate::{
    World,
    outcome::{HouseWrite, Next, Outcome, Step, StepError},
};

/// Kind of the flow that looks at one slice.
pub const SLICE: &str = "sweep_slice";
/// Slices of a fleet, where a slice's size allows it: as many as one worker runs at once (half of 32 seats).
const SLICES: u64 = 16;
/// Machines in a slice, at least: a small fleet is looked at in one step.
const SLICE_MIN: u32 = 500;
/// Machines in a slice, at most: looked at once each, all of them silent, it ends within a step's longest time.
const SLICE_MAX: u32 = 1700;
/// Machines of one slice that are asked or waited for at once.
const AT_ONCE: usize = 96;
/// Machines that one process asks at once: each is an open file, of which a process usually may have 1,024.
static LOOKS: Semaphore = Semaphore::const_new(768);
/// A machine that can be reached answers within this, also one that is busy.
const LOOK_MAX: Duration = Duration::from_millis(2500);
/// The two looks that follow a bad one wait less: together they decide how long a sweep takes.
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(2);
/// Before each of them.
const AGAIN: Duration = Duration::from_millis(500);
/// From so many on, and being more than half of a slice, bad ones are not looked at again.
const MANY: usize = 50;
/// Over how long a scheduled sweep spreads its slices.
const SPREAD: Duration = Duration::from_mins(3);
/// How long one slice may take, once it is due.
const SLICE_DEADLINE: Duration = Duration::from_mins(10);

/// Runs the sweep.
///
/// # Errors
/// [`StepError::Retry`] only.
pub async fn run(world: &World, claim: &Claim) -> Result<Outcome, StepError> {
    if claim.overdue {
        let counts = json!({ "error": "the sweep did not end in time" });
        return Ok(Outcome::next(Next::Done).house(HouseWrite::JobEnded(claim.subject, counts)));
    }
    let step: Sweep = serde_json::from_value(claim.step.clone())
        .map_err(|_| StepError::retry("this build cannot read the flow's step"))?;
    match step {
        Sweep::Spread { calm } => spread(world, claim, calm).await,
        Sweep::Gather if claim.children > 0 => Ok(Outcome::next(Next::Wait(gather(), Duration::from_mins(1))).heard()),
        Sweep::Gather => {
            let mut tx = world.db.system().await?;
            let results = store::flows::results(&mut tx, claim.flow).await?;
            drop(tx);
            let found = results.into_iter().filter_map(|result| serde_json::from_value::<Found>(result).ok());
            judge(world, claim, found.fold(Found::default(), Found::and)).await
        }
    }
}

/// Runs a slice.
///
/// # Errors
/// [`StepError::Retry`] only.
pub async fn run_slice(world: &World, claim: &Claim) -> Result<Outcome, StepError> {
    let Slice::Look { after, until } = serde_json::from_value(claim.step.clone())
        .map_err(|_| StepError::retry("this build cannot read the flow's step"))?;
    if claim.overdue {
        return Ok(Outcome::next(Next::Done));
    }
    let (found, health) = look_at(world, claim, after, until).await?;
    let mut outcome = Outcome::next(Next::Done).house(HouseWrite::Health(health));
    outcome.result = serde_json::to_value(&found).ok();
    Ok(outcome)
}

async fn spread(world: &World, claim: &Claim, calm: bool) -> Result<Outcome, StepError> {
    let mut tx = world.db.system().await?;
    let size = slice_size(fleet::living(&mut tx).await?);
    let ends = fleet::slices(&mut tx, size).await?;
    drop(tx);
    if ends.is_empty() {
        let (found, health) = look_at(world, claim, None, None).await?;
        return Ok(judge(world, claim, found).await?.house(HouseWrite::Health(health)));
    }
    let starts = std::iter::once(None).chain(ends.iter().copied().map(Some));
    let stops = ends.iter().copied().map(Some).chain(std::iter::once(None));
    let every = if calm { SPREAD / u32::try_from(ends.len() + 1).unwrap_or(u32::MAX) } else { Duration::ZERO };
    let mut outcome = Outcome::next(Next::Wait(gather(), Duration::from_mins(1)));
    for (n, (after, until)) in (0_u32..).zip(starts.zip(stops)) {
        let step = serde_json::to_value(Slice::Look { after, until }).unwrap_or_default();
        let child = ChildFlow {
            id: mint(world.entropy.as_ref()),
            kind: SLICE,
            subject: world.entropy.uuid(),
            step,
            after: every * n,
            deadline: SLICE_DEADLINE,
        };
        outcome = outcome.house(HouseWrite::Child(child));
    }
    Ok(outcome)
}

async fn look_at(
    world: &World,
    claim: &Claim,
    after: Option<MachineId>,
    until: Option<MachineId>,
) -> Result<(Found, Vec<(MachineId, Health)>), StepError> {
    let mut tx = world.db.system().await?;
    let slice = fleet::slice(&mut tx, after, until).await?;
    drop(tx);
    let tally = Tally::default();
    let looks = stream::iter(slice.expected).map(|expected| async {
        let verdict = verdict(world, claim, &expected, &tally).await;
        (expected, verdict)
    });
    let mut looks = std::pin::pin!(looks.buffer_unordered(AT_ONCE));
    let mut found = Found { machines: slice.machines, ..Found::default() };
    let mut healths = Vec::new();
    while let Some((expected, (health, certain))) = looks.next().await {
        found.looked_at += 1;
        match health {
            Health::Ready => found.ready += 1,
            Health::NotReady => found.not_ready += 1,
            Health::Silent => found.silent += 1,
        }
        // Of what is not certain, nothing is written and nobody is told; it counts for the brake.
        if !certain {
            continue;
        }
        healths.push((expected.id, health));
        match expected.agent {
            _ if health == Health::Ready => {}
            Some(agent) => found.agents.push(agent.uuid()),
            None => found.spares.push(expected.id.uuid()),
        }
    }
    Ok((found, healths))
}

/// How many machines a slice has, in a fleet of so many.
fn slice_size(machines: u64) -> u32 {
    u32::try_from(machines / SLICES + 1).unwrap_or(u32::MAX).clamp(SLICE_MIN, SLICE_MAX)
}

/// How a slice goes, while it goes.
#[derive(Debug, Default)]
struct Tally {
    looked: AtomicUsize,
    bad: AtomicUsize,
}

impl Tally {
    fn count(&self, first: Health) {
        self.looked.fetch_add(1, Ordering::Relaxed);
        if first != Health::Ready {
            self.bad.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// That many at once are rather our fault than theirs, and waiting for each of them three times takes too long.
    fn is_mostly_bad(&self) -> bool {
        let bad = self.bad.load(Ordering::Relaxed);
        bad >= MANY && bad * 2 > self.looked.load(Ordering::Relaxed)
    }
}

/// Bad news is looked at twice more before it is certain.
async fn verdict(world: &World, claim: &Claim, machine: &Expected, tally: &Tally) -> (Health, bool) {
    let mut health = look(world, claim, machine, LOOK_MAX).await;
    tally.count(health);
    for _ in 0..2 {
        if health == Health::Ready {
            break;
        }
        if tally.is_mostly_bad() {
            return (health, false);
        }
        tokio::time::sleep(AGAIN).await;
        health = look(world, claim, machine, LOOK_AGAIN_MAX).await;
    }
    (health, true)
}

async fn look(world: &World, claim: &Claim, machine: &Expected, longest: Duration) -> Health {
    // Closed never: an error cannot happen, and would only ask one machine more.
    let _room = LOOKS.acquire().await.ok();
    let whom = (machine.id, machine.address, machine.host_key.as_str());
    match world.ask_at(whom, claim.now, Ask::Status, longest).await {
        Ok(Reply::Status(status)) if status.gateway == Gateway::Ready => Health::Ready,
        Ok(_) => Health::NotReady,
        Err(_) => Health::Silent,
    }
}

/// Tells the flows of machines that do not answer, unless they are too many; and finds strangers.
async fn judge(world: &World, claim: &Claim, found: Found) -> Result<Outcome, StepError> {
    // First the provider's listing, then the rows: a machine's row is older than the machine, and one that was
    // destroyed meanwhile was not gone when this step was claimed.
    let listed = world.provider.list().await;
    let mut tx = world.db.system().await?;
    let rightful = fleet::rightful(&mut tx, claim.now).await?;
    drop(tx);
    let is_listed = listed.is_ok();
    let mut strangers: HashSet<MachineName> = listed.into_iter().flatten().map(|sighting| sighting.name).collect();
    for ours in rightful {
        strangers.remove(&MachineName::of(ours));
    }
    let braked = found.is_too_much();
    let counts = json!({
        "machines": found.machines,
        "ready": found.ready,
        "not_ready": found.not_ready,
        "silent": found.silent,
        "resting": found.machines.saturating_sub(found.looked_at),
        "strangers": strangers.len(),
        "provider": if is_listed { "listed" } else { "unknown" },
        "braked": braked,
    });
    let mut outcome = Outcome::next(Next::Done).house(HouseWrite::JobEnded(claim.subject, counts));
    outcome = if braked {
        outcome.house(HouseWrite::Alert {
            key: UNREACHABLE.to_owned(),
            kind: AlertKind::FleetUnreachable,
            subject: "fleet".to_owned(),
            message: format!(
                "{} of {} machines did not answer three times; nothing was done to them",
                found.not_ready + found.silent,
                found.looked_at
            ),
        })
    } else {
        outcome
            .house(HouseWrite::Signal(LIFE, found.agents, signal::LOOK))
            .house(HouseWrite::Signal(SPARE, found.spares, signal::LOOK))
            .house(HouseWrite::CloseAlerts(vec![UNREACHABLE.to_owned()]))
    };
    if is_listed {
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

const UNREACHABLE: &str = "fleet_unreachable";

fn gather() -> Step {
    Step { name: "gather", value: json!({ "step": "gather" }), deadline: Some(Duration::from_mins(10)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_is_cut_into_as_many_slices_as_run_at_once_while_their_size_allows_it() {
        for (machines, size) in [(0, 500), (1_101, 500), (10_000, 626), (27_000, 1_688), (100_000, 1_700)] {
            assert_eq!(slice_size(machines), size, "{machines}");
        }
        assert!(10_000 / u64::from(slice_size(10_000)) < SLICES);
    }

    #[test]
    fn a_slice_that_is_silent_altogether_ends_within_its_step() {
        let at_once = 768 / usize::try_from(SLICES).unwrap();
        let waits = (SLICE_MAX as usize + MANY * 2).div_ceil(at_once);
        assert!(LOOK_MAX * u32::try_from(waits).unwrap() < Duration::from_secs(100));
    }
}
