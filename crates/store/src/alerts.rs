//! Alerts: a person is needed. Unique while open.

use domain::{AlertId, TenantId, alert::AlertKind};

use crate::{db::SystemTx, error::StoreError};

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

/// Opens an alert, or notes that the open one was seen again.
pub async fn open(tx: &mut SystemTx, alert: &NewAlert<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into alerts (id, key, kind, tenant_id, subject, message) values ($1, $2, $3, $4, $5, $6)
         on conflict (key) where closed_at is null do update set seen_at = berth.now(), message = excluded.message",
        alert.id.uuid(),
        alert.key,
        alert.kind.name(),
        alert.tenant.map(TenantId::uuid),
        alert.subject,
        alert.message,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Closes whatever is open under these keys: what was wrong was seen to be right.
pub async fn close(tx: &mut SystemTx, keys: &[String]) -> Result<(), StoreError> {
    sqlx::query!("update alerts set closed_at = berth.now() where key = any ($1) and closed_at is null", keys)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Closes whatever is open under keys that begin so, except these.
pub async fn close_others(tx: &mut SystemTx, begins: &str, keys: &[String]) -> Result<(), StoreError> {
    sqlx::query!(
        "update alerts set closed_at = berth.now() where starts_with(key, $1) and key <> all ($2) and closed_at is null",
        begins,
        keys,
    )
    .execute(tx.conn())
    .await?;
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

/// An open alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAlert {
    /// The same trouble has the same key.
    pub key: String,
    /// [`AlertKind::name`].
    pub kind: String,
    /// The id of what it is about.
    pub subject: String,
    /// A sentence.
    pub message: String,
    /// Since when.
    pub opened_at: chrono::DateTime<chrono::Utc>,
}

/// Every open alert, oldest first.
pub async fn all_open(tx: &mut SystemTx) -> Result<Vec<OpenAlert>, StoreError> {
    Ok(sqlx::query_as!(
        OpenAlert,
        "select key, kind, subject, message, opened_at from alerts where closed_at is null order by opened_at limit 500"
    )
    .fetch_all(tx.conn())
    .await?)
}
