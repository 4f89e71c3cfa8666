//! What a scheduler outside may ask for, with the cron secret.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use serde_json::json;
use store::Db;
use tokio::time::{Instant, sleep};

use crate::{guard::CronCaller, problem::Problem, state::Dice};

/// Longest wait for a sweep; schedulers give up after a minute or more.
const SWEEP: Duration = Duration::from_secs(50);

/// Asks the workers for a look at every machine and answers with what they found.
pub(crate) async fn health(State(db): State<Db>, State(dice): State<Dice>, _: CronCaller) -> Result<Response, Problem> {
    let mut tx = db.system().await?;
    let id = app::sweeps::ask(&mut tx, &*dice.0).await?;
    tx.commit().await?;
    let end = Instant::now() + SWEEP;
    loop {
        let mut tx = db.system().await?;
        let counts = app::sweeps::counts(&mut tx, id).await?;
        drop(tx);
        if let Some(counts) = counts {
            return Ok(Json(json!({ "sweep": id, "state": "ended", "counts": counts })).into_response());
        }
        if Instant::now() >= end {
            let body = Json(json!({ "sweep": id, "state": "running" }));
            return Ok((StatusCode::ACCEPTED, body).into_response());
        }
        sleep(Duration::from_millis(100)).await;
    }
}
