//! Alerts: a person is needed. Unique while open; each has a notice, the flow that tells somebody.

use domain::{
    AlertId, TenantId, UserId,
    alert::{AlertKind, Notice, Severity},
};

use crate::{
    db::SystemTx,
    error::{StoreError, json},
    notices::NOTICE,
};

/// What to tell a person.
#[derive(Debug)]
pub struct NewAlert<'a> {
    /// Used if this opens it.
    pub id: AlertId,
    /// The same trouble has the same key.
    pub key: &'a str,
    /// What it is about.
    pub kind: AlertKind,
    /// Whose trouble it is, if a tenant's.
    pub tenant: Option<TenantId>,
    /// The id of what it is about.
    pub subject: &'a str,
    /// A sentence without secrets.
    pub message: &'a str,
}

/// Opens an alert and starts its notice, or counts that the open one was seen again.
///
/// The notice carries the alert's uuid, so an alert has one at most; an open one without (an older
/// version of Berth opened it) gets its notice at the next sighting.
pub async fn open(tx: &mut SystemTx, alert: &NewAlert<'_>) -> Result<(), StoreError> {
    let first = Notice::Fire { firing: 1 };
    let started = sqlx::query!(
        "with sighted as (
             insert into alerts (id, key, kind, tenant_id, subject, message, severity)
             values ($1, $2, $3, $4, $5, $6, $7)
             on conflict (key) where closed_at is null
             do update set seen_at = berth.now(), sightings = alerts.sightings + 1, message = excluded.message
             returning id
         )
         insert into flows (id, kind, subject, step, deadline_at)
         select id, $8, id, $9, berth.now() + make_interval(secs => $10) from sighted
         on conflict (kind, subject) do nothing",
        alert.id.uuid(),
        alert.key,
        alert.kind.name(),
        alert.tenant.map(TenantId::uuid),
        alert.subject,
        alert.message,
        alert.kind.severity().name(),
        NOTICE,
        json(&first)?,
        first.deadline().map(|deadline| deadline.as_secs_f64()),
    )
    .execute(tx.conn())
    .await?;
    if started.rows_affected() > 0 {
        tx.note_work();
    }
    Ok(())
}

/// Closes whatever is open under these keys: what was wrong was seen to be right.
pub async fn close(tx: &mut SystemTx, keys: &[String]) -> Result<(), StoreError> {
    let woken = sqlx::query!(
        "with closed as (
             update alerts set closed_at = berth.now() where key = any ($1) and closed_at is null returning id
         )
         update flows set wakes = wakes + 1, run_at = least(run_at, berth.now())
         from closed where kind = $2 and subject = closed.id",
        keys,
        NOTICE,
    )
    .execute(tx.conn())
    .await?;
    if woken.rows_affected() > 0 {
        tx.note_work();
    }
    Ok(())
}

/// Closes whatever is open under keys that begin so, except these.
pub async fn close_others(tx: &mut SystemTx, begins: &str, keys: &[String]) -> Result<(), StoreError> {
    let woken = sqlx::query!(
        "with closed as (
             update alerts set closed_at = berth.now()
             where starts_with(key, $1) and key <> all ($2) and closed_at is null
             returning id
         )
         update flows set wakes = wakes + 1, run_at = least(run_at, berth.now())
         from closed where kind = $3 and subject = closed.id",
        begins,
        keys,
        NOTICE,
    )
    .execute(tx.conn())
    .await?;
    if woken.rows_affected() > 0 {
        tx.note_work();
    }
    Ok(())
}

/// Whether an alert is open under this key.
pub async fn is_open(tx: &mut SystemTx, key: &str) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from alerts where key = $1 and closed_at is null) as "open!""#,
        key,
    )
    .fetch_one(tx.conn())
    .await?)
}

/// What became of an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledged {
    /// It is so, now or since before.
    Yes,
    /// The alert is closed: there is nothing left to know.
    Closed,
    /// There is no such alert.
    Unknown,
}

/// Somebody knows: it does not fire again. The first one to say so stands. Wakes the notice.
pub async fn acknowledge(tx: &mut SystemTx, alert: AlertId, by: UserId) -> Result<Acknowledged, StoreError> {
    let row = sqlx::query!(
        r#"update alerts
           set acknowledged_at = case when closed_at is null then coalesce(acknowledged_at, berth.now())
                                      else acknowledged_at end,
               acknowledged_by = case when closed_at is null then coalesce(acknowledged_by, $2)
                                      else acknowledged_by end
           where id = $1
           returning closed_at is null as "open!""#,
        alert.uuid(),
        by.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    heard(tx, alert, row.map(|row| row.open)).await
}

/// Takes an acknowledgement back: it fires again when it is due. Wakes the notice.
pub async fn take_back(tx: &mut SystemTx, alert: AlertId) -> Result<Acknowledged, StoreError> {
    let row = sqlx::query!(
        r#"update alerts
           set acknowledged_at = case when closed_at is null then null else acknowledged_at end,
               acknowledged_by = case when closed_at is null then null else acknowledged_by end
           where id = $1
           returning closed_at is null as "open!""#,
        alert.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    heard(tx, alert, row.map(|row| row.open)).await
}

async fn heard(tx: &mut SystemTx, alert: AlertId, open: Option<bool>) -> Result<Acknowledged, StoreError> {
    match open {
        None => return Ok(Acknowledged::Unknown),
        Some(false) => return Ok(Acknowledged::Closed),
        Some(true) => {}
    }
    sqlx::query!(
        "update flows set wakes = wakes + 1, run_at = least(run_at, berth.now()) where kind = $1 and subject = $2",
        NOTICE,
        alert.uuid(),
    )
    .execute(tx.conn())
    .await?;
    tx.note_work();
    Ok(Acknowledged::Yes)
}

/// Reads a word of ours back from a column.
pub(crate) fn word<T>(
    table: &'static str,
    column: &'static str,
    text: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, StoreError> {
    parse(text).ok_or_else(|| StoreError::corrupt(table, column, format!("unknown word {text:?}")))
}

/// What the severity column holds, read back.
pub(crate) fn severity(text: &str) -> Result<Severity, StoreError> {
    word("alerts", "severity", text, Severity::parse)
}
