//! Sweeps: one look at every machine.

use serde_json::Value;
use uuid::Uuid;

use crate::{db::SystemTx, error::StoreError};

/// Asks for a sweep, or joins the one under way. Returns its id and whether it is new.
pub async fn ask(tx: &mut SystemTx, fresh: Uuid) -> Result<(Uuid, bool), StoreError> {
    let inserted = sqlx::query_scalar!(
        "insert into sweeps (id) values ($1) on conflict ((true)) where ended_at is null do nothing returning id",
        fresh,
    )
    .fetch_optional(tx.conn())
    .await?;
    if let Some(id) = inserted {
        return Ok((id, true));
    }
    let id = sqlx::query_scalar!("select id from sweeps where ended_at is null").fetch_optional(tx.conn()).await?;
    // It may have ended between the two statements: then the caller's own id is asked about and found absent.
    Ok((id.unwrap_or(fresh), false))
}

/// Writes what a sweep found. Twice is once.
pub async fn end(tx: &mut SystemTx, id: Uuid, counts: &Value) -> Result<(), StoreError> {
    sqlx::query!(
        "update sweeps set ended_at = berth.now(), counts = $2 where id = $1 and ended_at is null",
        id,
        counts,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What a sweep found, once it ended.
pub async fn counts(tx: &mut SystemTx, id: Uuid) -> Result<Option<Value>, StoreError> {
    let counts = sqlx::query_scalar!("select counts from sweeps where id = $1 and ended_at is not null", id)
        .fetch_optional(tx.conn())
        .await?;
    Ok(counts.flatten())
}
