//! `/auth/{provider}/…`: to a vendor's sign-in and back.
//!
//! What goes out is kept as hashes and bound to the browser by a cookie; what comes
//! back uses the attempt up before the vendor is asked, so of any number of answers
//! with one state one is looked at.

use std::error::Error;

use app::{
    limits::Limit,
    sessions::Opened,
    sign_in::{self, Arrived, Attempt, Refused},
};
use axum::{
    extract::{Path, State},
    response::Response,
};
use domain::{own_path::OwnPath, people::Shown};
use http::{HeaderMap, StatusCode, header};
use store::{SystemTx, sign_ins::SignIn};
use vault::{Token, TokenKind};

use crate::{
    body::Query,
    guard::{CameFrom, Visitor},
    pages::{
        self,
        login::{self, LoginPage, Ways},
        signup,
    },
    problem::Problem,
    session,
    state::{Site, Web},
    vendors::Vendor,
};

/// Longest code and state that are looked at.
const ANSWER_MAX: usize = 4096;

pub(crate) async fn start(
    State(web): State<Web>,
    Path(slug): Path<String>,
    Visitor(caller): Visitor,
    came: CameFrom,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let vendor = web.site.sign_in.vendor(&slug).ok_or_else(unknown_vendor)?;
    let next = OwnPath::of(query.get("next").unwrap_or_default());
    let by_session = |caller: &domain::people::Caller| matches!(caller.shown, Shown::Session { .. });
    let again = caller.filter(|caller| query.get("again").is_some() && by_session(caller)).map(|caller| caller.user);
    let browser = secret(&web.site, &headers).unwrap_or_else(|| sign_in::browser_secret(&*web.dice.0));
    // Whoever it is, is not known yet: each browser counts for itself, and all of a source together.
    came.spend(&web, |source| Limit::SignIn { source, account: browser.expose() }).await?;
    let mut tx = web.db.system().await?;
    let invite = signup::held(&web, &mut tx, &headers).await?;
    if invite.is_none() && query.get("signup").is_some() {
        return Ok(pages::see_other("/signup?closed=1"));
    }
    let attempt = sign_in::begin(&mut tx, &*web.dice.0, (vendor.slug, &browser), (invite, again), &next).await?;
    tx.commit().await?;
    let address = vendor.address(&attempt, again.is_some()).await.map_err(|error| away(vendor, error))?;
    let mut response = pages::see_other(address.as_str());
    let seconds = i64::try_from(store::sign_ins::ATTEMPT.as_secs()).unwrap_or(600);
    if let Some(cookie) = session::cookie(&web.site, cookie_name(&web.site), browser.expose(), seconds) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

pub(crate) async fn callback(
    State(web): State<Web>,
    Path(slug): Path<String>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let vendor = web.site.sign_in.vendor(&slug).ok_or_else(unknown_vendor)?;
    let (came, attempt) = came_back(&web, vendor, &query, &headers).await?;
    let code = query.get("code").filter(|code| !code.is_empty() && code.len() <= ANSWER_MAX);
    let Some(code) = code.filter(|_| query.get("error").is_none()) else {
        // Whatever the vendor says of it is not repeated: it could be anybody's words.
        let words =
            format!("{} did not sign you in: you may have declined there. Try again, or another way.", vendor.title);
        return refused(&web, &came.next, StatusCode::BAD_REQUEST, &words);
    };
    let identity = match vendor.identify((&came, &attempt), code, query.get("iss")).await {
        Ok(identity) => identity,
        Err(error) if error.is_away() => return Err(away(vendor, error)),
        Err(error) => {
            tracing::warn!(vendor = vendor.slug, sign_in = %came.id, error = %error, "a sign-in was refused");
            let words =
                format!("What {} answered could not be trusted, so nobody was signed in. Try again.", vendor.title);
            return refused(&web, &came.next, StatusCode::UNAUTHORIZED, &words);
        }
    };
    let arrived = Arrived {
        issuer: &identity.issuer,
        subject: &identity.subject,
        verified_email: identity.verified_email.as_ref(),
        invite: came.invite,
        again: came.again,
    };
    match admit(&web, &arrived, &session::browser(&headers)).await {
        Ok((tx, opened)) => {
            let mut response = login::enter(&web, tx, &headers, &opened, &came.next).await?;
            if came.invite.is_some() {
                signup::forget(&web.site, &mut response);
            }
            Ok(response)
        }
        Err(Refused::NeedsInvite | Refused::InviteClosed) => Ok(pages::see_other("/signup?closed=1")),
        Err(Refused::NotVerified) => {
            let words = format!(
                "{} did not say that your e-mail address is verified, so Berth cannot make an account with it. Verify it there, then try again.",
                vendor.title
            );
            refused(&web, &came.next, StatusCode::FORBIDDEN, &words)
        }
        Err(Refused::SomebodyElse) => {
            let words = "You signed in there with another account than the one you use here, so nothing was changed. Try again with the same one.";
            refused(&web, &came.next, StatusCode::FORBIDDEN, words)
        }
        Err(Refused::NoTenant) => {
            let words = "Berth knows you, but you belong to no tenant any more. Ask an owner to invite you.";
            refused(&web, &came.next, StatusCode::FORBIDDEN, words)
        }
        Err(Refused::Store(error)) => Err(error.into()),
    }
}

/// The attempt that this browser began; used up from here on.
async fn came_back(
    web: &Web,
    vendor: &Vendor,
    query: &Query,
    headers: &HeaderMap,
) -> Result<(SignIn, Attempt), Problem> {
    let unknown = || {
        let detail = "This sign-in was not begun in this browser within the last ten minutes, or it was used already. Begin again at /login.";
        Problem { slug: "unknown-sign-in", ..Problem::unreadable(detail) }
    };
    let state = query.get("state").filter(|state| state.len() <= ANSWER_MAX).ok_or_else(unknown)?;
    let browser = secret(&web.site, headers).ok_or_else(unknown)?;
    let mut tx = web.db.system().await?;
    let used = sign_in::came_back(&mut tx, (vendor.slug, &browser), state).await?;
    tx.commit().await?;
    used.ok_or_else(unknown)
}

async fn admit(web: &Web, arrived: &Arrived<'_>, browser: &str) -> Result<(SystemTx, Opened), Refused> {
    let mut tx = web.db.system().await?;
    let opened = sign_in::admit(&mut tx, &*web.dice.0, &web.site.sign_in.admins, arrived, browser).await?;
    Ok((tx, opened))
}

fn refused(web: &Web, next: &OwnPath, status: StatusCode, words: &str) -> Result<Response, Problem> {
    pages::page(status, &LoginPage::new(Ways::of(&web.site), next).refused(words))
}

fn unknown_vendor() -> Problem {
    let detail = "Nobody can sign in this way here. The ways that there are stand at /login.";
    Problem { detail: detail.into(), ..Problem::not_found() }
}

fn away(vendor: &Vendor, error: impl Error + Send + Sync + 'static) -> Problem {
    let detail = format!(
        "{} does not answer right now, so nobody can sign in with it. Try again in a minute, or sign in another way at /login.",
        vendor.title
    );
    Problem {
        cause: Some(Box::new(error)),
        retry_after_seconds: Some(30),
        ..Problem::unavailable("vendor-away", detail)
    }
}

/// What ties an attempt to its browser. Attempts of several tabs share it.
fn secret(site: &Site, headers: &HeaderMap) -> Option<Token> {
    Token::parse(TokenKind::Attempt, session::shown(headers, cookie_name(site))?)
}

fn cookie_name(site: &Site) -> &'static str {
    if site.is_https() { "__Host-berth-attempt" } else { "berth_attempt" }
}
