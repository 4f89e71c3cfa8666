//! Personal API tokens.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{
    TenantId, TokenId, UserId,
    people::{Caller, Shown},
    scopes::Scopes,
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
    (scopes, valid): (Scopes, Duration),
) -> Result<DateTime<Utc>, StoreError> {
    let scopes: Vec<String> = scopes.words().map(str::to_owned).collect();
    Ok(sqlx::query_scalar!(
        "insert into tokens (id, token_hash, user_id, tenant_id, name, expires_at, scopes)
         values ($1, $2, $3, $4, $5, berth.now() + make_interval(secs => $6), $7)
         returning expires_at",
        id.uuid(),
        &hash.bytes()[..],
        user.uuid(),
        tenant.uuid(),
        name,
        valid.as_secs_f64(),
        &scopes,
    )
    .fetch_one(tx.conn())
    .await?)
}

/// A personal token of somebody's, without its secret.
#[derive(Debug, Clone)]
pub struct TokenRow {
    /// Which.
    pub id: TokenId,
    /// What its owner calls it.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// When it was issued.
    pub created_at: DateTime<Utc>,
    /// Until when it works.
    pub expires_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Whether it works no longer.
    pub is_expired: bool,
}

/// A user's tokens in a tenant, newest first; expired ones are kept for a month.
pub async fn list(tx: &mut SystemTx, user: UserId, tenant: TenantId) -> Result<Vec<TokenRow>, StoreError> {
    let rows = sqlx::query!(
        r#"select id, name, scopes, created_at, expires_at, last_used_at, expires_at <= berth.now() as "is_expired!"
           from tokens
           where user_id = $1 and tenant_id = $2
           order by created_at desc, id"#,
        user.uuid(),
        tenant.uuid(),
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(TokenRow {
                id: TokenId::from_uuid(row.id),
                name: row.name,
                scopes: scopes(&row.scopes)?,
                created_at: row.created_at,
                expires_at: row.expires_at,
                last_used_at: row.last_used_at,
                is_expired: row.is_expired,
            })
        })
        .collect()
}

/// Revokes a token of a user's in a tenant; returns its name. `None`: there is none.
pub async fn delete(
    tx: &mut SystemTx,
    id: TokenId,
    (user, tenant): (UserId, TenantId),
) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar!(
        "delete from tokens where id = $1 and user_id = $2 and tenant_id = $3 returning name",
        id.uuid(),
        user.uuid(),
        tenant.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?)
}

/// Writes that a token was used, at most once a minute however many processes try.
pub async fn mark_used(tx: &mut SystemTx, id: TokenId) -> Result<(), StoreError> {
    sqlx::query!(
        "update tokens set last_used_at = berth.now()
         where id = $1 and (last_used_at is null or last_used_at < berth.now() - interval '1 minute')",
        id.uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Whether a token still lets its owner act for this tenant.
pub async fn stands(tx: &mut SystemTx, id: TokenId, tenant: TenantId) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select exists (
               select from tokens k
               join users u on u.id = k.user_id
               join members m on m.user_id = k.user_id and m.tenant_id = k.tenant_id
               join tenants t on t.id = k.tenant_id
               where k.id = $1 and k.tenant_id = $2 and k.expires_at > berth.now()
                 and u.suspended_at is null and t.suspended_at is null
           ) as "is!""#,
        id.uuid(),
        tenant.uuid(),
    )
    .fetch_one(tx.conn())
    .await?)
}

/// Who holds a personal token.
#[derive(Debug, Clone)]
pub struct Holder {
    /// With their membership as it is now.
    pub caller: Caller,
    /// Whether its last use was written a minute ago or more, or never.
    pub is_unmarked: bool,
}

/// Who holds this personal token, with their membership as it is now.
pub async fn holder(tx: &mut SystemTx, hash: &TokenHash) -> Result<Option<Holder>, StoreError> {
    let row = sqlx::query!(
        r#"select k.id, k.scopes, u.id as user_id, u.email, u.is_operator, t.id as tenant_id, t.name as tenant_name,
                  m.role, u.suspended_why as user_suspended, t.suspended_why as tenant_suspended, b.entitlement as "entitlement?",
                  (k.last_used_at is null or k.last_used_at < berth.now() - interval '1 minute') as "is_unmarked!"
           from tokens k
           join users u on u.id = k.user_id
           join members m on m.user_id = k.user_id and m.tenant_id = k.tenant_id
           join tenants t on t.id = k.tenant_id
           left join billing b on b.tenant_id = t.id
           where k.token_hash = $1 and k.expires_at > berth.now()"#,
        &hash.bytes()[..],
    )
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let (shown, scopes) = (Shown::Token(TokenId::from_uuid(row.id)), scopes(&row.scopes)?);
    let is_unmarked = row.is_unmarked;
    let row = CallerRow {
        user_id: row.user_id,
        email: row.email,
        is_operator: row.is_operator,
        tenant_id: row.tenant_id,
        tenant_name: row.tenant_name,
        role: row.role,
        user_suspended: row.user_suspended,
        tenant_suspended: row.tenant_suspended,
        entitlement: row.entitlement,
    };
    let caller = Caller { scopes, ..read_caller(row, shown)? };
    Ok(Some(Holder { caller, is_unmarked }))
}

fn scopes(words: &[String]) -> Result<Scopes, StoreError> {
    Scopes::parse(words).ok_or_else(|| StoreError::corrupt("tokens", "scopes", "no such scope"))
}
