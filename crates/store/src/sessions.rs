//! Browsers that are signed in.

use std::time::Duration;

use domain::{
    SessionId, TenantId, UserId,
    people::{Caller, Shown},
};
use vault::TokenHash;

use crate::{
    callers::{CallerRow, read_caller},
    db::SystemTx,
    error::StoreError,
};

/// Opens a session.
pub async fn insert_session(
    tx: &mut SystemTx,
    id: SessionId,
    hash: &TokenHash,
    (user, tenant): (UserId, TenantId),
    valid: Duration,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into sessions (id, token_hash, user_id, tenant_id, expires_at)
         values ($1, $2, $3, $4, berth.now() + make_interval(secs => $5))",
        id.uuid(),
        &hash.bytes()[..],
        user.uuid(),
        tenant.uuid(),
        valid.as_secs_f64(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Ends a session; says whose it was. `None`: it had ended already.
pub async fn delete_session(
    tx: &mut SystemTx,
    hash: &TokenHash,
) -> Result<Option<(SessionId, UserId, TenantId)>, StoreError> {
    let row =
        sqlx::query!("delete from sessions where token_hash = $1 returning id, user_id, tenant_id", &hash.bytes()[..],)
            .fetch_optional(tx.conn())
            .await?;
    Ok(row
        .map(|row| (SessionId::from_uuid(row.id), UserId::from_uuid(row.user_id), TenantId::from_uuid(row.tenant_id))))
}

/// Who holds this session, with their membership as it is now.
pub async fn caller_by_session(tx: &mut SystemTx, hash: &TokenHash) -> Result<Option<Caller>, StoreError> {
    let row = sqlx::query!(
        "select s.id, s.authenticated_at, s.factor_at, u.id as user_id, u.email, u.is_operator, t.id as tenant_id,
                t.name as tenant_name, m.role
         from sessions s
         join users u on u.id = s.user_id
         join members m on m.user_id = s.user_id and m.tenant_id = s.tenant_id
         join tenants t on t.id = s.tenant_id
         where s.token_hash = $1 and s.expires_at > berth.now()",
        &hash.bytes()[..],
    )
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let shown = Shown::Session {
        id: SessionId::from_uuid(row.id),
        authenticated_at: row.authenticated_at,
        factor_at: row.factor_at,
    };
    let row = CallerRow {
        user_id: row.user_id,
        email: row.email,
        is_operator: row.is_operator,
        tenant_id: row.tenant_id,
        tenant_name: row.tenant_name,
        role: row.role,
    };
    read_caller(row, shown).map(Some)
}
