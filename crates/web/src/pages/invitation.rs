//! `/invitation`: joining a tenant by the link that was mailed.

use app::members::MemberError;
use askama::Template;
use axum::{extract::State, response::Response};
use domain::{
    own_path::OwnPath,
    people::{Caller, Shown},
};
use http::{HeaderMap, StatusCode};
use store::members::Invitation;
use vault::{Token, TokenKind};

use crate::{
    api::agents::sentence,
    body::{Form, Query},
    guard::Visitor,
    pages::{self, frame::Frame, login},
    problem::Problem,
    session,
    state::Web,
};

/// The page. The link is used by its button, not by looking at it: mail scanners open links.
#[derive(Debug, Template)]
#[template(path = "invitation.html")]
pub(crate) struct InvitationPage {
    frame: Frame,
    open: Option<Open>,
    fault: Option<String>,
}

#[derive(Debug)]
struct Open {
    link: String,
    tenant: String,
    role: &'static str,
    email: String,
    by: String,
    /// The address of whoever is signed in.
    who: Option<String>,
    login: String,
}

impl InvitationPage {
    /// `who` is signed in, if anybody is.
    pub(crate) fn open(link: &str, invitation: &Invitation, who: Option<&Caller>) -> Self {
        let open = Open {
            link: link.to_owned(),
            tenant: invitation.tenant_name.clone(),
            role: invitation.role.name(),
            email: invitation.email.as_str().to_owned(),
            by: invitation.invited_by.clone(),
            who: who.map(|caller| caller.email.as_str().to_owned()),
            login: pages::login_address(&format!("/invitation?link={link}")),
        };
        Self { frame: Frame::alone("Invitation"), open: Some(open), fault: None }
    }

    /// Says that the link works no longer.
    pub(crate) fn closed() -> Self {
        Self { frame: Frame::alone("Invitation"), open: None, fault: None }
    }

    /// With what stands in the way.
    pub(crate) fn refused(self, fault: String) -> Self {
        Self { fault: Some(fault), ..self }
    }
}

pub(crate) async fn show(State(web): State<Web>, visitor: Visitor, query: Query) -> Result<Response, Problem> {
    page(&web, browser(visitor).as_ref(), query.get("link").unwrap_or_default(), None).await
}

pub(crate) async fn accept(
    State(web): State<Web>,
    visitor: Visitor,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Problem> {
    let (who, text) = (browser(visitor), form.field("link"));
    let Some(link) = Token::parse(TokenKind::Link, text) else { return page(&web, None, "", None).await };
    let mut tx = web.db.system().await?;
    let done = match &who {
        Some(by) => app::members::accept(&mut tx, &*web.dice.0, &link, by).await.map(|_| None),
        None => app::members::accept_by_mail(&mut tx, &*web.dice.0, &link, &session::browser(&headers)).await.map(Some),
    };
    match done {
        Ok(opened) => {
            tx.commit().await?;
            Ok(opened.map_or_else(
                || pages::see_other("/dashboard"),
                |opened| login::signed_in(&web.site, &opened, &OwnPath::dashboard()),
            ))
        }
        Err(error @ (MemberError::IsMember | MemberError::SignInFirst)) => {
            drop(tx);
            page(&web, who.as_ref(), text, Some(sentence(&error))).await
        }
        Err(MemberError::Closed) => pages::page(StatusCode::GONE, &InvitationPage::closed()),
        Err(error) => Err(error.into()),
    }
}

/// Whoever is signed in with a browser: a token joins nothing.
fn browser(Visitor(caller): Visitor) -> Option<Caller> {
    caller.filter(|caller| matches!(caller.shown, Shown::Session { .. }))
}

async fn page(web: &Web, who: Option<&Caller>, text: &str, fault: Option<String>) -> Result<Response, Problem> {
    let closed = || pages::page(StatusCode::GONE, &InvitationPage::closed());
    let Some(link) = Token::parse(TokenKind::Link, text) else { return closed() };
    let mut tx = web.db.system().await?;
    let Some(invitation) = app::members::look_at_invitation(&mut tx, &link).await? else { return closed() };
    drop(tx);
    let page = InvitationPage::open(text, &invitation, who);
    match fault {
        Some(fault) => pages::page(StatusCode::CONFLICT, &page.refused(fault)),
        None => pages::page(StatusCode::OK, &page),
    }
}
