//! `/api/admin/v1/schedules`

use app::jobs::{RunJobError, ScheduleChange, ScheduleError};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, Utc};
use domain::{
    FlowId,
    job::{CatchUp, Job},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{
    Db, SystemTx,
    job_views::{JobRun, ScheduleView as Schedule},
};
use uuid::Uuid;

use crate::{
    api::{
        admin::{self, Listed},
        agents::sentence,
    },
    body::{self, AtJob, Query},
    guard::Operator,
    problem::Problem,
    state::Dice,
};

/// How many times to come are told.
pub(crate) const TIMES_TOLD: usize = 3;

#[derive(Debug, Serialize)]
pub(crate) struct Schedules {
    schedules: Vec<ScheduleView>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Runs {
    runs: Vec<RunView>,
}

/// When a job runs by itself, and its newest run.
#[derive(Debug, Serialize)]
pub(crate) struct ScheduleView {
    job: String,
    does: &'static str,
    cron: String,
    in_words: Option<String>,
    enabled: bool,
    catch_up: String,
    next: Vec<DateTime<Utc>>,
    last_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
    updated_by: Option<String>,
    run: Option<RunView>,
}

/// A run of a job.
#[derive(Debug, Serialize)]
pub(crate) struct RunView {
    id: Uuid,
    job: String,
    state: &'static str,
    asked_by: String,
    operator: Option<String>,
    asked_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    took_ms: i64,
    counts: Option<Value>,
    flow: Option<FlowId>,
}

impl ScheduleView {
    fn new(row: Schedule, run: Option<JobRun>) -> Self {
        Self {
            does: does(&row.job),
            in_words: app::jobs::in_words(&row.cron),
            next: app::jobs::next_ticks(&row.cron, row.now, TIMES_TOLD),
            job: row.job,
            cron: row.cron,
            enabled: row.enabled,
            catch_up: row.catch_up,
            last_at: row.last_at,
            updated_at: row.updated_at,
            updated_by: row.updated_by,
            run: run.map(RunView::from),
        }
    }
}

impl From<JobRun> for RunView {
    fn from(run: JobRun) -> Self {
        Self {
            took_ms: run.took_ms(),
            id: run.id,
            state: if run.ended_at.is_some() { "ended" } else { "running" },
            job: run.job,
            asked_by: run.asked_by,
            operator: run.operator,
            asked_at: run.asked_at,
            ended_at: run.ended_at,
            counts: run.counts,
            flow: run.flow,
        }
    }
}

/// What a job does. A job of a newer build is not known here.
pub(crate) fn does(job: &str) -> &'static str {
    Job::parse(job).map_or("A job of a newer Berth", Job::sentence)
}

/// What shall be different; what is left out stays as it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    cron: Option<String>,
    enabled: Option<bool>,
    catch_up: Option<CatchUp>,
}

pub(crate) async fn list(State(db): State<Db>, _: Operator) -> Result<Json<Schedules>, Problem> {
    let mut tx = db.system().await?;
    Ok(Json(Schedules { schedules: read(&mut tx).await? }))
}

pub(crate) async fn change(
    State(db): State<Db>,
    by: Operator,
    AtJob(job): AtJob,
    body::Json(change): body::Json<Change>,
) -> Result<Json<ScheduleView>, Problem> {
    let wish = ScheduleChange { cron: change.cron.as_deref(), enabled: change.enabled, catch_up: change.catch_up };
    let mut tx = db.system().await?;
    app::jobs::set_schedule(&mut tx, job, wish, by.caller()).await?;
    tx.commit().await?;
    let mut tx = db.system().await?;
    let all = read(&mut tx).await?;
    let one = all.into_iter().find(|schedule| schedule.job == job.name());
    Ok(Json(one.ok_or_else(Problem::not_found)?))
}

pub(crate) async fn runs(
    State(db): State<Db>,
    _: Operator,
    AtJob(job): AtJob,
    query: Query,
) -> Result<Json<Listed<Runs>>, Problem> {
    let limit = admin::limit(&query)?;
    let after = admin::filter(&query, "after", "the id of a run")?;
    let mut tx = db.system().await?;
    let rows = store::job_views::runs(&mut tx, job, after, limit + 1).await?;
    let path = format!("/api/admin/v1/schedules/{}/runs", job.name());
    let (rows, next) = admin::page(rows, limit, (&path, &query), |run| run.id);
    Ok(Json(Listed { entries: Runs { runs: rows.into_iter().map(RunView::from).collect() }, next }))
}

pub(crate) async fn run(
    State(db): State<Db>,
    State(dice): State<Dice>,
    by: Operator,
    AtJob(job): AtJob,
) -> Result<Response, Problem> {
    let mut tx = db.system().await?;
    let id = app::jobs::run_now(&mut tx, &*dice.0, job, by.caller()).await?;
    let run = store::job_views::run(&mut tx, id).await?;
    tx.commit().await?;
    // `None`: the run under way ended, and its row went, between two statements; asking again begins another.
    let run =
        run.map(RunView::from).ok_or_else(|| Problem::conflict("run-ended", "That run just ended. Ask again."))?;
    Ok((StatusCode::ACCEPTED, Json(run)).into_response())
}

async fn read(tx: &mut SystemTx) -> Result<Vec<ScheduleView>, Problem> {
    let schedules = store::job_views::schedules(tx).await?;
    let mut runs = store::job_views::latest(tx, 1).await?;
    let mut of = |job: &str| runs.iter().position(|run| run.job == job).map(|at| runs.swap_remove(at));
    Ok(schedules
        .into_iter()
        .map(|schedule| {
            let run = of(&schedule.job);
            ScheduleView::new(schedule, run)
        })
        .collect())
}

impl From<RunJobError> for Problem {
    fn from(error: RunJobError) -> Self {
        match error {
            RunJobError::Forbidden => Self::not_allowed(sentence(&error)),
            RunJobError::Store(error) => error.into(),
        }
    }
}

impl From<ScheduleError> for Problem {
    fn from(error: ScheduleError) -> Self {
        match error {
            ScheduleError::Forbidden => Self::not_allowed(sentence(&error)),
            ScheduleError::Cron { .. } => Self::unusable("cron", sentence(&error)),
            ScheduleError::Unknown => Self::conflict("no-schedule", sentence(&error)),
            ScheduleError::Store(error) => error.into(),
        }
    }
}
