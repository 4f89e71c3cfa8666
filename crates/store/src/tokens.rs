//! Personal API tokens.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{
    TenantId, TokenId, UserId,
    people::{Caller, Shown},
};
use vault::TokenHash;

use crate::{
    callers::{CallerRow, read_caller},
    db::SystemTx,
    error::StoreError,
};

/// Issues a personal token.
pub async fn insert_token(
    tx: &mut SystemTx,
    id: TokenId,
    hash: &TokenHash,
    (user, tenant): (UserId, TenantId),
    name: &str,
    valid: Duration,
) -> Result<DateTime<Utc>, StoreError> {
    Ok(sqlx::query_scalar!(
        "insert into tokens (id, token_hash, user_id, tenant_id, name, expires_at)
         values ($1, $2, $3, $4, $5, berth.now() + make_interval(secs => $6))
         returning expires_at",
        id.uuid(),
        &hash.bytes()[..],
        user.uuid(),
        tenant.uuid(),
        name,
        valid.as_secs_f64(),
    )
    .fetch_one(tx.conn())
    .await?)
}

/// Who holds this personal token, with their membership as it is now.
pub async fn caller_by_token(tx: &mut SystemTx, hash: &TokenHash) -> Result<Option<Caller>, StoreError> {
    let row = sqlx::query!(
        "select k.id, u.id as user_id, u.email, u.is_operator, t.id as tenant_id, t.name as tenant_name, m.role
         from tokens k
         join users u on u.id = k.user_id
         join members m on m.user_id = k.user_id and m.tenant_id = k.tenant_id
         join tenants t on t.id = k.tenant_id
         where k.token_hash = $1 and k.expires_at > berth.now()",
        &hash.bytes()[..],
    )
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let shown = Shown::Token(TokenId::from_uuid(row.id));
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
