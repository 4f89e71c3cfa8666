//! `/login` and `/logout`: a browser's session, at a vendor, by a mailed link, by a one-time link or a personal token.

use std::sync::Arc;

use app::{
    limits::{self, Limit},
    people::{self, LinkError},
    sessions::{self, Opened},
    sign_in::Refused,
};
use askama::Template;
use axum::{extract::State, response::Response};
use domain::{names::Email, own_path::OwnPath};
use http::{HeaderMap, StatusCode, header};
use vault::{Token, TokenKind};

use crate::{
    api::agents::sentence,
    body::{Form, Query},
    guard::{CameFrom, Visitor},
    pages::{self, frame::Frame, welcome},
    problem::Problem,
    session,
    state::{Site, Web},
};

/// The page. A one-time link is used by its button, not by looking at it: mail scanners open links.
#[derive(Debug, Template)]
#[template(path = "login.html")]
pub struct LoginPage {
    frame: Frame,
    ways: Ways,
    link: Option<String>,
    next: String,
    fault: Option<String>,
    mail_fault: Option<String>,
    email: String,
    is_again: bool,
    is_mailed: bool,
    is_erased: bool,
}

/// How somebody can show who they are, as the pages offer it.
#[derive(Debug, Clone, Default)]
pub struct Ways {
    /// Word and name of each vendor.
    pub vendors: Vec<(&'static str, String)>,
    /// Whether a link can be mailed.
    pub mail: bool,
}

impl Ways {
    pub(crate) fn of(site: &Site) -> Self {
        let vendors = site.sign_in.vendors.iter().map(|vendor| (vendor.slug, vendor.title.clone())).collect();
        Self { vendors, mail: site.sign_in.mails }
    }

    pub(super) fn are_none(&self) -> bool {
        self.vendors.is_empty() && !self.mail
    }
}

impl LoginPage {
    /// `next` is where to go afterwards.
    #[must_use]
    pub fn new(ways: Ways, next: &OwnPath) -> Self {
        Self {
            frame: Frame::alone("Sign in"),
            ways,
            link: None,
            next: next.as_str().to_owned(),
            fault: None,
            mail_fault: None,
            email: String::new(),
            is_again: false,
            is_mailed: false,
            is_erased: false,
        }
    }

    /// For somebody who came with a one-time link.
    #[must_use]
    pub fn with_link(self, link: &str) -> Self {
        Self { link: Some(link.to_owned()), ..self }
    }

    /// What was wrong with a link or a token.
    #[must_use]
    pub fn refused(self, fault: &str) -> Self {
        Self { fault: Some(fault.to_owned()), ..self }
    }

    /// What was wrong with an address.
    #[must_use]
    pub fn refused_mail(self, email: &str, fault: &str) -> Self {
        Self { email: email.to_owned(), mail_fault: Some(fault.to_owned()), ..self }
    }

    /// For somebody who is signed in and has to show anew who they are.
    #[must_use]
    pub fn again(self, again: bool) -> Self {
        Self { is_again: again, ..self }
    }

    /// A link may be on its way.
    #[must_use]
    pub fn mailed(self, mailed: bool) -> Self {
        Self { is_mailed: mailed, ..self }
    }

    /// Somebody erased their account just now.
    #[must_use]
    pub fn erased(self, erased: bool) -> Self {
        Self { is_erased: erased, ..self }
    }
}

pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    Visitor(caller): Visitor,
    query: Query,
) -> Result<Response, Problem> {
    let next = OwnPath::of(query.get("next").unwrap_or_default());
    let page = LoginPage::new(Ways::of(&site), &next).mailed(query.get("mailed").is_some());
    let page = page.erased(query.get("erased").is_some());
    if let Some(link) = query.get("link") {
        return pages::page(StatusCode::OK, &page.with_link(link));
    }
    let again = query.get("again").is_some();
    if caller.is_some() && !again {
        return Ok(pages::see_other(next.as_str()));
    }
    pages::page(StatusCode::OK, &page.again(again && caller.is_some()))
}

pub(crate) async fn sign_in(
    State(web): State<Web>,
    came: CameFrom,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Problem> {
    let next = OwnPath::of(form.field("next"));
    let refused =
        |fault: &str| pages::page(StatusCode::UNAUTHORIZED, &LoginPage::new(Ways::of(&web.site), &next).refused(fault));
    let browser = session::browser(&headers);
    let mut tx = web.db.system().await?;
    if let Some(link) = Token::parse(TokenKind::Link, form.field("link").trim()) {
        return match people::sign_in_by_link(&mut tx, &*web.dice.0, &web.site.sign_in.admins, &link, &browser).await {
            Ok((opened, mailed_next)) => {
                let next = if form.field("next").is_empty() { mailed_next } else { next };
                enter(&web, tx, &headers, &opened, &next).await
            }
            Err(LinkError::Closed | LinkError::TenantName) => {
                drop(tx);
                wrong_link(&web, came).await?;
                refused("That link was used or has expired. Ask for a new one below, or sign in another way.")
            }
            Err(LinkError::Refused(Refused::NeedsInvite | Refused::InviteClosed)) => {
                Ok(pages::see_other("/signup?closed=1"))
            }
            Err(LinkError::Refused(why)) => refused(&format!("{} Ask whoever invited you.", sentence(&why))),
            Err(LinkError::Store(error)) => Err(error.into()),
        };
    }
    let Some(token) = Token::parse(TokenKind::Personal, form.field("token").trim()) else {
        return refused("That is no personal token. It begins with berth_pat_ and has 53 characters.");
    };
    if let Some(opened) = sessions::sign_in_by_token(&mut tx, &*web.dice.0, &token, &browser).await? {
        return enter(&web, tx, &headers, &opened, &next).await;
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
    let mut tx = web.db.system().await?;
    leave(&web, &mut tx, &headers).await?;
    tx.commit().await?;
    let mut response = pages::see_other("/login");
    for cookie in session::no_cookies(&web.site) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Commits a sign-in and answers with its cookies. The session that the browser had before ends with it.
pub(crate) async fn enter(
    web: &Web,
    mut tx: store::SystemTx,
    headers: &HeaderMap,
    opened: &Opened,
    next: &OwnPath,
) -> Result<Response, Problem> {
    leave(web, &mut tx, headers).await?;
    tx.commit().await?;
    Ok(signed_in(&web.site, opened, next))
}

/// Ends the session that a browser shows, by either of its cookies.
async fn leave(web: &Web, tx: &mut store::SystemTx, headers: &HeaderMap) -> Result<(), Problem> {
    if let Some(presented) = session::refresh(&web.site, headers) {
        sessions::sign_out(tx, &presented).await?;
    }
    if let Some(pass) = session::pass(&web.site, headers) {
        sessions::leave(tx, pass.user, pass.session).await?;
    }
    Ok(())
}

/// 303 with the session in cookies that no script can read. Whoever has just signed up sets up an agent first.
pub(crate) fn signed_in(site: &Site, opened: &Opened, next: &OwnPath) -> Response {
    let is_first = opened.is_new && *next == OwnPath::dashboard();
    let mut response = pages::see_other(if is_first { welcome::PATH } else { next.as_str() });
    for cookie in session::cookies(site, opened) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// An address as somebody typed it, or the sentence about it.
pub(crate) fn address(typed: &str) -> Result<Email, String> {
    Email::parse(typed).map_err(|_| "That is no e-mail address. It looks like you@example.org.".to_owned())
}
