//! Schedules: when jobs run by themselves. Whoever moves a row on owns that tick.

use chrono::{DateTime, Utc};
use domain::{
    UserId,
    job::{CatchUp, Job},
};

use crate::{db::SystemTx, error::StoreError};

/// A job's schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// [`Job::name`].
    pub job: String,
    /// A cron expression, in UTC.
    pub cron: String,
    /// Whether it runs by itself.
    pub enabled: bool,
    /// [`CatchUp::name`].
    pub catch_up: String,
    /// Its next tick.
    pub next_at: DateTime<Utc>,
    /// Its last tick that started a run.
    pub last_at: Option<DateTime<Utc>>,
}

/// Gives a job its first schedule; one that has a schedule keeps it.
pub async fn plant(
    tx: &mut SystemTx,
    job: Job,
    cron: &str,
    catch_up: CatchUp,
    next_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into schedules (job, cron, catch_up, next_at) values ($1, $2, $3, $4) on conflict (job) do nothing",
        job.name(),
        cron,
        catch_up.name(),
        next_at,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The schedules whose tick has come, locked: nobody else gets them until this transaction ends.
pub async fn due(tx: &mut SystemTx) -> Result<Vec<Schedule>, StoreError> {
    Ok(sqlx::query_as!(
        Schedule,
        "select job, cron, enabled, catch_up, next_at, last_at
         from schedules
         where enabled and next_at <= berth.now()
         order by next_at
         for update skip locked"
    )
    .fetch_all(tx.conn())
    .await?)
}

/// Moves a schedule on to its next tick; `ran` says whether this one started a run.
pub async fn move_on(tx: &mut SystemTx, job: &str, next_at: DateTime<Utc>, ran: bool) -> Result<(), StoreError> {
    sqlx::query!(
        "update schedules set next_at = $2, last_at = case when $3 then berth.now() else last_at end where job = $1",
        job,
        next_at,
        ran,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A job's schedule, locked: no tick and nobody else changes it until this transaction ends.
pub async fn hold(tx: &mut SystemTx, job: Job) -> Result<Option<Schedule>, StoreError> {
    Ok(sqlx::query_as!(
        Schedule,
        "select job, cron, enabled, catch_up, next_at, last_at from schedules where job = $1 for update",
        job.name(),
    )
    .fetch_optional(tx.conn())
    .await?)
}

/// Sets when a job runs, and who said so.
pub async fn set(tx: &mut SystemTx, schedule: &Schedule, by: UserId) -> Result<(), StoreError> {
    sqlx::query!(
        "update schedules
         set cron = $2, enabled = $3, catch_up = $4, next_at = $5, updated_at = berth.now(), updated_by = $6
         where job = $1",
        schedule.job,
        schedule.cron,
        schedule.enabled,
        schedule.catch_up,
        schedule.next_at,
        by.uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Every schedule.
pub async fn all(tx: &mut SystemTx) -> Result<Vec<Schedule>, StoreError> {
    Ok(sqlx::query_as!(Schedule, "select job, cron, enabled, catch_up, next_at, last_at from schedules order by job")
        .fetch_all(tx.conn())
        .await?)
}
