//! Who belongs to a tenant, with which role, and how that changes.
//!
//! Nobody gives or takes more than they have: an admin cannot make, change or remove an owner.
//! A tenant always has an owner. Every change locks the tenant's members first and looks the
//! caller's own role up there, so that what was true when the request came does not count.

use std::time::Duration;

use domain::{
    Entropy, InvitationId, MemberId, TenantId, UserId,
    audit::{Act, Actor},
    entropy::mint,
    names::Email,
    people::{Caller, LOCAL_ISSUER, Role, Shown, Suspended},
};
use serde_json::json;
use store::{
    StoreError, SystemTx,
    flows::NewFlow,
    members::{Invitation, Member},
};
use vault::Token;

use crate::{
    audit,
    sessions::{Opened, open_session},
};

/// Kind of the flow that mails an invitation.
pub const INVITATION: &str = "invitation";
/// How long an invitation can be accepted.
pub const INVITED: Duration = Duration::from_hours(7 * 24);
/// Most open invitations of one tenant.
pub const INVITATIONS_MAX: i64 = 100;
/// How long a mail server may keep an invitation waiting.
pub const MAILED_WITHIN: Duration = Duration::from_hours(24);

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// There is no such member or invitation here.
    #[error("there is no such member")]
    NotFound,
    /// The role does not allow it.
    #[error("your role here does not allow that: nobody gives, changes or takes a role above their own")]
    Forbidden,
    /// A tenant always has an owner.
    #[error("a tenant always has an owner: make somebody else one first")]
    LastOwner,
    /// They belong to it already.
    #[error("whoever has that address is a member already")]
    IsMember,
    /// An owner is made by handing over, not by inviting.
    #[error("nobody is invited as an owner: invite them as an admin, then make them one")]
    OwnerInvited,
    /// Too many.
    #[error("100 invitations are open; take one back first")]
    TooMany,
    /// The link is unknown, used, taken back or expired.
    #[error("this invitation was used, taken back, or has expired; ask for a new one")]
    Closed,
    /// There is a user of that address.
    #[error("sign in first, then open the invitation again: this address is known here")]
    SignInFirst,
    /// An operator took the person out of service, with this reason.
    #[error("your account is suspended: {0}")]
    Suspended(String),
    /// It needs a browser.
    #[error("a token acts for one tenant only; switching needs a session")]
    NoSession,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Asks somebody to join, by mail. Asking again renews the invitation and mails a new link.
///
/// # Errors
/// [`MemberError`]; the caller does not commit.
pub async fn invite(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    (email, role): (&Email, Role),
    by: &Caller,
) -> Result<InvitationId, MemberError> {
    let own = own_role(&store::members::lock(tx, by.tenant).await?, by)?;
    if role == Role::Owner {
        return Err(MemberError::OwnerInvited);
    }
    if own < Role::Admin || role > own {
        return Err(MemberError::Forbidden);
    }
    if store::members::is_member(tx, by.tenant, email).await? {
        return Err(MemberError::IsMember);
    }
    if store::members::open_invitations(tx, by.tenant).await? >= INVITATIONS_MAX {
        return Err(MemberError::TooMany);
    }
    let id: InvitationId = mint(entropy);
    store::members::invite(tx, id, (by.tenant, by.user), (email, role), INVITED).await?;
    let step = json!({ "step": "send" });
    let deadline = Some(MAILED_WITHIN);
    let flow = NewFlow { id: mint(entropy), kind: INVITATION, subject: id.uuid(), step, deadline };
    store::flows::start_house(tx, &flow).await?;
    note(tx, by, Act::InvitationCreate, &id, &[("role", role.name())]).await?;
    Ok(id)
}

/// Takes an invitation back: its link stops working.
///
/// # Errors
/// [`MemberError`]; the caller does not commit.
pub async fn take_back(tx: &mut SystemTx, id: InvitationId, by: &Caller) -> Result<(), MemberError> {
    let own = own_role(&store::members::lock(tx, by.tenant).await?, by)?;
    if own < Role::Admin {
        return Err(MemberError::Forbidden);
    }
    if !store::members::end_invitation(tx, by.tenant, id).await? {
        return Err(MemberError::NotFound);
    }
    note(tx, by, Act::InvitationRevoke, &id, &[]).await
}

