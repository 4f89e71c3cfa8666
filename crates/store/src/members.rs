//! Members of tenants, and the invitations by which they join.
//!
//! Whoever changes who owns a tenant locks its members first, in order, so that two changes at
//! once are one after the other and the second sees what the first did.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{InvitationId, MemberId, SessionId, TenantId, UserId, names::Email, people::Role};
use uuid::Uuid;
use vault::TokenHash;

use crate::{db::SystemTx, error::StoreError};

/// A member, with the address to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The membership.
    pub id: MemberId,
    /// The person.
    pub user: UserId,
    /// Contact data.
    pub email: String,
    /// What they may do.
    pub role: Role,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// An invitation that was not answered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Which.
    pub id: InvitationId,
    /// To which tenant.
    pub tenant: TenantId,
    /// That tenant's name.
    pub tenant_name: String,
    /// Whom.
    pub email: Email,
    /// With which role.
    pub role: Role,
    /// Who invites, to be shown. Empty: they have left.
    pub invited_by: String,
    /// What became of the mail, in words; `None` while it is on its way.
    pub mail: Option<String>,
    /// When.
    pub created_at: DateTime<Utc>,
    /// Until when.
    pub expires_at: DateTime<Utc>,
}

/// A tenant of somebody's, with their role in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Which tenant.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// What they may do in it.
    pub role: Role,
}

