//! What a scheduler outside may ask for, with the cron secret.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use domain::job::{AskedBy, Job};
use http::StatusCode;
use serde_json::json;
use store::Db;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::{guard::CronCaller, problem::Problem, state::Dice};

/// Longest wait for a run; schedulers give up after a minute or more.
const LONGEST: Duration = Duration::from_secs(50);
/// The net below wake-ups that got lost.
const LOOK: Duration = Duration::from_secs(2);

/// Asks for a look at every machine and answers with what was found.
pub(crate) async fn health(db: State<Db>, dice: State<Dice>, by: CronCaller) -> Result<Response, Problem> {
    run(Job::Health, db, dice, by).await
}

/// Asks for the pool to be filled and answers with what was begun.
pub(crate) async fn pool(db: State<Db>, dice: State<Dice>, by: CronCaller) -> Result<Response, Problem> {
    run(Job::Pool, db, dice, by).await
}

/// Asks for what is kept for a while only to be forgotten and answers with how much was.
pub(crate) async fn retention(db: State<Db>, dice: State<Dice>, by: CronCaller) -> Result<Response, Problem> {
    run(Job::Retention, db, dice, by).await
}

/// Asks for payments to be compared with what stands at Stripe and answers with what was otherwise.
pub(crate) async fn billing(db: State<Db>, dice: State<Dice>, by: CronCaller) -> Result<Response, Problem> {
    run(Job::Billing, db, dice, by).await
}

/// The same work as the built-in schedule's: whoever asks while a run is under way joins it.
async fn run(job: Job, State(db): State<Db>, State(dice): State<Dice>, _: CronCaller) -> Result<Response, Problem> {
    let mut tx = db.system().await?;
    let id = app::jobs::ask(&mut tx, &*dice.0, job, AskedBy::Cron).await?;
    let mut watch = db.watch(id);
    tx.commit().await?;
    let end = Instant::now() + LONGEST;
    loop {
        if let Some(counts) = counts(&db, id).await? {
            let body = json!({ "job": job.name(), "run": id, "state": "ended", "counts": counts });
            return Ok(Json(body).into_response());
        }
        if Instant::now() >= end {
            let body = json!({ "job": job.name(), "run": id, "state": "running" });
            return Ok((StatusCode::ACCEPTED, Json(body)).into_response());
        }
        timeout_at(end.min(Instant::now() + LOOK), watch.changed()).await.ok();
    }
}

async fn counts(db: &Db, run: Uuid) -> Result<Option<serde_json::Value>, Problem> {
    let mut tx = db.system().await?;
    Ok(app::jobs::counts(&mut tx, run).await?)
}