/// What a link is for, if it can still be accepted.
///
/// # Errors
/// The database.
pub async fn look_at_invitation(tx: &mut SystemTx, link: &Token) -> Result<Option<Invitation>, StoreError> {
    store::members::invitation_by_link(tx, &link.hash()).await
}

/// Somebody who is signed in joins, whatever their address: holding the link is what counts. Their session acts for
/// the tenant from then on.
///
/// # Errors
/// [`MemberError`]; the caller does not commit.
pub async fn accept(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    link: &Token,
    by: &Caller,
) -> Result<TenantId, MemberError> {
    // The page is open to everybody, so no guard has asked.
    if let Some(Suspended::User(why)) = &by.suspended {
        return Err(MemberError::Suspended(why.clone()));
    }
    let tenant = join(tx, entropy, link, by.user, Actor::of(by)).await?;
    if let Shown::Session { id, .. } = by.shown {
        store::members::switch(tx, id, tenant).await?;
    }
    Ok(tenant)
}

/// Somebody who is not signed in joins as a new local user of the invited address: the mail showed that it is theirs.
///
/// Whoever is known already signs in first: a link that waits in a mailbox for a week is no way into an account.
///
/// # Errors
/// [`MemberError`]; the caller does not commit.
pub async fn accept_by_mail(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    link: &Token,
    browser: &str,
) -> Result<Opened, MemberError> {
    store::people::lock_setup(tx).await?;
    let invitation = look_at_invitation(tx, link).await?.ok_or(MemberError::Closed)?;
    let address = &invitation.email;
    if store::people::user_by_identity(tx, LOCAL_ISSUER, address.as_str()).await?.is_some() {
        return Err(MemberError::SignInFirst);
    }
    let user = mint(entropy);
    store::people::insert_user(tx, user, (LOCAL_ISSUER, address.as_str()), address, false).await?;
    let actor = Actor { id: user.to_string(), via: String::new() };
    let tenant = join(tx, entropy, link, user, actor).await?;
    Ok(open_session(tx, entropy, (user, tenant), browser).await?)
}

/// Changes a member's role, up to the caller's own.
///
/// # Errors
/// [`MemberError`]; the caller does not commit.
pub async fn change_role(tx: &mut SystemTx, id: MemberId, role: Role, by: &Caller) -> Result<(), MemberError> {
    let members = store::members::lock(tx, by.tenant).await?;
    let (own, member) = (own_role(&members, by)?, find(&members, id)?);
    if own < Role::Admin || role > own || member.role > own {
        return Err(MemberError::Forbidden);
    }
    if member.role == role {
        return Ok(());
    }
    if member.role == Role::Owner {
        another_owner(&members, id)?;
    }
    store::members::set_role(tx, id, role).await?;
    let details = [("from", member.role.name()), ("to", role.name()), ("user", &*member.user.to_string())];
    note(tx, by, Act::MemberRole, &id, &details).await
}

/// Ends somebody's membership. Their sessions and tokens here end with it.
///
/// # Errors
/// [`MemberError`]; the caller does not commit.
pub async fn remove(tx: &mut SystemTx, id: MemberId, by: &Caller) -> Result<(), MemberError> {
    let members = store::members::lock(tx, by.tenant).await?;
    let (own, member) = (own_role(&members, by)?, find(&members, id)?);
    if own < Role::Admin || member.role > own {
        return Err(MemberError::Forbidden);
    }
    if member.role == Role::Owner {
        another_owner(&members, id)?;
    }
    store::members::delete(tx, id).await?;
    let details = [("role", member.role.name()), ("user", &*member.user.to_string())];
    note(tx, by, Act::MemberRemove, &id, &details).await
}

/// The caller leaves the tenant that they act for. A browser goes on in another tenant of theirs, if there is one.
///
/// # Errors
/// [`MemberError`]; the caller does not commit.
pub async fn leave(tx: &mut SystemTx, by: &Caller) -> Result<(), MemberError> {
    let members = store::members::lock(tx, by.tenant).await?;
    let member = members.iter().find(|member| member.user == by.user).ok_or(MemberError::NotFound)?;
    if member.role == Role::Owner {
        another_owner(&members, member.id)?;
    }
    note(tx, by, Act::MemberLeave, &member.id, &[("role", member.role.name())]).await?;
    let others = store::members::tenants_of(tx, by.user).await?;
    if let (Shown::Session { id, .. }, Some(other)) = (by.shown, others.iter().find(|one| one.tenant != by.tenant)) {
        store::members::switch(tx, id, other.tenant).await?;
    }
    Ok(store::members::delete(tx, member.id).await?)
}

