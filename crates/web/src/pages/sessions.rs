//! `/sessions`: where somebody is signed in, and ending it there.

use askama::Template;
use axum::{extract::State, response::Response};
use domain::{
    SessionId, id,
    people::{Caller, Shown},
};
use http::{StatusCode, header};
use store::sessions::SessionView;

use crate::{
    body::{At, Query},
    guard::Person,
    pages::{self, frame::Frame, words::Moment},
    problem::Problem,
    session,
    state::Web,
};
use chrono::{DateTime, Utc};

/// The page.
#[derive(Debug, Template)]
#[template(path = "sessions.html")]
pub struct SessionsPage {
    frame: Frame,
    sessions: Vec<Line>,
    others: usize,
    ended: bool,
}

#[derive(Debug)]
struct Line {
    id: String,
    browser: String,
    tenant: String,
    is_here: bool,
    began: Moment,
    seen: Moment,
    ends: Moment,
}

impl SessionsPage {
    /// `ended`: one was ended just now.
    #[must_use]
    pub fn new(by: &Caller, sessions: Vec<SessionView>, ended: bool, now: DateTime<Utc>) -> Self {
        let here = this_one(by);
        let at = |at| Moment::new(at, now);
        let line = |session: SessionView| Line {
            is_here: here == Some(session.id),
            id: session.id.to_string(),
            browser: session.browser,
            tenant: session.tenant,
            began: at(session.created_at),
            seen: at(session.seen_at),
            ends: at(session.expires_at),
        };
        let sessions: Vec<Line> = sessions.into_iter().map(line).collect();
        let others = sessions.iter().filter(|line| !line.is_here).count();
        Self { frame: Frame::of(by, "settings", "Sessions"), sessions, others, ended }
    }
}

/// The session that the caller is in; a program with a token is in none.
const fn this_one(by: &Caller) -> Option<SessionId> {
    match by.shown {
        Shown::Session { id, .. } => Some(id),
        Shown::Token(_) => None,
    }
}

pub(crate) async fn show(State(web): State<Web>, person: Person, query: Query) -> Result<Response, Problem> {
    let by = person.caller();
    let mut tx = web.db.system().await?;
    let sessions = app::sessions::list(&mut tx, by).await?;
    drop(tx);
    let page = SessionsPage::new(by, sessions, query.get("ended").is_some(), web.dice.now());
    pages::page(StatusCode::OK, &page)
}

pub(crate) async fn end(State(web): State<Web>, person: Person, At(id): At<id::Session>) -> Result<Response, Problem> {
    let by = person.caller();
    let mut tx = web.db.system().await?;
    if !app::sessions::end(&mut tx, by, id).await? {
        return Err(Problem::not_found());
    }
    tx.commit().await?;
    if this_one(by) != Some(id) {
        return Ok(pages::see_other("/sessions?ended=1"));
    }
    let mut response = pages::see_other("/login");
    for cookie in session::no_cookies(&web.site) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

pub(crate) async fn end_others(State(web): State<Web>, person: Person) -> Result<Response, Problem> {
    let by = person.caller();
    let mut tx = web.db.system().await?;
    app::sessions::end_others(&mut tx, by, this_one(by)).await?;
    tx.commit().await?;
    Ok(pages::see_other("/sessions?ended=1"))
}
