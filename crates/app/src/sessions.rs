//! Browsers that are signed in.

use std::time::Duration;

use domain::{
    Entropy, SessionId, TenantId, UserId,
    audit::{Act, Actor, NewEvent},
    entropy::mint,
    names::Email,
    people::Caller,
    scopes::Scope,
};
use store::{
    StoreError, SystemTx,
    sessions::{Ended, NewSession, Renewed, SessionView, Standing},
};
use vault::{Token, TokenKind};

use crate::audit;

/// How long a browser stays signed in.
pub const SESSION: Duration = Duration::from_hours(7 * 24);
/// Most characters of a browser's name.
const BROWSER_CHARS_MAX: usize = 60;

/// A session that was opened or renewed, with what the browser keeps of it.
#[derive(Debug)]
pub struct Opened {
    /// The session, and the time.
    pub standing: Standing,
    /// What renews it next; `None` where another request of the browser has got it.
    pub refresh: Option<Token>,
    /// Whether somebody signed up just now.
    pub is_new: bool,
}

/// What came of what a browser presented to renew its session.
#[derive(Debug)]
pub enum Presented {
    /// It goes on.
    Good(Opened),
    /// It was spent before: somebody has a copy, so the session has been ended. The caller commits that and says so.
    Stolen(Standing),
    /// No session has it.
    Unknown,
}

/// From the command line, when an account may be in other hands: ends every session, token and open link of the people
/// with this address. They show anew who they are. Returns how many there are.
///
/// # Errors
/// The database; then nothing may be committed.
pub async fn sign_out_everywhere(tx: &mut SystemTx, email: &Email) -> Result<usize, StoreError> {
    let users = store::sessions::end_everything(tx, email).await?;
    for user in &users {
        store::audit::append_house(tx, &NewEvent::new(Actor::shell(), Act::UserSignOut, user, &[])).await?;
    }
    Ok(users.len())
}

/// Signs a browser in with a personal token.
///
/// # Errors
/// The database.
pub async fn sign_in_by_token(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    token: &Token,
    browser: &str,
) -> Result<Option<Opened>, StoreError> {
    // A session may do everything: a narrow token does not become one.
    let caller = crate::tokens::caller_by_token(tx, token).await?.filter(|caller| caller.scopes.allow(Scope::All));
    let Some(caller) = caller else { return Ok(None) };
    open_session(tx, entropy, (caller.user, caller.tenant), browser).await.map(Some)
}

/// Goes on with a session, under a new token.
///
/// # Errors
/// The database.
pub async fn renew(tx: &mut SystemTx, entropy: &dyn Entropy, presented: &Token) -> Result<Presented, StoreError> {
    let fresh = Token::mint(entropy, TokenKind::Session);
    Ok(match store::sessions::renew(tx, &presented.hash(), &fresh.hash()).await? {
        Renewed::Fresh(standing) => Presented::Good(Opened { standing, refresh: Some(fresh), is_new: false }),
        Renewed::Already(standing) => Presented::Good(Opened { standing, refresh: None, is_new: false }),
        Renewed::Reused(standing, ended) => {
            if let Some(ended) = ended {
                close(tx, &ended, Act::SessionStolen, None).await?;
            }
            Presented::Stolen(standing)
        }
        Renewed::Unknown => Presented::Unknown,
    })
}

/// Ends a browser's session. Already ended is success.
///
/// # Errors
/// The database.
pub async fn sign_out(tx: &mut SystemTx, presented: &Token) -> Result<(), StoreError> {
    match store::sessions::delete_session(tx, &presented.hash()).await? {
        Some(ended) => close(tx, &ended, Act::SessionClose, None).await,
        None => Ok(()),
    }
}

/// Ends the session that a browser's pass shows. Already ended is success.
///
/// # Errors
/// The database.
pub async fn leave(tx: &mut SystemTx, user: UserId, session: SessionId) -> Result<(), StoreError> {
    match store::sessions::end(tx, user, session).await? {
        Some(ended) => close(tx, &ended, Act::SessionClose, None).await,
        None => Ok(()),
    }
}

/// The caller's sessions, the one used last first.
///
/// # Errors
/// The database.
pub async fn list(tx: &mut SystemTx, by: &Caller) -> Result<Vec<SessionView>, StoreError> {
    store::sessions::of_user(tx, by.user).await
}

/// Ends one of the caller's own sessions. `false`: they have no such one.
///
/// # Errors
/// The database.
pub async fn end(tx: &mut SystemTx, by: &Caller, session: SessionId) -> Result<bool, StoreError> {
    let ended = store::sessions::end(tx, by.user, session).await?;
    if let Some(ended) = &ended {
        close(tx, ended, Act::SessionClose, Some(by)).await?;
    }
    Ok(ended.is_some())
}

/// Ends all of the caller's sessions but this one. Returns how many.
///
/// # Errors
/// The database.
pub async fn end_others(tx: &mut SystemTx, by: &Caller, but: Option<SessionId>) -> Result<usize, StoreError> {
    let ended = store::sessions::end_others(tx, by.user, but).await?;
    for one in &ended {
        close(tx, one, Act::SessionClose, Some(by)).await?;
    }
    Ok(ended.len())
}

/// Signs a browser in; returns what its cookies hold.
pub(crate) async fn open_session(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    (user, tenant): (UserId, TenantId),
    browser: &str,
) -> Result<Opened, StoreError> {
    let refresh = Token::mint(entropy, TokenKind::Session);
    let plain = browser.chars().filter(|c| !c.is_control());
    let browser: String = plain.take(BROWSER_CHARS_MAX).collect();
    let new = NewSession {
        id: mint(entropy),
        refresh: refresh.hash(),
        holder: (user, tenant),
        browser: browser.trim(),
        valid: SESSION,
    };
    let standing = store::sessions::insert_session(tx, &new).await?;
    let actor = Actor { id: user.to_string(), via: new.id.to_string() };
    audit::record_for(tx, tenant, actor, Act::SessionOpen, (&new.id, &[])).await?;
    Ok(Opened { standing, refresh: Some(refresh), is_new: false })
}

/// Writes down that a session is over. Without a caller it ended itself.
async fn close(tx: &mut SystemTx, ended: &Ended, act: Act, by: Option<&Caller>) -> Result<(), StoreError> {
    let itself = Actor { id: ended.user.to_string(), via: ended.id.to_string() };
    audit::record_for(tx, ended.tenant, by.map_or(itself, Actor::of), act, (&ended.id, &[])).await
}
