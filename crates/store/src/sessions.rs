//! Browsers that are signed in.
//!
//! A session is known by its id, which stands in what a browser shows with each
//! request, and renewed by a token that is spent in doing so ([`renew`]). A spent
//! one that comes back later than parallel tabs do was stolen, by somebody or from
//! somebody: the session ends.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{
    SessionId, TenantId, UserId,
    names::Email,
    people::{Caller, Shown},
};
use uuid::Uuid;
use vault::TokenHash;

use crate::{
    callers::{CallerRow, read_caller},
    db::SystemTx,
    error::StoreError,
};

/// How long a spent token still passes: other tabs of the browser sent it at the same time.
pub const GRACE: Duration = Duration::from_secs(30);

/// A session that begins.
#[derive(Debug)]
pub struct NewSession<'a> {
    /// Its id.
    pub id: SessionId,
    /// Of what renews it.
    pub refresh: TokenHash,
    /// Whose, and in which of their tenants.
    pub holder: (UserId, TenantId),
    /// Which browser, in a few words.
    pub browser: &'a str,
    /// How long it lasts.
    pub valid: Duration,
}

/// A session that can be used, at this moment of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// Until when it lasts.
    pub expires_at: DateTime<Utc>,
    /// The database's time.
    pub now: DateTime<Utc>,
}

/// What came of an attempt to renew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewed {
    /// The token is spent, the new one counts from now on.
    Fresh(Standing),
    /// Another request of the browser was a moment earlier; its token counts.
    Already(Standing),
    /// It was spent long ago: the session has been ended.
    Reused(Standing, Option<Ended>),
    /// No session has it.
    Unknown,
}

/// A session as its holder sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    /// Which.
    pub id: SessionId,
    /// Name of the tenant that it is in.
    pub tenant: String,
    /// Which browser, in a few words.
    pub browser: String,
    /// When they signed in.
    pub created_at: DateTime<Utc>,
    /// When they last showed who they are.
    pub authenticated_at: DateTime<Utc>,
    /// When it was last renewed: it was in use until then, or up to a quarter of an hour longer.
    pub seen_at: DateTime<Utc>,
    /// Until when it lasts.
    pub expires_at: DateTime<Utc>,
}

/// Opens a session.
pub async fn insert_session(tx: &mut SystemTx, new: &NewSession<'_>) -> Result<Standing, StoreError> {
    let (user, tenant) = new.holder;
    let row = sqlx::query!(
        r#"insert into sessions (id, token_hash, user_id, tenant_id, browser, expires_at)
           values ($1, $2, $3, $4, $5, berth.now() + make_interval(secs => $6))
           returning expires_at, berth.now() as "now!""#,
        new.id.uuid(),
        &new.refresh.bytes()[..],
        user.uuid(),
        tenant.uuid(),
        new.browser,
        new.valid.as_secs_f64(),
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(Standing { id: new.id, user, expires_at: row.expires_at, now: row.now })
}

/// Spends a token for a new one. Of any number at once exactly one is [`Renewed::Fresh`].
pub async fn renew(tx: &mut SystemTx, spent: &TokenHash, fresh: &TokenHash) -> Result<Renewed, StoreError> {
    let row = sqlx::query!(
        r#"with held as (
               select id from sessions where token_hash = $1 and expires_at > berth.now() for update
           ), spent as (
               insert into spent_refreshes (token_hash, session_id) select $1, id from held
           )
           update sessions set token_hash = $2, seen_at = berth.now()
           where id in (select id from held)
           returning id, user_id, expires_at, berth.now() as "now!""#,
        &spent.bytes()[..],
        &fresh.bytes()[..],
    )
    .fetch_optional(tx.conn())
    .await?;
    let standing = |id, user, expires_at, now| Standing {
        id: SessionId::from_uuid(id),
        user: UserId::from_uuid(user),
        expires_at,
        now,
    };
    if let Some(row) = row {
        return Ok(Renewed::Fresh(standing(row.id, row.user_id, row.expires_at, row.now)));
    }
    let row = sqlx::query!(
        r#"select s.id, s.user_id, s.expires_at, berth.now() as "now!",
                  p.spent_at + make_interval(secs => $2) >= berth.now() as "just!"
           from spent_refreshes p
           join sessions s on s.id = p.session_id
           where p.token_hash = $1 and s.expires_at > berth.now()"#,
        &spent.bytes()[..],
        GRACE.as_secs_f64(),
    )
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else { return Ok(Renewed::Unknown) };
    let standing = standing(row.id, row.user_id, row.expires_at, row.now);
    if row.just {
        return Ok(Renewed::Already(standing));
    }
    let ended = end(tx, standing.user, standing.id).await?;
    Ok(Renewed::Reused(standing, ended))
}

/// A session that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Which.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// In which of their tenants.
    pub tenant: TenantId,
}

