//! Writes down together what ended together, where a step leaves nothing behind but where its flow goes on.
//!
//! Every commit waits for the disk. While one does, what ends meanwhile is
//! gathered, and the next commit has all of it: nobody waits longer for that,
//! and a worker settles many times as many steps. A step with writes of its own
//! keeps its own transaction, so that no flow waits for another one's locks.

use std::{collections::HashSet, time::Duration};

use domain::FlowId;
use store::{
    StoreError,
    flows::{Claim, Settle},
    settling,
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    World,
    outcome::{Next, Outcome, Step},
    runner::{Ran, name},
};

/// Most flows in one transaction.
const TOGETHER: usize = 64;

/// What a step left behind.
pub(crate) enum Left {
    /// The flow goes on there.
    There(Settle),
    /// The flow has ended, and no other waits for it.
    Nothing,
}

struct Entry {
    claim: Claim,
    left: Left,
    written: oneshot::Sender<Result<bool, StoreError>>,
}

/// Takes what is to be written down. Ends when it is dropped, after what it was given.
pub(crate) struct Settler(mpsc::UnboundedSender<Entry>);

impl Settler {
    pub(crate) fn start(world: World) -> Self {
        let (give, given) = mpsc::unbounded_channel();
        tokio::spawn(write(world, given));
        Self(give)
    }

    /// Returns once it is committed. `false`: the lease was lost, and nothing was written.
    pub(crate) async fn settle(&self, claim: Claim, left: Left) -> Result<bool, StoreError> {
        let (written, answer) = oneshot::channel();
        self.0.send(Entry { claim, left, written }).ok();
        // Without an answer nobody knows whether it was written. The lease decides: it runs out, or it was given back.
        answer.await.unwrap_or(Ok(false))
    }
}

/// What is left behind by a step that stays where it is, or ends, and writes nothing else.
pub(crate) fn alone(claim: &Claim, outcome: &Outcome, ran: Ran) -> Option<Left> {
    if !outcome.house.is_empty() || !outcome.tenant.is_empty() {
        return None;
    }
    match &outcome.next {
        Next::Done if claim.has_parent() => None,
        Next::Done => Some(Left::Nothing),
        // A step that was left is remembered with the time it took.
        Next::Go(step) | Next::Wait(step, _) if moved(claim, step) => None,
        Next::Go(step) => Some(Left::There(to(claim, step, Duration::ZERO, ran, outcome))),
        Next::Wait(step, pause) => Some(Left::There(to(claim, step, *pause, ran, outcome))),
    }
}

/// How the flow's row is written.
pub(crate) fn to(claim: &Claim, step: &Step, pause: Duration, ran: Ran, outcome: &Outcome) -> Settle {
    Settle {
        step: step.value.clone(),
        pause,
        moved: moved(claim, step),
        deadline: step.deadline,
        failed: ran == Ran::Failed,
        heard: outcome.heard,
    }
}

/// Whether the flow goes to another step.
pub(crate) fn moved(claim: &Claim, next: &Step) -> bool {
    name(&claim.step) != name(&next.value)
}

async fn write(world: World, mut given: mpsc::UnboundedReceiver<Entry>) {
    let mut entries = Vec::new();
    while given.recv_many(&mut entries, TOGETHER).await > 0 {
        match together(&world, &entries).await {
            Ok(kept) => {
                for entry in entries.drain(..) {
                    entry.written.send(Ok(kept.contains(&entry.claim.flow))).ok();
                }
            }
            // One that cannot be written must not keep the others from it: each by itself.
            Err(_) => {
                for entry in entries.drain(..) {
                    let alone = together(&world, std::slice::from_ref(&entry)).await;
                    entry.written.send(alone.map(|kept| kept.contains(&entry.claim.flow))).ok();
                }
            }
        }
    }
}

async fn together(world: &World, entries: &[Entry]) -> Result<HashSet<FlowId>, StoreError> {
    let mut ended = Vec::new();
    let mut settled = Vec::new();
    for Entry { claim, left, .. } in entries {
        match left {
            Left::Nothing => ended.push(claim),
            Left::There(settle) => settled.push((claim, settle)),
        }
    }
    let mut tx = world.db.system().await?;
    let mut kept = HashSet::new();
    if !ended.is_empty() {
        kept = settling::finish_all(&mut tx, &ended).await?;
    }
    if !settled.is_empty() {
        kept.extend(settling::settle_all(&mut tx, &settled).await?);
    }
    tx.commit().await?;
    Ok(kept)
}