/// Hands the ownership over: the other becomes an owner, the caller an admin.
///
/// # Errors
/// [`MemberError`]; the caller does not commit.
pub async fn hand_over(tx: &mut SystemTx, to: MemberId, by: &Caller) -> Result<(), MemberError> {
    let members = store::members::lock(tx, by.tenant).await?;
    let (own, member) = (own_role(&members, by)?, find(&members, to)?);
    if own != Role::Owner || member.user == by.user {
        return Err(MemberError::Forbidden);
    }
    store::members::set_role(tx, to, Role::Owner).await?;
    if let Some(mine) = members.iter().find(|member| member.user == by.user) {
        store::members::set_role(tx, mine.id, Role::Admin).await?;
    }
    let details = [("from", &*by.user.to_string()), ("to", &*member.user.to_string())];
    note(tx, by, Act::OwnershipTransfer, &to, &details).await
}

/// Lets the caller's session act for another tenant of theirs.
///
/// # Errors
/// [`MemberError`]; the caller does not commit.
pub async fn switch(tx: &mut SystemTx, tenant: TenantId, by: &Caller) -> Result<(), MemberError> {
    // Looked at first: what is somebody else's reads like what is not there, for tokens too.
    if !store::members::tenants_of(tx, by.user).await?.iter().any(|theirs| theirs.tenant == tenant) {
        return Err(MemberError::NotFound);
    }
    let Shown::Session { id, .. } = by.shown else { return Err(MemberError::NoSession) };
    if !store::members::switch(tx, id, tenant).await? {
        return Err(MemberError::NotFound);
    }
    if tenant != by.tenant {
        audit::record_for(tx, tenant, Actor::of(by), Act::SessionSwitch, (&id, &[])).await?;
    }
    Ok(())
}

async fn join(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    link: &Token,
    user: UserId,
    actor: Actor,
) -> Result<TenantId, MemberError> {
    let invitation = look_at_invitation(tx, link).await?.ok_or(MemberError::Closed)?;
    let (tenant, id): (TenantId, MemberId) = (invitation.tenant, mint(entropy));
    store::members::lock(tx, tenant).await?;
    // Whoever held the lock before may have used it.
    if !store::members::end_invitation(tx, tenant, invitation.id).await? {
        return Err(MemberError::Closed);
    }
    store::members::insert(tx, id, (tenant, user), invitation.role).await.map_err(|error| match error {
        twice if twice.is_conflict("members_user_key") => MemberError::IsMember,
        other => other.into(),
    })?;
    let details = [("invitation", &*invitation.id.to_string()), ("role", invitation.role.name())];
    audit::record_for(tx, tenant, actor, Act::MemberJoin, (&id, &details)).await?;
    Ok(tenant)
}

async fn note(
    tx: &mut SystemTx,
    by: &Caller,
    act: Act,
    subject: &(dyn std::fmt::Display + Sync),
    details: &[(&str, &str)],
) -> Result<(), MemberError> {
    Ok(audit::record_for(tx, by.tenant, Actor::of(by), act, (subject, details)).await?)
}

/// The caller's role as it is now, under the lock.
fn own_role(members: &[Member], by: &Caller) -> Result<Role, MemberError> {
    members.iter().find(|member| member.user == by.user).map(|member| member.role).ok_or(MemberError::Forbidden)
}

fn find(members: &[Member], id: MemberId) -> Result<&Member, MemberError> {
    members.iter().find(|member| member.id == id).ok_or(MemberError::NotFound)
}

fn another_owner(members: &[Member], than: MemberId) -> Result<(), MemberError> {
    let is_there = members.iter().any(|member| member.role == Role::Owner && member.id != than);
    if is_there { Ok(()) } else { Err(MemberError::LastOwner) }
}
