//! Out of service, on an operator's word.

use domain::{TenantId, UserId, operators::Reason};

use crate::{db::SystemTx, error::StoreError};

/// What became of a wish to suspend or to restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// What was asked for.
    So,
    /// It was so already.
    Already,
    /// There is nobody of this id.
    Unknown,
}

/// Takes a tenant out of service, or back (`None`). Rows that name the tenant may be written meanwhile: an audit
/// event of somebody who holds a flow that we want next waits for nothing.
pub async fn set_tenant(tx: &mut SystemTx, tenant: TenantId, why: Option<&Reason>) -> Result<Became, StoreError> {
    let done = sqlx::query_scalar!(
        r#"with held as (select id, suspended_at from tenants where id = $1 for no key update), changed as (
               update tenants t
               set suspended_at = case when $2::text is null then null else berth.now() end, suspended_why = $2
               from held
               where t.id = held.id and (held.suspended_at is null) <> ($2::text is null)
               returning t.id
           )
           select exists (select from changed) as "done!" from held"#,
        tenant.uuid(),
        why.map(Reason::as_str),
    )
    .fetch_optional(tx.conn())
    .await?;
    tx.forget_access(tenant.uuid());
    Ok(became(done))
}

/// Lets a person do nothing, or let them in again (`None`).
pub async fn set_user(tx: &mut SystemTx, user: UserId, why: Option<&Reason>) -> Result<Became, StoreError> {
    let done = sqlx::query_scalar!(
        r#"with held as (select id, suspended_at from users where id = $1 for no key update), changed as (
               update users u
               set suspended_at = case when $2::text is null then null else berth.now() end, suspended_why = $2
               from held
               where u.id = held.id and (held.suspended_at is null) <> ($2::text is null)
               returning u.id
           )
           select exists (select from changed) as "done!" from held"#,
        user.uuid(),
        why.map(Reason::as_str),
    )
    .fetch_optional(tx.conn())
    .await?;
    tx.forget_access(user.uuid());
    Ok(became(done))
}

const fn became(done: Option<bool>) -> Became {
    match done {
        Some(true) => Became::So,
        Some(false) => Became::Already,
        None => Became::Unknown,
    }
}
