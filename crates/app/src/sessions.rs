//! Browsers that are signed in.

use std::time::Duration;

use domain::{Entropy, TenantId, UserId, entropy::mint, people::Caller};
use store::{StoreError, SystemTx};
use vault::{Token, TokenKind};

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
    let Some(caller) = store::tokens::caller_by_token(tx, &token.hash()).await? else { return Ok(None) };
    open_session(tx, entropy, caller.user, caller.tenant).await.map(Some)
}

/// Ends a browser's session. Already ended is success.
///
/// # Errors
/// The database.
pub async fn sign_out(tx: &mut SystemTx, session: &Token) -> Result<(), StoreError> {
    store::sessions::delete_session(tx, &session.hash()).await
}

/// Signs a browser in; returns what its cookie holds.
pub(crate) async fn open_session(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    user: UserId,
    tenant: TenantId,
) -> Result<Token, StoreError> {
    let session = Token::mint(entropy, TokenKind::Session);
    store::sessions::insert_session(tx, mint(entropy), &session.hash(), (user, tenant), SESSION).await?;
    Ok(session)
}
