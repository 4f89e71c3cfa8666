//! Schedules and runs of jobs as an operator reads them. One statement each.

use chrono::{DateTime, Utc};
use domain::{FlowId, job::Job};
use serde_json::Value;
use uuid::Uuid;

use crate::{db::SystemTx, error::StoreError, house::id};

/// A job's schedule, and who changed it last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleView {
    /// [`Job::name`].
    pub job: String,
    /// A cron expression, in UTC.
    pub cron: String,
    /// Whether it runs by itself.
    pub enabled: bool,
    /// [`domain::job::CatchUp::name`].
    pub catch_up: String,
    /// Its last tick that started a run.
    pub last_at: Option<DateTime<Utc>>,
    /// When it was made or changed.
    pub updated_at: DateTime<Utc>,
    /// The address of who changed it; none while it is as it was made.
    pub updated_by: Option<String>,
    /// The database's time of looking.
    pub now: DateTime<Utc>,
}

/// A run of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRun {
    /// Which.
    pub id: Uuid,
    /// [`Job::name`].
    pub job: String,
    /// [`domain::job::AskedBy::name`].
    pub asked_by: String,
    /// The address of the operator who asked.
    pub operator: Option<String>,
    /// When it was asked for.
    pub asked_at: DateTime<Utc>,
    /// When it ended, if it has.
    pub ended_at: Option<DateTime<Utc>>,
    /// What it did.
    pub counts: Option<Value>,
    /// The flow that does it, until it ends.
    pub flow: Option<FlowId>,
    /// The database's time of looking.
    pub now: DateTime<Utc>,
}

impl JobRun {
    /// How long it took, or has taken so far, in milliseconds.
    #[must_use]
    pub fn took_ms(&self) -> i64 {
        (self.ended_at.unwrap_or(self.now) - self.asked_at).num_milliseconds().max(0)
    }
}

/// Every schedule, by the job's name.
pub async fn schedules(tx: &mut SystemTx) -> Result<Vec<ScheduleView>, StoreError> {
    Ok(sqlx::query_as!(
        ScheduleView,
        r#"select s.job, s.cron, s.enabled, s.catch_up, s.last_at, s.updated_at, u.email as "updated_by?",
                  berth.now() as "now!"
           from schedules s left join users u on u.id = s.updated_by
           order by s.job"#
    )
    .fetch_all(tx.conn())
    .await?)
}

/// The last `each` runs of every job that has a schedule, newest first within a job.
pub async fn latest(tx: &mut SystemTx, each: i64) -> Result<Vec<JobRun>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select r.id as "id!", r.job as "job!", r.asked_by as "asked_by!", u.email as "operator?",
                  r.asked_at as "asked_at!", r.ended_at, r.counts, f.id as "flow?", berth.now() as "now!"
           from schedules s
           cross join lateral (select * from job_runs where job = s.job order by asked_at desc limit $1) r
           left join users u on u.id = r.operator_id
           left join flows f on f.kind in ('sweep', 'refill', 'retention', 'reconciliation') and f.subject = r.id and r.ended_at is null
           order by r.job, r.asked_at desc"#,
        each,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Row::read).collect())
}

/// A page of a job's runs, newest first; after a run that was forgotten there is nothing.
pub async fn runs(tx: &mut SystemTx, job: Job, after: Option<Uuid>, limit: i64) -> Result<Vec<JobRun>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select r.id, r.job, r.asked_by, u.email as "operator?", r.asked_at, r.ended_at, r.counts, f.id as "flow?",
                  berth.now() as "now!"
           from job_runs r
           left join users u on u.id = r.operator_id
           left join flows f on f.kind in ('sweep', 'refill', 'retention', 'reconciliation') and f.subject = r.id and r.ended_at is null
           where r.job = $1
             and ($2::uuid is null or (r.asked_at, r.id) < (select asked_at, id from job_runs where id = $2))
           order by r.asked_at desc, r.id desc
           limit $3"#,
        job.name(),
        after,
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Row::read).collect())
}

/// One run.
pub async fn run(tx: &mut SystemTx, run: Uuid) -> Result<Option<JobRun>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"select r.id, r.job, r.asked_by, u.email as "operator?", r.asked_at, r.ended_at, r.counts, f.id as "flow?",
                  berth.now() as "now!"
           from job_runs r
           left join users u on u.id = r.operator_id
           left join flows f on f.kind in ('sweep', 'refill', 'retention', 'reconciliation') and f.subject = r.id and r.ended_at is null
           where r.id = $1"#,
        run,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Row::read))
}

struct Row {
    id: Uuid,
    job: String,
    asked_by: String,
    operator: Option<String>,
    asked_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    counts: Option<Value>,
    flow: Option<Uuid>,
    now: DateTime<Utc>,
}

impl Row {
    fn read(self) -> JobRun {
        JobRun {
            id: self.id,
            job: self.job,
            asked_by: self.asked_by,
            operator: self.operator,
            asked_at: self.asked_at,
            ended_at: self.ended_at,
            counts: self.counts,
            flow: id(self.flow),
            now: self.now,
        }
    }
}
