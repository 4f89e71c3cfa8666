//! Sweeps: one look at every machine.

use serde_json::Value;
use uuid::Uuid;

use crate::{db::SystemTx, error::StoreError};

/// Asks for a sweep, or joins the one under way. Returns its id and whether it is new.
pub async fn ask(tx: &mut SystemTx, fresh: Uuid) -> Result<(Uuid, bool), StoreError> {
    // Should the running one end between the two statements, the second round starts a new one.
    for _ in 0..2 {
        if let Some(found) = ask_once(tx, fresh).await? {
            return Ok(found);
        }
    }
    Ok((fresh, false))
}

async fn ask_once(tx: &mut SystemTx, fresh: Uuid) -> Result<Option<(Uuid, bool)>, StoreError> {
    let inserted = sqlx::query_scalar!(
        "insert into sweeps (id) values ($1) on conflict ((true)) where ended_at is null do nothing returning id",
        fresh,
    )
    .fetch_optional(tx.conn())
    .await?;
    if let Some(id) = inserted {
        return Ok(Some((id, true)));
    }
    let id = sqlx::query_scalar!("select id from sweeps where ended_at is null").fetch_optional(tx.conn()).await?;
    Ok(id.map(|id| (id, false)))
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
