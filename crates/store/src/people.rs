//! People: users, tenants, members, and what they sign in with.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{
    MemberId, SessionId, TenantId, TokenId, UserId,
    names::Email,
    people::{Caller, Role},
};
use uuid::Uuid;
use vault::TokenHash;

use crate::{db::SystemTx, error::StoreError};

/// Adds a user. `users_identity_key` refuses a second one of the same issuer and subject.
pub async fn insert_user(
    tx: &mut SystemTx,
    id: UserId,
    (issuer, subject): (&str, &str),
    email: &Email,
    is_operator: bool,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into users (id, issuer, subject, email, is_operator) values ($1, $2, $3, $4, $5)",
        id.uuid(),
        issuer,
        subject,
        email.as_str(),
        is_operator,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The user whom an issuer knows by this subject.
pub async fn user_by_identity(tx: &mut SystemTx, issuer: &str, subject: &str) -> Result<Option<UserId>, StoreError> {
    let id = sqlx::query_scalar!("select id from users where issuer = $1 and subject = $2", issuer, subject)
        .fetch_optional(tx.conn())
        .await?;
    Ok(id.map(UserId::from_uuid))
}

/// Makes a user an operator.
pub async fn make_operator(tx: &mut SystemTx, user: UserId) -> Result<(), StoreError> {
    sqlx::query!("update users set is_operator = true where id = $1", user.uuid()).execute(tx.conn()).await?;
    Ok(())
}

/// Whether anybody can sign in yet.
pub async fn any_operator(tx: &mut SystemTx) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(r#"select exists (select from users where is_operator) as "any!""#)
        .fetch_one(tx.conn())
        .await?)
}

/// Lets one set-up at a time through; the lock ends with the transaction.
pub async fn lock_setup(tx: &mut SystemTx) -> Result<(), StoreError> {
    sqlx::query!("select pg_advisory_xact_lock(hashtext('berth set-up'))").execute(tx.conn()).await?;
    Ok(())
}

/// Adds a tenant with its first owner.
pub async fn insert_tenant(
    tx: &mut SystemTx,
    tenant: TenantId,
    name: &str,
    member: MemberId,
    owner: UserId,
) -> Result<(), StoreError> {
    sqlx::query!("insert into tenants (id, name) values ($1, $2)", tenant.uuid(), name).execute(tx.conn()).await?;
    sqlx::query!(
        "insert into members (id, tenant_id, user_id, role) values ($1, $2, $3, 'owner')",
        member.uuid(),
        tenant.uuid(),
        owner.uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The tenant that a user joined first.
pub async fn first_tenant(tx: &mut SystemTx, user: UserId) -> Result<Option<TenantId>, StoreError> {
    let id = sqlx::query_scalar!(
        "select tenant_id from members where user_id = $1 order by created_at, id limit 1",
        user.uuid()
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(id.map(TenantId::from_uuid))
}

/// What a one-time link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkPurpose {
    /// The first operator sets Berth up.
    Setup,
    /// This user signs in.
    SignIn(UserId),
}

/// Keeps a one-time link.
pub async fn insert_link(
    tx: &mut SystemTx,
    hash: &TokenHash,
    purpose: LinkPurpose,
    valid: Duration,
) -> Result<(), StoreError> {
    let (word, user) = match purpose {
        LinkPurpose::Setup => ("setup", None),
        LinkPurpose::SignIn(user) => ("sign_in", Some(user.uuid())),
    };
    sqlx::query!(
        "insert into links (token_hash, purpose, user_id, expires_at)
         values ($1, $2, $3, berth.now() + make_interval(secs => $4))",
        &hash.bytes()[..],
        word,
        user,
        valid.as_secs_f64(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Forgets set-up links that were not used: a new start prints a new one.
pub async fn drop_setup_links(tx: &mut SystemTx) -> Result<(), StoreError> {
    sqlx::query!("delete from links where purpose = 'setup' and used_at is null").execute(tx.conn()).await?;
    Ok(())
}

/// Whether a link would be accepted now; using it is [`use_link`].
pub async fn link_is_open(tx: &mut SystemTx, hash: &TokenHash) -> Result<Option<LinkPurpose>, StoreError> {
    let row = sqlx::query!(
        "select purpose, user_id from links where token_hash = $1 and used_at is null and expires_at > berth.now()",
        &hash.bytes()[..],
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| purpose(row.user_id)))
}

/// Uses a link up. Of any number of callers at once exactly one gets `Some`.
pub async fn use_link(tx: &mut SystemTx, hash: &TokenHash) -> Result<Option<LinkPurpose>, StoreError> {
    let row = sqlx::query!(
        "update links set used_at = berth.now()
         where token_hash = $1 and used_at is null and expires_at > berth.now()
         returning user_id",
        &hash.bytes()[..],
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| purpose(row.user_id)))
}

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

/// Ends a session. Already ended is success.
pub async fn delete_session(tx: &mut SystemTx, hash: &TokenHash) -> Result<(), StoreError> {
    sqlx::query!("delete from sessions where token_hash = $1", &hash.bytes()[..]).execute(tx.conn()).await?;
    Ok(())
}

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

/// Who holds this session, with their membership as it is now.
pub async fn caller_by_session(tx: &mut SystemTx, hash: &TokenHash) -> Result<Option<Caller>, StoreError> {
    let row = sqlx::query_as!(
        CallerRow,
        "select u.id as user_id, u.email, u.is_operator, t.id as tenant_id, t.name as tenant_name, m.role
         from sessions s
         join users u on u.id = s.user_id
         join members m on m.user_id = s.user_id and m.tenant_id = s.tenant_id
         join tenants t on t.id = s.tenant_id
         where s.token_hash = $1 and s.expires_at > berth.now()",
        &hash.bytes()[..],
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(caller).transpose()
}

/// Who holds this personal token, with their membership as it is now.
pub async fn caller_by_token(tx: &mut SystemTx, hash: &TokenHash) -> Result<Option<Caller>, StoreError> {
    let row = sqlx::query_as!(
        CallerRow,
        "select u.id as user_id, u.email, u.is_operator, t.id as tenant_id, t.name as tenant_name, m.role
         from tokens k
         join users u on u.id = k.user_id
         join members m on m.user_id = k.user_id and m.tenant_id = k.tenant_id
         join tenants t on t.id = k.tenant_id
         where k.token_hash = $1 and k.expires_at > berth.now()",
        &hash.bytes()[..],
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(caller).transpose()
}

struct CallerRow {
    user_id: Uuid,
    email: String,
    is_operator: bool,
    tenant_id: Uuid,
    tenant_name: String,
    role: String,
}

fn caller(row: CallerRow) -> Result<Caller, StoreError> {
    let email = Email::parse(&row.email).map_err(|error| StoreError::corrupt("users", "email", error))?;
    let role = Role::parse(&row.role).ok_or_else(|| StoreError::corrupt("members", "role", "no such role"))?;
    Ok(Caller {
        user: UserId::from_uuid(row.user_id),
        email,
        tenant: TenantId::from_uuid(row.tenant_id),
        tenant_name: row.tenant_name,
        role,
        is_operator: row.is_operator,
    })
}

fn purpose(user: Option<Uuid>) -> LinkPurpose {
    user.map_or(LinkPurpose::Setup, |user| LinkPurpose::SignIn(UserId::from_uuid(user)))
}
