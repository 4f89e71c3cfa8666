//! Another gateway token and another machine key, for a machine that goes on running.
//!
//! A rotation rides on an ordinary delivery, so nothing is asked of a machine by two flows, and whatever keeps a
//! delivery (a machine that is away, one that is stopped) keeps a rotation too. Its lines, in this order:
//! 1. the next token and key are made, sealed and committed beside those in force, under the next fence ([`take_along`]);
//! 2. the machine seals what it keeps under the next key ([`begun`]), so that nothing newer is ever sealed under the old;
//! 3. the delivery brings the next token; the guest asks the gateway with it alone, and says what is in force;
//! 4. the machine is asked once more whether the next key is its own ([`ended`]), now that nothing older gets in;
//! 5. the settled step puts both in the place of the old ones, which are nowhere any more.
//!
//! Whoever dies between two of these leaves a machine that holds the one or the other of two keys that both lie here,
//! and the same delivery, run again, sends the same next ones and goes on.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{
    MachineId,
    protocol::{Refusal, Reply},
};
use store::{
    SystemTx,
    machine_rotations::{KeysNow, NextKeys, Rotation, Taken, begin, keys},
    machines::Machine,
};

use crate::{
    World, deliver,
    machine::{On, trouble},
    outcome::StepError,
    world::AskError,
};

/// A guest seals a few files anew: milliseconds, where its disk is well.
const REKEY_PATIENCE: Duration = Duration::from_secs(10);

/// When a machine's token and key are to be replaced: when somebody asked for it and its turn comes, or when they have
/// become old. `None`: not in sight.
pub(crate) fn due_at(world: &World, machine: &Machine) -> Option<DateTime<Utc>> {
    due(world, machine.id, &machine.rotation)
}

fn due(world: &World, machine: MachineId, rotation: &Rotation) -> Option<DateTime<Utc>> {
    let old = world.machines.keys_age_max.map(|age| rotation.token_made_at + age + spread(age, machine));
    rotation.due_at.into_iter().chain(old).min()
}

/// Up to a tenth more for some machines than for others, so that those made on one day do not rotate in one hour.
fn spread(age: Duration, machine: MachineId) -> Duration {
    let [.., last] = machine.uuid().into_bytes();
    age / 10 / 256 * u32::from(last)
}

/// The keys that a delivery takes along, once its fence is taken in this transaction: where a rotation is due, its next
/// ones are made now and lie in the row before anything is sent.
pub(crate) async fn take_along(
    tx: &mut SystemTx,
    on: &On<'_>,
    fence: u64,
    may_begin: bool,
) -> Result<(u64, KeysNow), StepError> {
    let machine = on.row.id;
    let mut now = keys(tx, machine).await?;
    let is_due = due(on.world, machine, &now.rotation).is_some_and(|due| due <= on.claim.now);
    if now.next.is_some() || !may_begin || !is_due {
        return Ok((fence, now));
    }
    let next = deliver::next_keys(on.world, machine)?;
    let fence = begin(tx, machine, &next).await?;
    now.next = Some(next);
    tracing::info!(%machine, fence, "the next gateway token and machine key are made");
    Ok((fence, now))
}

/// What a machine did with its next key.
#[derive(Debug)]
enum Rekeying {
    /// It seals under it, and nothing else opens there.
    Done,
    /// Its guest is older than the verb: it keeps the key that it was made with.
    Unknown,
    /// It could not, for now.
    NotYet(String),
}

/// Gives the machine its next key, before anything newer is sealed there.
pub(crate) async fn begun(on: &On<'_>, fence: u64, keys: &KeysNow) -> Result<(), StepError> {
    // One that could not is asked again in the end.
    if let Some(next) = &keys.next
        && let Rekeying::NotYet(why) = rekey(on, fence, next).await?
    {
        tracing::warn!(machine = %on.row.id, why, "the machine does not change its key yet");
    }
    Ok(())
}

/// The same key again is success.
async fn rekey(on: &On<'_>, fence: u64, next: &NextKeys) -> Result<Rekeying, StepError> {
    let (ask, id) = deliver::rekey(on.world, on.row.id, fence, next)?;
    match on.ask(ask, REKEY_PATIENCE).await {
        Ok(Reply::Rekeyed(done)) if done.key == id => Ok(Rekeying::Done),
        Ok(_) => Err(AskError::Other.into()),
        Err(AskError::Guest(Refusal::Malformed { why })) => {
            tracing::warn!(machine = %on.row.id, why, "this machine's guest cannot change its machine key");
            Ok(Rekeying::Unknown)
        }
        // What it keeps does not open: the delivery that follows puts something else there.
        Err(AskError::Guest(Refusal::Broken { why })) => Ok(Rekeying::NotYet(why)),
        Err(error) => Err(trouble(on.row.id, error)),
    }
}

/// The delivery is in force with the next token, and whatever was sent under an older fence is refused from now on: the
/// key that the machine has now is the one that it keeps.
pub(crate) async fn ended(on: &On<'_>, fence: u64, keys: &KeysNow) -> Result<Option<Taken>, StepError> {
    let Some(next) = &keys.next else { return Ok(None) };
    match rekey(on, fence, next).await? {
        Rekeying::Done => deliver::taken(on.world, on.row.id, next, true).map(Some),
        Rekeying::Unknown => deliver::taken(on.world, on.row.id, next, false).map(Some),
        Rekeying::NotYet(why) => Err(StepError::retry(format!("the machine could not change its key: {why}"))),
    }
}
