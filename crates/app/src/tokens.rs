//! Personal API tokens: shown once, stored as a hash, no wider than whoever issues them.

use std::time::Duration;

use domain::{
    Entropy, TokenId,
    audit::{Act, Actor},
    entropy::mint,
    names::Email,
    people::{Caller, Shown, shown_name},
    scopes::{Scope, Scopes},
};
use store::{StoreError, SystemTx};
use vault::{Token, TokenKind};

use crate::{audit, people::local_user};

/// How long a personal token issued on the command line works.
pub const TOKEN: Duration = Duration::from_hours(90 * 24);
/// Longest life of a token that a person issues, in days.
pub const DAYS_MAX: u32 = 365;
/// Most tokens of one person in one tenant.
pub const TOKENS_MAX: usize = 50;

/// Who holds this personal token.
///
/// # Errors
/// The database.
pub async fn caller_by_token(tx: &mut SystemTx, token: &Token) -> Result<Option<Caller>, StoreError> {
    Ok(store::tokens::holder(tx, &token.hash()).await?.map(|holder| holder.caller))
}

/// The same for a request: the use is written down, once a minute.
///
/// # Errors
/// The database.
pub async fn use_token(mut tx: SystemTx, token: &Token) -> Result<Option<Caller>, StoreError> {
    let Some(holder) = store::tokens::holder(&mut tx, &token.hash()).await? else { return Ok(None) };
    if let (true, Shown::Token(id)) = (holder.is_unmarked, holder.caller.shown) {
        store::tokens::mark_used(&mut tx, id).await?;
        tx.commit().await?;
    }
    Ok(Some(holder.caller))
}

/// Why a token was not issued or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The name is empty or too long.
    #[error("a token's name has 1 to 60 characters")]
    Name,
    /// The life is too short or too long.
    #[error("a token works for 1 to 365 days")]
    Days,
    /// Nothing was chosen, or a word is unknown.
    #[error("choose what the token may do: read, agents:write, talk, members:write, tokens:write, operate or all")]
    Scopes,
    /// A narrow token asks for a wider one.
    #[error("a token cannot issue one that may do more than itself")]
    TooWide,
    /// It could operate, and its owner gave no second factor lately.
    #[error("a token that can operate this Berth needs your second factor: give it at /factor first")]
    Factor,
    /// Too many.
    #[error("you have 50 tokens here; revoke one that is not used first")]
    TooMany,
    /// There is no such token of the caller's.
    #[error("there is no such token")]
    NotFound,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What somebody wants of a token.
#[derive(Debug, Clone)]
pub struct Wish<'a> {
    /// What they call it.
    pub name: &'a str,
    /// What it may do; words of [`Scope`].
    pub scopes: Vec<&'a str>,
    /// How long it works.
    pub days: u32,
}

/// Issues a token to the caller, for the tenant they act for. The token is in the answer and nowhere else.
///
/// # Errors
/// [`TokenError`]; the caller does not commit.
pub async fn issue(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    wish: &Wish<'_>,
    by: &Caller,
) -> Result<(TokenId, Token), TokenError> {
    let name = shown_name(wish.name).ok_or(TokenError::Name)?;
    let scopes = Scopes::parse(&wish.scopes).ok_or(TokenError::Scopes)?;
    if wish.days == 0 || wish.days > DAYS_MAX {
        return Err(TokenError::Days);
    }
    if !by.scopes.cover(scopes) {
        return Err(TokenError::TooWide);
    }
    if by.is_operator && scopes.allow(Scope::Operate) && !may_operate(tx, by).await? {
        return Err(TokenError::Factor);
    }
    if store::tokens::list(tx, by.user, by.tenant).await?.len() >= TOKENS_MAX {
        return Err(TokenError::TooMany);
    }
    let (id, token): (TokenId, Token) = (mint(entropy), Token::mint(entropy, TokenKind::Personal));
    let valid = Duration::from_hours(u64::from(wish.days) * 24);
    store::tokens::insert_token(tx, id, &token.hash(), (by.user, by.tenant), name, (scopes, valid)).await?;
    let words: Vec<&str> = scopes.words().collect();
    let details = [("days", &*wish.days.to_string()), ("scopes", &words.join(" "))];
    audit::record_for(tx, by.tenant, Actor::of(by), Act::TokenIssue, (&id, &details)).await?;
    Ok((id, token))
}

/// Otherwise a token would be a way round the second factor.
async fn may_operate(tx: &mut SystemTx, by: &Caller) -> Result<bool, StoreError> {
    match by.shown {
        Shown::Token(_) => Ok(by.scopes.allow(Scope::Operate)),
        Shown::Session { id, .. } => Ok(store::operators::standing(tx, by.user, id).await?.is_fresh),
    }
}

/// Revokes a token of the caller's: from the commit on no process takes it.
///
/// # Errors
/// [`TokenError`]; the caller does not commit.
pub async fn revoke(tx: &mut SystemTx, id: TokenId, by: &Caller) -> Result<(), TokenError> {
    store::tokens::delete(tx, id, (by.user, by.tenant)).await?.ok_or(TokenError::NotFound)?;
    audit::record_for(tx, by.tenant, Actor::of(by), Act::TokenRevoke, (&id, &[])).await?;
    Ok(())
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
    let id: TokenId = mint(entropy);
    store::tokens::insert_token(tx, id, &token.hash(), (user, tenant), name, (Scopes::ALL, TOKEN)).await?;
    let details = [("for", &*user.to_string()), ("scopes", Scope::All.name())];
    audit::record_for(tx, tenant, Actor::shell(), Act::TokenIssue, (&id, &details)).await?;
    Ok(token)
}
