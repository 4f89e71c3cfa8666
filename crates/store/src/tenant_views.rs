//! Tenants as operators see them: ids and counts, no names.

use chrono::{DateTime, Utc};
use domain::TenantId;
use uuid::Uuid;

use crate::{db::SystemTx, error::StoreError};

/// A tenant among many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantView {
    /// Which.
    pub id: TenantId,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// Its people.
    pub members: i64,
    /// Its machines that are not gone.
    pub machines: i64,
    /// Its open alerts.
    pub alerts: i64,
    /// Since when it is out of service.
    pub suspended_at: Option<DateTime<Utc>>,
    /// Why, in the words that its people read.
    pub suspended_why: Option<String>,
}

/// Tenants, newest first: at most `limit` after the one given, or that one alone.
pub async fn list(
    tx: &mut SystemTx,
    (after, only): (Option<TenantId>, Option<TenantId>),
    limit: i64,
) -> Result<Vec<TenantView>, StoreError> {
    let rows = sqlx::query_as!(
        TenantRow,
        r#"select t.id, t.created_at, t.suspended_at, t.suspended_why,
                  (select count(*) from members m where m.tenant_id = t.id) as "members!",
                  (select count(*) from machines c where c.tenant_id = t.id and c.gone_at is null) as "machines!",
                  (select count(*) from alerts a where a.tenant_id = t.id and a.closed_at is null) as "alerts!"
           from tenants t
           where t.id < $1 and ($2::uuid is null or t.id = $2)
           order by t.id desc
           limit $3"#,
        after.map_or(Uuid::max(), TenantId::uuid),
        only.map(TenantId::uuid),
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    let view = |row: TenantRow| TenantView {
        id: TenantId::from_uuid(row.id),
        created_at: row.created_at,
        members: row.members,
        machines: row.machines,
        alerts: row.alerts,
        suspended_at: row.suspended_at,
        suspended_why: row.suspended_why,
    };
    Ok(rows.into_iter().map(view).collect())
}

struct TenantRow {
    id: Uuid,
    created_at: DateTime<Utc>,
    members: i64,
    machines: i64,
    alerts: i64,
    suspended_at: Option<DateTime<Utc>>,
    suspended_why: Option<String>,
}

/// Whether there is such a tenant.
pub async fn exists(tx: &mut SystemTx, tenant: TenantId) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(r#"select exists (select from tenants where id = $1) as "is!""#, tenant.uuid())
        .fetch_one(tx.conn())
        .await?)
}
