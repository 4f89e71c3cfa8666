//! People without a vendor: the first operator, local users, one-time links.

use std::time::Duration;

use domain::{
    Entropy, TenantId, UserId, entropy::mint, names::Email, operators::AdminEmails, own_path::OwnPath,
    people::LOCAL_ISSUER,
};
use store::{StoreError, SystemTx, links::LinkPurpose};
use vault::{Token, TokenKind};

use crate::{
    operators,
    sessions::{Opened, open_session},
    sign_in::{self, Arrived, Refused},
};

/// How long a one-time link can be used.
pub const LINK: Duration = Duration::from_hours(1);
/// Most characters of a tenant's name.
pub const TENANT_NAME_MAX: usize = 60;

/// Makes a set-up link if nobody can sign in yet; earlier unused ones stop working.
///
/// # Errors
/// The database.
pub async fn setup_link(tx: &mut SystemTx, entropy: &dyn Entropy) -> Result<Option<Token>, StoreError> {
    store::people::lock_setup(tx).await?;
    if store::people::any_operator(tx).await? {
        return Ok(None);
    }
    store::links::drop_setup_links(tx).await?;
    let link = Token::mint(entropy, TokenKind::Link);
    store::links::insert_link(tx, &link.hash(), &LinkPurpose::Setup, LINK).await?;
    Ok(Some(link))
}

/// What a link is for, if it can still be used.
///
/// # Errors
/// The database.
pub async fn look_at_link(tx: &mut SystemTx, link: &Token) -> Result<Option<LinkPurpose>, StoreError> {
    store::links::link_is_open(tx, &link.hash()).await
}

/// Why a link did not sign anybody in.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Unknown, used, expired, or for something else.
    #[error("this link was used or has expired")]
    Closed,
    /// The tenant's name is empty or too long.
    #[error("a name needs 1 to 60 characters")]
    TenantName,
    /// It was mailed, and its reader may not come in.
    #[error(transparent)]
    Refused(Refused),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The first operator: uses the set-up link up, makes the user and a tenant of their own, opens a session.
///
/// Of two at once exactly one succeeds.
///
/// # Errors
/// [`LinkError`]; the caller does not commit.
pub async fn finish_setup(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    link: &Token,
    (email, tenant_name): (&Email, &str),
    browser: &str,
) -> Result<Opened, LinkError> {
    let name = tenant_name.trim();
    if name.is_empty() || name.chars().count() > TENANT_NAME_MAX || name.chars().any(char::is_control) {
        return Err(LinkError::TenantName);
    }
    store::people::lock_setup(tx).await?;
    let purpose = store::links::use_link(tx, &link.hash()).await?;
    if purpose != Some(LinkPurpose::Setup) || store::people::any_operator(tx).await? {
        return Err(LinkError::Closed);
    }
    let (user, tenant) = local_user(tx, entropy, email, name, false).await?;
    operators::promote(tx, user, "setup").await?;
    Ok(open_session(tx, entropy, (user, tenant), browser).await?)
}

/// Signs in with a one-time link, also one that was mailed.
///
/// # Errors
/// [`LinkError`]; the caller does not commit.
pub async fn sign_in_by_link(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    admins: &AdminEmails,
    link: &Token,
    browser: &str,
) -> Result<(Opened, OwnPath), LinkError> {
    match store::links::use_link(tx, &link.hash()).await? {
        Some(LinkPurpose::SignIn(user)) => {
            let tenant = store::people::first_tenant(tx, user).await?.ok_or(LinkError::Closed)?;
            Ok((open_session(tx, entropy, (user, tenant), browser).await?, OwnPath::dashboard()))
        }
        Some(LinkPurpose::Mailed(mailed)) => {
            let arrived = Arrived {
                issuer: LOCAL_ISSUER,
                subject: mailed.address.as_str(),
                verified_email: Some(&mailed.address),
                invite: mailed.invite,
                again: None,
            };
            match sign_in::admit(tx, entropy, admins, &arrived, browser).await {
                Ok(opened) => Ok((opened, mailed.next)),
                Err(Refused::Store(error)) => Err(LinkError::Store(error)),
                Err(refused) => Err(LinkError::Refused(refused)),
            }
        }
        Some(LinkPurpose::Setup) | None => Err(LinkError::Closed),
    }
}

/// From the command line: a one-time link that signs a known local user in. `None`: there is no such user.
///
/// # Errors
/// The database.
pub async fn sign_in_link(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    email: &Email,
) -> Result<Option<Token>, StoreError> {
    let Some(user) = store::people::user_by_identity(tx, LOCAL_ISSUER, email.as_str()).await? else { return Ok(None) };
    let link = Token::mint(entropy, TokenKind::Link);
    store::links::insert_link(tx, &link.hash(), &LinkPurpose::SignIn(user), LINK).await?;
    Ok(Some(link))
}

/// The local issuer knows people by the address that somebody with the set-up link or a shell on the server gave.
pub(crate) async fn local_user(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    email: &Email,
    tenant_name: &str,
    operator: bool,
) -> Result<(UserId, TenantId), StoreError> {
    store::people::lock_setup(tx).await?;
    let known = store::people::user_by_identity(tx, LOCAL_ISSUER, email.as_str()).await?;
    let user = if let Some(user) = known {
        if operator {
            operators::promote(tx, user, "shell").await?;
        }
        user
    } else {
        let user = mint(entropy);
        store::people::insert_user(tx, user, (LOCAL_ISSUER, email.as_str()), email, operator).await?;
        if operator {
            operators::made(tx, user, "shell").await?;
        }
        user
    };
    let tenant = if let Some(tenant) = store::people::first_tenant(tx, user).await? {
        tenant
    } else {
        let tenant = mint(entropy);
        store::people::insert_tenant(tx, tenant, tenant_name, mint(entropy), user).await?;
        tenant
    };
    Ok((user, tenant))
}
