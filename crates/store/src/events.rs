//! What other systems told Berth, as it came. Nobody reads it but the flow that understands it, and operators.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::{EventId, FlowId, TenantId, event::EventStep};

use sqlx::PgConnection;

use crate::{
    db::{Db, SystemTx},
    error::{StoreError, json},
    flows::{self, NewFlow},
};

/// Kind of the flow that understands an event; its subject is the event.
pub const EVENT: &str = "event";

/// An event that was just received.
#[derive(Debug, Clone, Copy)]
pub struct NewEvent<'a> {
    /// Its id here.
    pub id: EventId,
    /// Its id at its sender: the same for every time that it is sent.
    pub name: &'a str,
    /// Its sender's word for what happened; at most 100 bytes.
    pub kind: &'a str,
    /// Whether it is about real money.
    pub is_live: bool,
    /// As it came, at most 1 MiB.
    pub body: &'a [u8],
}

/// Keeps an event and starts the flow that understands it, in one round trip and a transaction of its own. `false`: it is
/// kept already.
pub async fn keep_at_once(db: &Db, event: &NewEvent<'_>, flow: FlowId) -> Result<bool, StoreError> {
    let is_new = insert(&mut *db.lend().await?, event, flow, db.trace()).await?;
    if is_new {
        db.tell_work();
    }
    Ok(is_new)
}

/// The same within a transaction.
pub async fn keep(tx: &mut SystemTx, event: &NewEvent<'_>, flow: FlowId) -> Result<bool, StoreError> {
    let trace = tx.trace();
    let is_new = insert(tx.conn(), event, flow, trace).await?;
    if is_new {
        tx.note_work();
    }
    Ok(is_new)
}

async fn insert(
    conn: &mut PgConnection,
    event: &NewEvent<'_>,
    flow: FlowId,
    trace: Option<String>,
) -> Result<bool, StoreError> {
    let step = EventStep::Read;
    let is_new = sqlx::query_scalar!(
        r#"select berth.keep_event($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) as "is_new!""#,
        event.id.uuid(),
        event.name,
        event.kind,
        event.is_live,
        event.body,
        flow.uuid(),
        EVENT,
        json(&step)?,
        step.deadline().as_secs_f64(),
        trace,
    );
    Ok(is_new.fetch_one(conn).await?)
}

/// Those of Stripe's events with these names that are here, each with the tenant it turned out to be about.
pub async fn here(tx: &mut SystemTx, names: &[&str]) -> Result<HashMap<String, Option<TenantId>>, StoreError> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let rows = sqlx::query!("select name, tenant_id from events where sender = 'stripe' and name = any ($1)", &names)
        .fetch_all(tx.conn())
        .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.tenant_id.map(TenantId::from_uuid))).collect())
}

/// Has an event understood once more, or, where that is under way, at once. `false`: there is no such event.
///
/// The event is locked first, as by the step that reads it: while a flow is there, what it wrote or will write stands.
pub async fn read_again(tx: &mut SystemTx, id: EventId, flow: FlowId, signal: &str) -> Result<bool, StoreError> {
    let there = sqlx::query_scalar!(r#"select 1 as "one!" from events where id = $1 for no key update"#, id.uuid());
    if there.fetch_optional(tx.conn()).await?.is_none() {
        return Ok(false);
    }
    let under_way = sqlx::query_scalar!(
        r#"select exists (select from flows where kind = $1 and subject = $2) as "is!""#,
        EVENT,
        id.uuid(),
    );
    if under_way.fetch_one(tx.conn()).await? {
        flows::signal_house(tx, EVENT, &[id.uuid()], signal).await?;
        return Ok(true);
    }
    sqlx::query!("update events set read_at = null, outcome = null where id = $1", id.uuid())
        .execute(tx.conn())
        .await?;
    let step = EventStep::Read;
    let deadline = Some(step.deadline());
    flows::start_house(tx, &NewFlow { id: flow, kind: EVENT, subject: id.uuid(), step: json(&step)?, deadline })
        .await?;
    Ok(true)
}

/// An event that nobody has understood yet, locked: its body, and when it came.
pub async fn unread(tx: &mut SystemTx, id: EventId) -> Result<Option<(Vec<u8>, DateTime<Utc>)>, StoreError> {
    let row = sqlx::query!(
        "select body, received_at from events where id = $1 and read_at is null for no key update",
        id.uuid()
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| (row.body, row.received_at)))
}

/// Writes down what came of an event, in words without secrets, at most 300 characters.
pub async fn read(tx: &mut SystemTx, id: EventId, outcome: &str, tenant: Option<TenantId>) -> Result<(), StoreError> {
    sqlx::query!(
        "update events set read_at = berth.now(), outcome = left($2, 300), tenant_id = $3
         where id = $1 and read_at is null",
        id.uuid(),
        outcome,
        tenant.map(TenantId::uuid),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
