//! From one master key to another: every data key is wrapped anew, and the old key retires when nothing is left.
//!
//! Nothing that tenants gave is touched, opened or sealed: only the keys around it. Each batch is a transaction of
//! its own; a process that dies leaves whole batches, and the next one goes on with what is left.

use std::time::Duration;

use app::keys::{KeyTrouble, ROTATION};
use domain::{
    alert::AlertKind,
    audit::{Act, Actor},
    rotation::Rotation,
};
use store::{
    SystemTx,
    flows::Claim,
    keys::{Older, Retired, Wrapped},
};
use vault::{KeyId, Owner, Place};

use crate::{
    World,
    outcome::{HouseWrite, Next, Outcome, Step, StepError},
};

/// Data keys of one transaction.
const BATCH: i64 = 200;
/// How long to wait before what is left is looked at again.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs one step.
///
/// # Errors
/// [`StepError::Retry`] and the database only: a rotation is never given up, it waits for a worker with the right keys.
pub async fn run(world: &World, claim: &Claim) -> Result<Outcome, StepError> {
    let step: Rotation = serde_json::from_value(claim.step.clone())
        .map_err(|_| StepError::retry("this build cannot read the flow's step"))?;
    let to = KeyId(claim.subject.into_bytes());
    let outcome = match step {
        Rotation::Rewrap => rewrap(world, to).await,
        Rotation::Retire => retire(world, to).await,
    };
    match outcome {
        Err(error) if claim.overdue => {
            tracing::error!(key = %to, error = &error as &dyn std::error::Error, "a rotation does not end");
            Ok(Outcome::next(Next::Wait(stored(step), Duration::from_mins(1))).house(stuck(to, &error)))
        }
        other => other,
    }
}

/// Batch after batch, until nothing is wrapped under another key.
async fn rewrap(world: &World, to: KeyId) -> Result<Outcome, StepError> {
    loop {
        let mut tx = world.db.system().await?;
        let batch = store::keys::not_under(&mut tx, to, BATCH).await?;
        let older = store::keys::older(&mut tx, BATCH).await?;
        if batch.is_empty() && older.is_empty() {
            return Ok(Outcome::next(Next::Go(stored(Rotation::Retire))));
        }
        let mut anew = Vec::with_capacity(batch.len());
        for Wrapped { id, owner, wrapped } in &batch {
            let wrapped = world.ring.rewrap(to, world.entropy.as_ref(), (*owner, *id), wrapped);
            anew.push((*id, wrapped.map_err(KeyTrouble::Open)?));
        }
        store::keys::rewrap(&mut tx, &anew).await?;
        for one in &older {
            reseal(world, &mut tx, one).await?;
        }
        tx.commit().await?;
        tracing::info!(key = %to, wrapped = anew.len(), resealed = older.len(), "wrapped anew");
    }
}

/// A value that an older Berth sealed directly under a master key gets the house's own.
async fn reseal(world: &World, tx: &mut SystemTx, older: &Older) -> Result<(), StepError> {
    let place = Place { owner: Owner::House, table: &older.table, column: &older.column, row: older.row };
    let opened = world.ring.open(&place, &older.value).map_err(KeyTrouble::Open)?;
    let anew = world.ring.seal(world.entropy.as_ref(), &place, &opened).map_err(KeyTrouble::Open)?;
    Ok(store::keys::reseal(tx, older, &anew).await?)
}

/// Counts what is left under another key, with whoever wraps at this moment kept waiting.
async fn retire(world: &World, to: KeyId) -> Result<Outcome, StepError> {
    let mut tx = world.db.system().await?;
    match store::keys::retire(&mut tx).await? {
        Retired::Left(left) => {
            tracing::info!(key = %to, left, "keys are left under the old master key");
            return Ok(Outcome::next(Next::Wait(stored(Rotation::Rewrap), AGAIN)));
        }
        Retired::Now => {
            app::audit::record_house_by(&mut tx, Actor::berth(), Act::KeysRetire, &to, &[]).await?;
            tx.commit().await?;
            tracing::info!(key = %to, "the master key before this one is retired");
        }
        Retired::Already => {}
    }
    Ok(Outcome::next(Next::Done).house(HouseWrite::CloseAlerts(vec![alert_key(to)])))
}

fn stuck(to: KeyId, error: &StepError) -> HouseWrite {
    HouseWrite::Alert {
        key: alert_key(to),
        kind: AlertKind::FlowFailed,
        subject: to.to_string(),
        message: format!("the rotation to the master key {to} does not end: {error}"),
    }
}

fn alert_key(to: KeyId) -> String {
    format!("{ROTATION}:{to}")
}

fn stored(step: Rotation) -> Step {
    Step { name: step.name(), value: serde_json::json!(step), deadline: Some(step.deadline()) }
}
