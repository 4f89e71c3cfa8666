//! Browsers that are signed in.

use std::time::Duration;

use domain::{
    Entropy, SessionId, TenantId, UserId,
    audit::{Act, Actor},
    entropy::mint,
    people::Caller,
    scopes::Scope,
};
use store::{StoreError, SystemTx};
use vault::{Token, TokenKind};

use crate::audit;

/// How long a browser stays signed in.
pub const SESSION: Duration = Duration::from_hours(7 * 24);

/// Who holds this session.
///
/// # Errors
/// The database.
pub async fn caller_by_session(tx: &mut SystemTx, session: &Token) -> Result<Option<Caller>, StoreError> {
    store::sessions::caller_by_session(tx, &session.hash()).await
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
    // A session may do everything: a narrow token does not become one.
    let caller = crate::tokens::caller_by_token(tx, token).await?.filter(|caller| caller.scopes.allow(Scope::All));
    let Some(caller) = caller else { return Ok(None) };
    open_session(tx, entropy, caller.user, caller.tenant).await.map(Some)
}

/// Ends a browser's session. Already ended is success.
///
/// # Errors
/// The database.
pub async fn sign_out(tx: &mut SystemTx, session: &Token) -> Result<(), StoreError> {
    let Some((id, user, tenant)) = store::sessions::delete_session(tx, &session.hash()).await? else { return Ok(()) };
    let actor = Actor { id: user.to_string(), via: id.to_string() };
    audit::record_for(tx, tenant, actor, Act::SessionClose, (&id, &[])).await
}

/// Signs a browser in; returns what its cookie holds.
pub(crate) async fn open_session(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    user: UserId,
    tenant: TenantId,
) -> Result<Token, StoreError> {
    let session = Token::mint(entropy, TokenKind::Session);
    let id: SessionId = mint(entropy);
    store::sessions::insert_session(tx, id, &session.hash(), (user, tenant), SESSION).await?;
    let actor = Actor { id: user.to_string(), via: id.to_string() };
    audit::record_for(tx, tenant, actor, Act::SessionOpen, (&id, &[])).await?;
    Ok(session)
}
