//! In which order rows are locked: a flow before what it is about.
//!
//! Settling a step locks the flow first, because only the lease's token says
//! whether anything may be written at all, and the agent after it. Whoever wants
//! to change an agent and wake its flow does the same, or the two wait for each
//! other until Postgres ends one of them.

use uuid::Uuid;

use crate::{
    db::{SystemTx, TenantTx},
    error::StoreError,
};

/// Locks a tenant's flow until this transaction ends; to be called before the row that it is about is locked.
/// A flow that is gone is no error: then nobody settles it either.
pub async fn flow_first(tx: &mut TenantTx, kind: &str, subject: Uuid) -> Result<(), StoreError> {
    let tenant = tx.tenant();
    let conn = tx.enter_house().await?;
    sqlx::query!(
        "select id from flows where kind = $1 and subject = $2 and tenant_id = $3 for update",
        kind,
        subject,
        tenant.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    tx.leave_house().await
}

/// The same of a flow of the house.
pub async fn house_flow_first(tx: &mut SystemTx, kind: &str, subject: Uuid) -> Result<(), StoreError> {
    sqlx::query!("select id from flows where kind = $1 and subject = $2 for update", kind, subject)
        .fetch_optional(tx.conn())
        .await?;
    Ok(())
}
