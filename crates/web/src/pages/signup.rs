//! `/signup`: first the invite, then who you are.
//!
//! The code waits in a cookie while its holder is at a vendor. Here it is only
//! looked at; it is used with the user that it makes ([`app::sign_in::admit`]).

use std::sync::Arc;

use app::limits::Limit;
use askama::Template;
use axum::{extract::State, response::Response};
use domain::{InviteId, invite::InviteCode};
use http::{HeaderMap, StatusCode, header};
use store::SystemTx;

use crate::{
    body::{Form, Query},
    guard::CameFrom,
    pages::{self, frame::Frame, login::Ways},
    problem::Problem,
    session,
    state::{Site, Web},
};

/// How long a browser keeps a code.
const KEPT_SECONDS: i64 = 3600;

/// The page: for the code, or for who somebody is once they have one.
#[derive(Debug, Template)]
#[template(path = "signup.html")]
pub struct SignupPage {
    frame: Frame,
    ways: Ways,
    invited: bool,
    code: String,
    fault: Option<String>,
}

impl SignupPage {
    /// Asks for a code.
    #[must_use]
    pub fn asking(ways: Ways, code: &str, fault: Option<&str>) -> Self {
        let fault = fault.map(str::to_owned);
        Self { frame: Frame::alone("Sign up"), ways, invited: false, code: code.to_owned(), fault }
    }

    /// For somebody with a good code.
    #[must_use]
    pub fn invited(ways: Ways) -> Self {
        Self { invited: true, ..Self::asking(ways, "", None) }
    }
}

const CLOSED: &str = "Nobody can sign up with that code: it was used up, it has expired, or it was typed wrong. Check it, or ask whoever gave it to you for another.";

pub(crate) async fn show(State(web): State<Web>, headers: HeaderMap, query: Query) -> Result<Response, Problem> {
    let ways = Ways::of(&web.site);
    let mut tx = web.db.system().await?;
    if held(&web, &mut tx, &headers).await?.is_some() && query.get("code").is_none() {
        return pages::page(StatusCode::OK, &SignupPage::invited(ways));
    }
    let fault = query.get("closed").map(|_| CLOSED);
    let status = if fault.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    pages::page(status, &SignupPage::asking(ways, query.get("code").unwrap_or_default(), fault))
}

pub(crate) async fn take_code(State(web): State<Web>, came: CameFrom, form: Form) -> Result<Response, Problem> {
    let typed = form.field("code");
    let refused = |fault| {
        let page = SignupPage::asking(Ways::of(&web.site), typed, Some(fault));
        pages::page(StatusCode::UNPROCESSABLE_ENTITY, &page)
    };
    let Some(code) = InviteCode::parse(typed) else {
        return refused("That is no invite code. One has twelve letters and digits: XXXX-XXXX-XXXX.");
    };
    came.spend(&web, |source| Limit::Invite { source }).await?;
    let mut tx = web.db.system().await?;
    if app::invites::look_up(&mut tx, &web.ring, &code).await?.is_none() {
        return refused(CLOSED);
    }
    let mut response = pages::see_other("/signup");
    if let Some(cookie) = session::cookie(&web.site, cookie_name(&web.site), code.symbols(), KEPT_SECONDS) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// The invite that a browser holds, if somebody could sign up with it now.
pub(crate) async fn held(web: &Web, tx: &mut SystemTx, headers: &HeaderMap) -> Result<Option<InviteId>, Problem> {
    let Some(code) = session::shown(headers, cookie_name(&web.site)).and_then(InviteCode::parse) else {
        return Ok(None);
    };
    Ok(app::invites::look_up(tx, &web.ring, &code).await?)
}

/// Takes the code away from a browser that used it.
pub(crate) fn forget(site: &Arc<Site>, response: &mut Response) {
    if let Some(cookie) = session::cookie(site, cookie_name(site), "", 0) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

fn cookie_name(site: &Site) -> &'static str {
    if site.is_https() { "__Host-berth-invite" } else { "berth_invite" }
}
