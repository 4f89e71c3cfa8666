//! Signing in without a vendor: one-time links, sessions, personal tokens.

use std::time::Duration;

use domain::{
    Entropy, TenantId, UserId,
    entropy::mint,
    names::Email,
    people::{Caller, LOCAL_ISSUER},
};
use store::{StoreError, SystemTx, people::LinkPurpose};
use vault::{Token, TokenKind};

/// How long a browser stays signed in.
pub const SESSION: Duration = Duration::from_hours(7 * 24);
/// How long a one-time link can be used.
pub const LINK: Duration = Duration::from_hours(1);
/// How long a personal token issued on the command line works.
pub const TOKEN: Duration = Duration::from_hours(90 * 24);
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
    store::people::drop_setup_links(tx).await?;
    let link = Token::mint(entropy, TokenKind::Link);
    store::people::insert_link(tx, &link.hash(), LinkPurpose::Setup, LINK).await?;
    Ok(Some(link))
}

/// What a link is for, if it can still be used.
///
/// # Errors
/// The database.
pub async fn look_at_link(tx: &mut SystemTx, link: &Token) -> Result<Option<LinkPurpose>, StoreError> {
    store::people::link_is_open(tx, &link.hash()).await
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
    email: &Email,
    tenant_name: &str,
) -> Result<Token, LinkError> {
    let name = tenant_name.trim();
    if name.is_empty() || name.chars().count() > TENANT_NAME_MAX || name.chars().any(char::is_control) {
        return Err(LinkError::TenantName);
    }
    store::people::lock_setup(tx).await?;
    let purpose = store::people::use_link(tx, &link.hash()).await?;
    if purpose != Some(LinkPurpose::Setup) || store::people::any_operator(tx).await? {
        return Err(LinkError::Closed);
    }
    let (user, tenant) = local_user(tx, entropy, email, name, true).await?;
    Ok(open_session(tx, entropy, user, tenant).await?)
}

/// Signs in with a one-time link.
///
/// # Errors
/// [`LinkError`]; the caller does not commit.
pub async fn sign_in_by_link(tx: &mut SystemTx, entropy: &dyn Entropy, link: &Token) -> Result<Token, LinkError> {
    match store::people::use_link(tx, &link.hash()).await? {
        Some(LinkPurpose::SignIn(user)) => {
            let tenant = store::people::first_tenant(tx, user).await?.ok_or(LinkError::Closed)?;
            Ok(open_session(tx, entropy, user, tenant).await?)
        }
        Some(LinkPurpose::Setup) | None => Err(LinkError::Closed),
    }
}

/// Signs a browser in with a personal token.
///
/// # Errors
/// The database.
pub async fn sign_in_by_token(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    token: &Token,
) -> Result<Option<Token>, StoreError> {
    let Some(caller) = store::people::caller_by_token(tx, &token.hash()).await? else { return Ok(None) };
    open_session(tx, entropy, caller.user, caller.tenant).await.map(Some)
}

/// Ends a browser's session. Already ended is success.
///
/// # Errors
/// The database.
pub async fn sign_out(tx: &mut SystemTx, session: &Token) -> Result<(), StoreError> {
    store::people::delete_session(tx, &session.hash()).await
}

/// Who holds this session.
///
/// # Errors
/// The database.
pub async fn caller_by_session(tx: &mut SystemTx, session: &Token) -> Result<Option<Caller>, StoreError> {
    store::people::caller_by_session(tx, &session.hash()).await
}

/// Who holds this personal token.
///
/// # Errors
/// The database.
pub async fn caller_by_token(tx: &mut SystemTx, token: &Token) -> Result<Option<Caller>, StoreError> {
    store::people::caller_by_token(tx, &token.hash()).await
}

/// From the command line: a personal token for a local user, who is made if missing, with a tenant of their own.
///
/// # Errors
/// The database.
pub async fn issue_token(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    email: &Email,
    operator: bool,
    name: &str,
) -> Result<Token, StoreError> {
    let (user, tenant) = local_user(tx, entropy, email, email.as_str(), operator).await?;
    let token = Token::mint(entropy, TokenKind::Personal);
    store::people::insert_token(tx, mint(entropy), &token.hash(), (user, tenant), name, TOKEN).await?;
    Ok(token)
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
    store::people::insert_link(tx, &link.hash(), LinkPurpose::SignIn(user), LINK).await?;
    Ok(Some(link))
}

/// The local issuer knows people by the address that somebody with the set-up link or a shell on the server gave.
async fn local_user(
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
            store::people::make_operator(tx, user).await?;
        }
        user
    } else {
        let user = mint(entropy);
        store::people::insert_user(tx, user, (LOCAL_ISSUER, email.as_str()), email, operator).await?;
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

async fn open_session(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    user: UserId,
    tenant: TenantId,
) -> Result<Token, StoreError> {
    let session = Token::mint(entropy, TokenKind::Session);
    store::people::insert_session(tx, mint(entropy), &session.hash(), (user, tenant), SESSION).await?;
    Ok(session)
}
