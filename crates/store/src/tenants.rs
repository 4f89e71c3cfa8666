//! Tenants as a whole: their end, and what the house keeps of them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{TenantId, UserId};
use serde_json::Value;

use crate::{db::SystemTx, error::StoreError};

/// When a tenant is to be erased. Outer `None`: there is no such tenant; inner: it stays.
pub async fn erasure(tx: &mut SystemTx, tenant: TenantId) -> Result<Option<Option<DateTime<Utc>>>, StoreError> {
    Ok(sqlx::query_scalar!("select erase_after from tenants where id = $1", tenant.uuid())
        .fetch_optional(tx.conn())
        .await?)
}

/// What a tenant is called. `None`: there is no such tenant.
pub async fn name(tx: &mut SystemTx, tenant: TenantId) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar!("select name from tenants where id = $1", tenant.uuid()).fetch_optional(tx.conn()).await?)
}

/// How long until a tenant is due to be erased, by the database's clock. `None`: it stays, or is gone.
pub async fn due_in(tx: &mut SystemTx, tenant: TenantId) -> Result<Option<Duration>, StoreError> {
    let seconds = sqlx::query_scalar!(
        r#"select extract(epoch from erase_after - berth.now())::float8 as "left"
           from tenants where id = $1 and erase_after is not null"#,
        tenant.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(seconds.flatten().map(|left| Duration::from_secs_f64(left.max(0.0))))
}

/// Wants a tenant erased after a while. `None`: that was wanted already.
pub async fn want_erased(
    tx: &mut SystemTx,
    tenant: TenantId,
    by: UserId,
    grace: Duration,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let after = sqlx::query_scalar!(
        r#"update tenants set erase_after = berth.now() + make_interval(secs => $3), erase_by = $2
           where id = $1 and erase_after is null
           returning erase_after as "after!""#,
        tenant.uuid(),
        by.uuid(),
        grace.as_secs_f64(),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(after)
}

/// Takes that back while there is time. `false`: it was not wanted, or is under way.
pub async fn keep(tx: &mut SystemTx, tenant: TenantId) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update tenants set erase_after = null, erase_by = null where id = $1 and erase_after > berth.now()",
        tenant.uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Makes sure that a tenant is not to be erased. To be asked in the transaction that ends its flow.
///
/// # Errors
/// The database; also when it is to be erased since a moment: then the flow must not end.
pub async fn confirm_kept(tx: &mut SystemTx, tenant: TenantId) -> Result<(), StoreError> {
    let wanted = sqlx::query_scalar!(
        r#"select exists (select from tenants where id = $1 and erase_after is not null) as "is!""#,
        tenant.uuid()
    );
    if wanted.fetch_one(tx.conn()).await? {
        return Err(StoreError::corrupt("tenants", "erase_after", "there is one since a moment"));
    }
    Ok(())
}

/// Whether any machine of a tenant's is not gone, or any of its agents still has a flow.
pub async fn is_inhabited(tx: &mut SystemTx, tenant: TenantId) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from machines where tenant_id = $1 and gone_at is null)
               or exists (select from flows where tenant_id = $1 and kind = 'life') as "is!""#,
        tenant.uuid(),
    )
    .fetch_one(tx.conn())
    .await?)
}

/// Erases a tenant and everything that belongs to it. The database refuses while it is not due, or a machine or an
/// agent is left. Already gone is success.
pub async fn erase(tx: &mut SystemTx, tenant: TenantId) -> Result<(), StoreError> {
    crate::standings::end(tx, tenant).await?;
    sqlx::query!("delete from tenants where id = $1", tenant.uuid()).execute(tx.conn()).await?;
    Ok(())
}

/// What the house keeps of a tenant and gives out with an export: a name, and rows as JSON.
pub async fn exported(tx: &mut SystemTx, tenant: TenantId) -> Result<Vec<(&'static str, Vec<Value>)>, StoreError> {
    let id = tenant.uuid();
    let tenants = sqlx::query_scalar!(
        r#"select jsonb_build_object('id', id, 'name', name, 'created_at', created_at, 'erase_after', erase_after)
                  as "row!"
           from tenants where id = $1"#,
        id,
    )
    .fetch_all(tx.conn())
    .await?;
    let members = sqlx::query_scalar!(
        r#"select jsonb_build_object('id', m.id, 'user_id', m.user_id, 'email', u.email, 'role', m.role,
                                     'created_at', m.created_at) as "row!"
           from members m join users u on u.id = m.user_id
           where m.tenant_id = $1 order by m.id"#,
        id,
    )
    .fetch_all(tx.conn())
    .await?;
    let invitations = sqlx::query_scalar!(
        r#"select to_jsonb(i) - 'token_hash' as "row!" from invitations i where i.tenant_id = $1 order by i.id"#,
        id,
    )
    .fetch_all(tx.conn())
    .await?;
    let tokens = sqlx::query_scalar!(
        r#"select to_jsonb(k) - 'token_hash' as "row!" from tokens k where k.tenant_id = $1 order by k.id"#,
        id,
    )
    .fetch_all(tx.conn())
    .await?;
    let billing =
        sqlx::query_scalar!(r#"select to_jsonb(b) - 'payer' as "row!" from billing b where b.tenant_id = $1"#, id)
            .fetch_all(tx.conn())
            .await?;
    let standings = sqlx::query_scalar!(
        r#"select to_jsonb(s) - 'payer' as "row!" from standings s join billing b on b.payer = s.payer
           where b.tenant_id = $1 order by s.id"#,
        id,
    )
    .fetch_all(tx.conn())
    .await?;
    let checkouts = sqlx::query_scalar!(
        r#"select to_jsonb(c) as "row!" from checkouts c where c.tenant_id = $1 order by c.id"#,
        id
    )
    .fetch_all(tx.conn())
    .await?;
    let letters =
        sqlx::query_scalar!(r#"select to_jsonb(l) as "row!" from letters l where l.tenant_id = $1 order by l.id"#, id)
            .fetch_all(tx.conn())
            .await?;
    Ok(vec![
        ("letters", letters),
        ("tenants", tenants),
        ("members", members),
        ("invitations", invitations),
        ("tokens", tokens),
        ("billing", billing),
        ("standings", standings),
        ("checkouts", checkouts),
    ])
}
