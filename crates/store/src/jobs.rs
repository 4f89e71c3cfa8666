//! Runs of jobs: at most one of each job is under way.

use domain::{
    UserId,
    job::{AskedBy, Job},
};
use serde_json::Value;
use uuid::Uuid;

use crate::{db::SystemTx, error::StoreError};

/// Who asks for a run, and on whose word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    /// Schedule, cron, operator or Berth itself.
    pub by: AskedBy,
    /// Which operator.
    pub operator: Option<UserId>,
}

/// Asks for a run, or joins the one under way. Returns its id and whether it is new.
pub async fn ask(tx: &mut SystemTx, job: Job, asker: Asker, fresh: Uuid) -> Result<(Uuid, bool), StoreError> {
    // Should the running one end between the two statements, the second round starts a new one.
    for _ in 0..2 {
        if let Some(found) = ask_once(tx, job, asker, fresh).await? {
            return Ok(found);
        }
    }
    Ok((fresh, false))
}

async fn ask_once(tx: &mut SystemTx, job: Job, asker: Asker, fresh: Uuid) -> Result<Option<(Uuid, bool)>, StoreError> {
    let inserted = sqlx::query_scalar!(
        "insert into job_runs (id, job, asked_by, operator_id) values ($1, $2, $3, $4)
         on conflict (job) where ended_at is null do nothing
         returning id",
        fresh,
        job.name(),
        asker.by.name(),
        asker.operator.map(UserId::uuid),
    )
    .fetch_optional(tx.conn())
    .await?;
    if let Some(id) = inserted {
        return Ok(Some((id, true)));
    }
    let id = sqlx::query_scalar!("select id from job_runs where job = $1 and ended_at is null", job.name())
        .fetch_optional(tx.conn())
        .await?;
    Ok(id.map(|id| (id, false)))
}

/// Writes what a run did. Twice is once.
pub async fn end(tx: &mut SystemTx, run: Uuid, counts: &Value) -> Result<(), StoreError> {
    sqlx::query!(
        "update job_runs set ended_at = berth.now(), counts = $2 where id = $1 and ended_at is null",
        run,
        counts,
    )
    .execute(tx.conn())
    .await?;
    tx.touch(run);
    Ok(())
}

/// What a run did, once it ended.
pub async fn counts(tx: &mut SystemTx, run: Uuid) -> Result<Option<Value>, StoreError> {
    let counts = sqlx::query_scalar!("select counts from job_runs where id = $1 and ended_at is not null", run)
        .fetch_optional(tx.conn())
        .await?;
    Ok(counts.flatten())
}
