//! B3: claims flows of a kind whose step does nothing, and ends them. The runner is the real one.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use flows::{
    RunnerOptions, World,
    outcome::{Next, Outcome, StepError},
};
use futures::future::BoxFuture;
use sqlx::{Connection as _, PgConnection};
use store::flows::Claim;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{lines, lines::Failure, world};

/// Every step that was run, once each time.
static EFFECTS: Mutex<Vec<Uuid>> = Mutex::new(Vec::new());

/// How often the count is told while it grows.
const TOLD_EVERY: Duration = Duration::from_millis(20);

/// Works from `go` to `end`; then writes every effect to the table `ledger`.
pub(crate) async fn work(url: &str, ledger: &str, seats: usize, connections: u32) -> Result<(), Failure> {
    let world = world::on(url, connections).await?;
    let mut heard = lines::heard();
    lines::say("ready");
    lines::until(&mut heard, "go").await;
    let stop = CancellationToken::new();
    let carrying = tokio::spawn({
        let (db, me) = (world.db.clone(), world.entropy.uuid());
        async move { db.carry_signals(me).await }
    });
    let options = RunnerOptions { steps_max: seats, behaviour: nothing, ..RunnerOptions::default() };
    let running = tokio::spawn(flows::run(world, options, stop.clone()));
    let telling = tokio::spawn(tell());
    lines::until(&mut heard, "end").await;
    stop.cancel();
    running.await?;
    telling.abort();
    carrying.abort();
    let effects = std::mem::take(&mut *EFFECTS.lock().unwrap_or_else(PoisonError::into_inner));
    let mut ledger = PgConnection::connect(ledger).await?;
    sqlx::query("insert into ledger (job) select job::text from unnest($1::uuid[]) as job")
        .bind(&effects)
        .execute(&mut ledger)
        .await?;
    lines::say("written");
    Ok(())
}

fn nothing<'a>(_: &'a World, claim: &'a Claim) -> BoxFuture<'a, Result<Outcome, StepError>> {
    EFFECTS.lock().unwrap_or_else(PoisonError::into_inner).push(claim.flow.uuid());
    Box::pin(std::future::ready(Ok(Outcome::next(Next::Done))))
}

async fn tell() {
    let mut told = 0;
    loop {
        tokio::time::sleep(TOLD_EVERY).await;
        let so_far = EFFECTS.lock().unwrap_or_else(PoisonError::into_inner).len();
        if so_far != told {
            told = so_far;
            lines::say(&told.to_string());
        }
    }
}