/// The members of a tenant, in the order in which they joined.
pub async fn list(tx: &mut SystemTx, tenant: TenantId) -> Result<Vec<Member>, StoreError> {
    let rows = sqlx::query_as!(
        MemberRow,
        "select m.id, m.user_id, u.email, m.role, m.created_at
         from members m
         join users u on u.id = m.user_id
         where m.tenant_id = $1
         order by m.created_at, m.id",
        tenant.uuid(),
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(member).collect()
}

/// The same, and nobody else changes them until this transaction ends.
pub async fn lock(tx: &mut SystemTx, tenant: TenantId) -> Result<Vec<Member>, StoreError> {
    sqlx::query!("select id from members where tenant_id = $1 order by id for update", tenant.uuid())
        .fetch_all(tx.conn())
        .await?;
    // A statement of its own: it sees what whoever held the lock before has committed.
    list(tx, tenant).await
}

/// The tenants of a user, oldest membership first.
pub async fn tenants_of(tx: &mut SystemTx, user: UserId) -> Result<Vec<Membership>, StoreError> {
    let rows = sqlx::query!(
        "select t.id, t.name, m.role
         from members m
         join tenants t on t.id = m.tenant_id
         where m.user_id = $1
         order by m.created_at, m.id",
        user.uuid(),
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .map(|row| Ok(Membership { tenant: TenantId::from_uuid(row.id), name: row.name, role: role(&row.role)? }))
        .collect()
}

/// Adds a member. `members_user_key` refuses a second time.
pub async fn insert(
    tx: &mut SystemTx,
    id: MemberId,
    (tenant, user): (TenantId, UserId),
    role: Role,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into members (id, tenant_id, user_id, role) values ($1, $2, $3, $4)",
        id.uuid(),
        tenant.uuid(),
        user.uuid(),
        role.name(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Writes a member's role.
pub async fn set_role(tx: &mut SystemTx, id: MemberId, role: Role) -> Result<(), StoreError> {
    sqlx::query!("update members set role = $2 where id = $1", id.uuid(), role.name()).execute(tx.conn()).await?;
    Ok(())
}

/// Ends a membership, and whatever signed its holder in there: sessions and tokens.
pub async fn delete(tx: &mut SystemTx, id: MemberId) -> Result<(), StoreError> {
    sqlx::query!(
        "with gone as (delete from members where id = $1 returning tenant_id, user_id),
              signed_out as (delete from sessions s using gone
                             where s.tenant_id = gone.tenant_id and s.user_id = gone.user_id)
         delete from tokens k using gone where k.tenant_id = gone.tenant_id and k.user_id = gone.user_id",
        id.uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Lets a session act for another tenant of its user. `false`: they are no member there, or it has ended.
pub async fn switch(tx: &mut SystemTx, session: SessionId, tenant: TenantId) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update sessions s set tenant_id = $2
         from members m
         where s.id = $1 and m.user_id = s.user_id and m.tenant_id = $2",
        session.uuid(),
        tenant.uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether this address is a member's.
pub async fn is_member(tx: &mut SystemTx, tenant: TenantId, email: &Email) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from members m join users u on u.id = m.user_id
                          where m.tenant_id = $1 and u.email = $2) as "is!""#,
        tenant.uuid(),
        email.as_str(),
    )
    .fetch_one(tx.conn())
    .await?)
}

/// Asks somebody to join. An earlier invitation of theirs ends with its link.
pub async fn invite(
    tx: &mut SystemTx,
    id: InvitationId,
    (tenant, by): (TenantId, UserId),
    (email, role): (&Email, Role),
    valid: Duration,
) -> Result<(), StoreError> {
    sqlx::query!("delete from invitations where tenant_id = $1 and email = $2", tenant.uuid(), email.as_str(),)
        .execute(tx.conn())
        .await?;
    sqlx::query!(
        "insert into invitations (id, tenant_id, email, role, invited_by, expires_at)
         values ($1, $2, $3, $4, $5, berth.now() + make_interval(secs => $6))",
        id.uuid(),
        tenant.uuid(),
        email.as_str(),
        role.name(),
        by.uuid(),
        valid.as_secs_f64(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// How many invitations of a tenant are open.
pub async fn open_invitations(tx: &mut SystemTx, tenant: TenantId) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(r#"select count(*) as "n!" from invitations where tenant_id = $1"#, tenant.uuid())
        .fetch_one(tx.conn())
        .await?)
}

/// The invitations of a tenant, newest first.
pub async fn invitations(tx: &mut SystemTx, tenant: TenantId) -> Result<Vec<Invitation>, StoreError> {
    let rows = sqlx::query_as!(
        InvitationRow,
        r#"select i.id, i.tenant_id, t.name as tenant_name, i.email, i.role, u.email as "invited_by?", i.mail,
                  i.created_at, i.expires_at
           from invitations i
           join tenants t on t.id = i.tenant_id
           left join users u on u.id = i.invited_by
           where i.tenant_id = $1
           order by i.created_at desc, i.id"#,
        tenant.uuid(),
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(invitation).collect()
}

/// One invitation, for the flow that mails it.
pub async fn invitation_by_id(tx: &mut SystemTx, id: InvitationId) -> Result<Option<Invitation>, StoreError> {
    let row = sqlx::query_as!(
        InvitationRow,
        r#"select i.id, i.tenant_id, t.name as tenant_name, i.email, i.role, u.email as "invited_by?", i.mail,
                  i.created_at, i.expires_at
           from invitations i
           join tenants t on t.id = i.tenant_id
           left join users u on u.id = i.invited_by
           where i.id = $1"#,
        id.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(invitation).transpose()
}

/// The invitation that this link accepts, if it can still be accepted. Who accepts it is decided by
/// [`end_invitation`], under the lock of the tenant's members.
pub async fn invitation_by_link(tx: &mut SystemTx, hash: &TokenHash) -> Result<Option<Invitation>, StoreError> {
    let row = sqlx::query_as!(
        InvitationRow,
        r#"select i.id, i.tenant_id, t.name as tenant_name, i.email, i.role, u.email as "invited_by?", i.mail,
                  i.created_at, i.expires_at
           from invitations i
           join tenants t on t.id = i.tenant_id
           left join users u on u.id = i.invited_by
           where i.token_hash = $1 and i.expires_at > berth.now()"#,
        &hash.bytes()[..],
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(invitation).transpose()
}

/// Keeps the hash of the link that is about to be mailed. `false`: the invitation was answered or taken back.
pub async fn keep_link(tx: &mut SystemTx, id: InvitationId, hash: &TokenHash) -> Result<bool, StoreError> {
    let kept = sqlx::query!(
        "update invitations set token_hash = $2 where id = $1 and expires_at > berth.now()",
        id.uuid(),
        &hash.bytes()[..],
    )
    .execute(tx.conn())
    .await?;
    Ok(kept.rows_affected() == 1)
}

/// Writes what became of the mail. An invitation that is gone is no error.
pub async fn mailed(tx: &mut SystemTx, id: InvitationId, outcome: &str) -> Result<(), StoreError> {
    sqlx::query!("update invitations set mail = $2 where id = $1", id.uuid(), outcome).execute(tx.conn()).await?;
    Ok(())
}

/// Ends an invitation of this tenant: answered or taken back. `false`: there is none.
pub async fn end_invitation(tx: &mut SystemTx, tenant: TenantId, id: InvitationId) -> Result<bool, StoreError> {
    let done = sqlx::query!("delete from invitations where id = $1 and tenant_id = $2", id.uuid(), tenant.uuid())
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected() == 1)
}

struct MemberRow {
    id: Uuid,
    user_id: Uuid,
    email: String,
    role: String,
    created_at: DateTime<Utc>,
}

struct InvitationRow {
    id: Uuid,
    tenant_id: Uuid,
    tenant_name: String,
    email: String,
    role: String,
    invited_by: Option<String>,
    mail: Option<String>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

fn member(row: MemberRow) -> Result<Member, StoreError> {
    let (id, user) = (MemberId::from_uuid(row.id), UserId::from_uuid(row.user_id));
    Ok(Member { id, user, email: row.email, role: role(&row.role)?, since: row.created_at })
}

fn invitation(row: InvitationRow) -> Result<Invitation, StoreError> {
    let email = Email::parse(&row.email).map_err(|error| StoreError::corrupt("invitations", "email", error))?;
    Ok(Invitation {
        id: InvitationId::from_uuid(row.id),
        tenant: TenantId::from_uuid(row.tenant_id),
        tenant_name: row.tenant_name,
        email,
        role: role(&row.role)?,
        invited_by: row.invited_by.unwrap_or_default(),
        mail: row.mail,
        created_at: row.created_at,
        expires_at: row.expires_at,
    })
}

fn role(word: &str) -> Result<Role, StoreError> {
    Role::parse(word).ok_or_else(|| StoreError::corrupt("members", "role", "no such role"))
}