/// Ends the session that this token renews. `None`: it had ended already.
pub async fn delete_session(tx: &mut SystemTx, hash: &TokenHash) -> Result<Option<Ended>, StoreError> {
    let row =
        sqlx::query!("delete from sessions where token_hash = $1 returning id, user_id, tenant_id", &hash.bytes()[..])
            .fetch_optional(tx.conn())
            .await?;
    let Some(row) = row else { return Ok(None) };
    tx.forget_access(row.id);
    Ok(Some(ended(row.id, row.user_id, row.tenant_id)))
}

/// Ends one of somebody's sessions. `None`: they have no such one.
pub async fn end(tx: &mut SystemTx, user: UserId, id: SessionId) -> Result<Option<Ended>, StoreError> {
    let row = sqlx::query!(
        "delete from sessions where id = $1 and user_id = $2 returning id, user_id, tenant_id",
        id.uuid(),
        user.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    tx.forget_access(id.uuid());
    Ok(row.map(|row| ended(row.id, row.user_id, row.tenant_id)))
}

/// Ends all of somebody's sessions, but this one. Returns those that it ended.
pub async fn end_others(tx: &mut SystemTx, user: UserId, but: Option<SessionId>) -> Result<Vec<Ended>, StoreError> {
    let rows = sqlx::query!(
        "delete from sessions where user_id = $1 and ($2::uuid is null or id <> $2) returning id, user_id, tenant_id",
        user.uuid(),
        but.map(SessionId::uuid),
    )
    .fetch_all(tx.conn())
    .await?;
    tx.forget_access(user.uuid());
    Ok(rows.into_iter().map(|row| ended(row.id, row.user_id, row.tenant_id)).collect())
}

/// Ends everything with which the people of this address could come in: sessions, personal tokens, open links. Returns
/// who they are.
pub async fn end_everything(tx: &mut SystemTx, email: &Email) -> Result<Vec<UserId>, StoreError> {
    let users = sqlx::query_scalar!("select id from users where email = $1 for update", email.as_str())
        .fetch_all(tx.conn())
        .await?;
    sqlx::query!("delete from sessions where user_id = any ($1)", &users).execute(tx.conn()).await?;
    sqlx::query!("delete from tokens where user_id = any ($1)", &users).execute(tx.conn()).await?;
    sqlx::query!(
        "delete from links where user_id = any ($1) or (purpose = 'mailed' and address = $2)",
        &users,
        email.as_str(),
    )
    .execute(tx.conn())
    .await?;
    for user in &users {
        tx.forget_access(*user);
    }
    Ok(users.into_iter().map(UserId::from_uuid).collect())
}

fn ended(id: Uuid, user: Uuid, tenant: Uuid) -> Ended {
    Ended { id: SessionId::from_uuid(id), user: UserId::from_uuid(user), tenant: TenantId::from_uuid(tenant) }
}

/// Somebody's sessions, the one used last first.
pub async fn of_user(tx: &mut SystemTx, user: UserId) -> Result<Vec<SessionView>, StoreError> {
    let rows = sqlx::query!(
        "select s.id, t.name as tenant, s.browser, s.created_at, s.authenticated_at, s.seen_at, s.expires_at
         from sessions s
         join tenants t on t.id = s.tenant_id
         where s.user_id = $1 and s.expires_at > berth.now()
         order by s.seen_at desc, s.id desc
         limit 100",
        user.uuid(),
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| SessionView {
            id: SessionId::from_uuid(row.id),
            tenant: row.tenant,
            browser: row.browser,
            created_at: row.created_at,
            authenticated_at: row.authenticated_at,
            seen_at: row.seen_at,
            expires_at: row.expires_at,
        })
        .collect())
}

/// Who is in this session, with their membership as it is now.
pub async fn caller_by_id(tx: &mut SystemTx, id: SessionId) -> Result<Option<(Caller, Standing)>, StoreError> {
    let row = sqlx::query!(
        r#"select s.id, s.authenticated_at, s.factor_at, s.expires_at, u.id as user_id, u.email, u.is_operator,
                  t.id as tenant_id, t.name as tenant_name, m.role, u.suspended_why as user_suspended,
                  t.suspended_why as tenant_suspended, b.entitlement as "entitlement?", berth.now() as "now!"
           from sessions s
           join users u on u.id = s.user_id
           join members m on m.user_id = s.user_id and m.tenant_id = s.tenant_id
           join tenants t on t.id = s.tenant_id
           left join billing b on b.tenant_id = t.id
           where s.id = $1 and s.expires_at > berth.now()"#,
        id.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let standing = Standing { id, user: UserId::from_uuid(row.user_id), expires_at: row.expires_at, now: row.now };
    let shown = Shown::Session { id, authenticated_at: row.authenticated_at, factor_at: row.factor_at };
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
    Ok(Some((read_caller(row, shown)?, standing)))
}
