//! `/login` and `/logout`: a browser's session, by personal token or one-time link.

use std::sync::Arc;

use app::{
    limits::{self, Limit},
    people::{self, LinkError},
    sessions::{self, SESSION},
};
use askama::Template;
use axum::{extract::State, response::Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use vault::{Token, TokenKind};

use crate::{
    body::{Form, Query},
    guard::{self, CameFrom, Visitor},
    pages::{self, frame::Frame},
    problem::Problem,
    state::{Site, Web},
};

/// The page. A one-time link is used by its button, not by looking at it: mail scanners open links.
#[derive(Debug, Template)]
#[template(path = "login.html")]
pub struct LoginPage {
    frame: Frame,
    link: Option<String>,
    next: String,
    fault: Option<String>,
}

impl LoginPage {
    /// `next` is where to go afterwards.
    #[must_use]
    pub fn new(link: Option<String>, next: &str, fault: Option<&str>) -> Self {
        let fault = fault.map(str::to_owned);
        Self { frame: Frame::alone("Sign in"), link, next: next.to_owned(), fault }
    }
}

pub(crate) async fn show(Visitor(caller): Visitor, query: Query) -> Result<Response, Problem> {
    let (link, next) = (query.get("link"), own_path(query.get("next").unwrap_or_default()));
    if caller.is_some() && link.is_none() {
        return Ok(pages::see_other(next));
    }
    pages::page(StatusCode::OK, &LoginPage::new(link.map(str::to_owned), next, None))
}

pub(crate) async fn sign_in(State(web): State<Web>, came: CameFrom, form: Form) -> Result<Response, Problem> {
    let next = own_path(form.field("next"));
    let refused = |fault| pages::page(StatusCode::UNAUTHORIZED, &LoginPage::new(None, next, Some(fault)));
    let mut tx = web.db.system().await?;
    if let Some(link) = Token::parse(TokenKind::Link, form.field("link").trim()) {
        return match people::sign_in_by_link(&mut tx, &*web.dice.0, &link).await {
            Ok(session) => {
                tx.commit().await?;
                Ok(signed_in(&web.site, &session, next))
            }
            Err(LinkError::Closed | LinkError::TenantName) => {
                drop(tx);
                wrong_link(&web, came).await?;
                refused("That link was used or has expired. Ask for a new one, or sign in with a token.")
            }
            Err(LinkError::Store(error)) => Err(error.into()),
        };
    }
    let Some(token) = Token::parse(TokenKind::Personal, form.field("token").trim()) else {
        return refused("That is no personal token. It begins with berth_pat_ and has 53 characters.");
    };
    if let Some(session) = sessions::sign_in_by_token(&mut tx, &*web.dice.0, &token).await? {
        tx.commit().await?;
        return Ok(signed_in(&web.site, &session, next));
    }
    drop(tx);
    if let CameFrom(Some(source)) = came {
        limits::spend_at_once(&web.db, Limit::WrongToken { source }).await?;
    }
    refused("Berth does not know that token. It may have expired or been revoked; ask for a new one.")
}

/// Counts a link that is not open.
pub(crate) async fn wrong_link(web: &Web, CameFrom(source): CameFrom) -> Result<(), Problem> {
    match source {
        Some(source) => Ok(limits::spend_at_once(&web.db, Limit::WrongLink { source }).await?),
        None => Ok(()),
    }
}

pub(crate) async fn sign_out(State(web): State<Web>, headers: HeaderMap) -> Result<Response, Problem> {
    if let Some(session) = guard::session_token(&headers, web.site.cookie_name()) {
        let mut tx = web.db.system().await?;
        sessions::sign_out(&mut tx, &session).await?;
        tx.commit().await?;
    }
    let mut response = pages::see_other("/login");
    set_cookie(&mut response, &web.site, "", 0);
    Ok(response)
}

/// 303 with the session in a cookie that no script can read.
pub(crate) fn signed_in(site: &Arc<Site>, session: &Token, next: &str) -> Response {
    let mut response = pages::see_other(next);
    set_cookie(&mut response, site, session.expose(), SESSION.as_secs());
    response
}

fn set_cookie(response: &mut Response, site: &Site, value: &str, seconds: u64) {
    let secure = if site.is_https() { "; Secure" } else { "" };
    let name = site.cookie_name();
    let cookie = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    if let Ok(mut value) = HeaderValue::from_str(&cookie) {
        value.set_sensitive(true);
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
}

/// A path of this site and nothing else: an open redirect would lend our name to others.
fn own_path(next: &str) -> &str {
    let plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if next.starts_with('/') && !next.starts_with("//") && plain { next } else { "/dashboard" }
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn the_way_on_stays_on_this_site() {
        assert_eq!(own_path("/agents/agt_1"), "/agents/agt_1");
        for bad in ["", "//evil", "https://evil", "/\\evil", "/a\r\nb", "javascript:1", "\\\\evil"] {
            assert_eq!(own_path(bad), "/dashboard", "{bad:?}");
        }
    }
}
