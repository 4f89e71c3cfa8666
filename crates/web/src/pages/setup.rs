//! `/setup`: the first operator, by the one-time link that was printed at start.

use app::people::LinkError;
use askama::Template;
use axum::{extract::State, response::Response};
use domain::{names::Email, own_path::OwnPath};
use http::{HeaderMap, StatusCode};
use store::links::LinkPurpose;
use vault::{Token, TokenKind};

use crate::{
    api::agents::sentence,
    body::{Form, Query},
    guard::CameFrom,
    pages::{self, frame::Frame, login},
    problem::Problem,
    session::browser,
    state::Web,
};

/// The page; `link` is the caller's own and goes back into the form.
#[derive(Debug, Template)]
#[template(path = "setup.html")]
pub struct SetupPage {
    frame: Frame,
    is_open: bool,
    link: String,
    email: String,
    tenant: String,
    email_fault: Option<String>,
    tenant_fault: Option<String>,
}

impl SetupPage {
    /// The form, empty.
    #[must_use]
    pub fn open(link: &str) -> Self {
        Self {
            frame: Frame::alone("Set up"),
            is_open: true,
            link: link.to_owned(),
            email: String::new(),
            tenant: String::new(),
            email_fault: None,
            tenant_fault: None,
        }
    }

    /// Says that the link is used up.
    #[must_use]
    pub fn closed() -> Self {
        Self { is_open: false, ..Self::open("") }
    }

    /// The form as it was filled in, with what is wrong with it.
    #[must_use]
    pub fn refused(self, form: (&str, &str), email_fault: Option<String>, tenant_fault: Option<String>) -> Self {
        Self { email: form.0.to_owned(), tenant: form.1.to_owned(), email_fault, tenant_fault, ..self }
    }
}

pub(crate) async fn show(State(web): State<Web>, came: CameFrom, query: Query) -> Result<Response, Problem> {
    let text = query.get("link").unwrap_or_default();
    let Some(link) = Token::parse(TokenKind::Link, text) else {
        return pages::page(StatusCode::GONE, &SetupPage::closed());
    };
    let mut tx = web.db.system().await?;
    match app::people::look_at_link(&mut tx, &link).await? {
        Some(LinkPurpose::Setup) => pages::page(StatusCode::OK, &SetupPage::open(text)),
        Some(LinkPurpose::SignIn(_) | LinkPurpose::Mailed(_)) => Ok(pages::see_other(&format!("/login?link={text}"))),
        None => {
            drop(tx);
            login::wrong_link(&web, came).await?;
            pages::page(StatusCode::GONE, &SetupPage::closed())
        }
    }
}

pub(crate) async fn finish(
    State(web): State<Web>,
    came: CameFrom,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Problem> {
    let (text, typed) = (form.field("link"), (form.field("email"), form.field("tenant")));
    let again = |email, tenant| {
        pages::page(StatusCode::UNPROCESSABLE_ENTITY, &SetupPage::open(text).refused(typed, email, tenant))
    };
    let Some(link) = Token::parse(TokenKind::Link, text) else {
        return pages::page(StatusCode::GONE, &SetupPage::closed());
    };
    let email = match Email::parse(typed.0) {
        Ok(email) => email,
        Err(error) => return again(Some(sentence(&error)), None),
    };
    let mut tx = web.db.system().await?;
    match app::people::finish_setup(&mut tx, &*web.dice.0, &link, (&email, typed.1), &browser(&headers)).await {
        Ok(opened) => {
            tx.commit().await?;
            Ok(login::signed_in(&web.site, &opened, &OwnPath::dashboard()))
        }
        Err(error @ LinkError::TenantName) => again(None, Some(sentence(&error))),
        Err(LinkError::Closed | LinkError::Refused(_)) => {
            drop(tx);
            login::wrong_link(&web, came).await?;
            pages::page(StatusCode::GONE, &SetupPage::closed())
        }
        Err(LinkError::Store(error)) => Err(error.into()),
    }
}
