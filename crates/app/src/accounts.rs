//! A person erases their own account.
//!
//! Who they were goes at once: identities, address, sessions, tokens. A tenant that they share goes on
//! without them; one that is theirs alone is erased after its thirty days, as if they had asked for that.

use chrono::{DateTime, Utc};
use domain::{
    Entropy, TenantId,
    audit::{Act, Actor},
    people::{Caller, Role},
};
use store::{StoreError, SystemTx, members::Member};

use crate::{audit, tenants, tenants::TenantError};

/// What came of an erased account's tenants.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Tenants that go on without them.
    pub left: Vec<TenantId>,
    /// Tenants that were theirs alone, and when each is erased.
    pub ending: Vec<(TenantId, DateTime<Utc>)>,
}

/// Why an account was left as it is.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// A tenant with other people in it would be without an owner.
    #[error(
        "you are the only owner of {0}, and others belong to it: hand the ownership over on its team page, or remove them, then erase your account"
    )]
    LastOwner(String),
    /// Nobody would run the service.
    #[error(
        "you are the only operator of this Berth: make somebody else one first (`berth admin issue-token --operator` on its server), then erase your account"
    )]
    LastOperator,
    /// A tenant of theirs could not be ended.
    #[error(transparent)]
    Tenant(#[from] TenantError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Erases the caller's account and commits.
///
/// # Errors
/// [`AccountError`]; nothing was written.
pub async fn erase(mut tx: SystemTx, entropy: &dyn Entropy, by: &Caller) -> Result<Erased, AccountError> {
    // One at a time, so that two last operators do not both go.
    store::people::lock_setup(&mut tx).await?;
    store::accounts::lock(&mut tx, by.user).await?;
    if by.is_operator && !store::accounts::another_operator(&mut tx, by.user).await? {
        return Err(AccountError::LastOperator);
    }
    let mut all = store::members::tenants_of(&mut tx, by.user).await?;
    all.sort_by_key(|one| one.tenant.uuid()); // everybody who locks several locks them in this order
    let mut erased = Erased::default();
    let mut alone = Vec::new();
    for one in &all {
        let members = store::members::lock(&mut tx, one.tenant).await?;
        let Some(own) = members.iter().find(|member| member.user == by.user) else { continue };
        if members.len() == 1 {
            alone.push(one.tenant);
            continue;
        }
        if is_last_owner(own, &members) {
            return Err(AccountError::LastOwner(one.name.clone()));
        }
        erased.left.push(one.tenant);
        let (actor, role) = (Actor::of(by), [("role", own.role.name())]);
        audit::record_for(&mut tx, one.tenant, actor, Act::MemberLeave, (&own.id, &role)).await?;
    }
    for tenant in alone {
        let after: DateTime<Utc>;
        (tx, after) = end(tx, entropy, tenant, by).await?;
        erased.ending.push((tenant, after));
    }
    for one in &all {
        store::accounts::forget_author(&mut tx, one.tenant, &by.email).await?;
    }
    audit::record_house(&mut tx, by, Act::AccountErase, &by.user, &[]).await?;
    store::accounts::erase(&mut tx, by.user, &by.email).await?;
    tx.commit().await?;
    Ok(erased)
}

/// Has a tenant erased, unless that is wanted already.
async fn end(
    mut tx: SystemTx,
    entropy: &dyn Entropy,
    tenant: TenantId,
    by: &Caller,
) -> Result<(SystemTx, DateTime<Utc>), AccountError> {
    if let Some(after) = store::tenants::erasure(&mut tx, tenant).await?.flatten() {
        return Ok((tx, after));
    }
    let (tx, after) = tenants::end(tx, entropy, tenant, by).await?;
    Ok((tx.into_house().await?, after))
}

fn is_last_owner(own: &Member, members: &[Member]) -> bool {
    own.role == Role::Owner && !members.iter().any(|other| other.role == Role::Owner && other.id != own.id)
}
