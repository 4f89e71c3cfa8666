//! `/audit`: who did what in the tenant, newest first.

use askama::Template;
use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use domain::{
    audit::{Act, Head},
    people::Caller,
};
use http::StatusCode;
use store::audit::Row;

use crate::{
    api::{
        admin::{self, PAGE_MAX},
        audit::Names,
    },
    body::Query,
    guard::Member,
    pages::{self, admin::ShortId, frame::Frame, words::Moment},
    problem::Problem,
    state::Web,
};

/// The page.
#[derive(Debug, Template)]
#[template(path = "audit.html")]
pub(crate) struct AuditPage {
    frame: Frame,
    events: Vec<EventLine>,
    head: Option<Kept>,
    next: Option<String>,
}

/// One event among many.
#[derive(Debug)]
pub(crate) struct EventLine {
    pub(super) seq: u64,
    pub(super) at: Moment,
    pub(super) who: String,
    pub(super) did: String,
    pub(super) subject: Option<ShortId>,
    pub(super) details: Vec<(String, String)>,
    pub(super) via: Option<ShortId>,
}

/// The head, to be kept elsewhere.
#[derive(Debug)]
pub(crate) struct Kept(pub String);

impl AuditPage {
    pub(crate) fn new(
        by: &Caller,
        rows: &[Row],
        names: &Names,
        (head, next): (Option<Head>, Option<String>),
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            frame: Frame::of(by, "audit", "Audit"),
            events: rows.iter().map(|row| EventLine::new(row, names, "somebody who is no member now", now)).collect(),
            head: head.as_ref().map(Kept::of),
            next,
        }
    }
}

impl EventLine {
    /// `stranger` names a user whose address the reader does not get.
    pub(crate) fn new(row: &Row, names: &Names, stranger: &str, now: DateTime<Utc>) -> Self {
        let event = &row.event;
        let who = match event.actor.as_str() {
            "berth" => "Berth".to_owned(),
            "shell" => "Somebody at the server".to_owned(),
            actor => names.of(actor).unwrap_or_else(|| stranger.to_owned()),
        };
        let id = |text: &str| (!text.is_empty()).then(|| ShortId::of(text));
        Self {
            seq: event.seq,
            at: Moment::new(row.at, now),
            who,
            did: Act::parse(&event.act).map_or_else(|| event.act.clone(), |act| act.told().to_owned()),
            subject: id(&event.subject),
            details: event.details.clone().into_iter().collect(),
            via: id(&event.via),
        }
    }
}

impl Kept {
    pub(crate) fn of(head: &Head) -> Self {
        Self(format!("{}:{}", head.seq, head.hash))
    }
}

pub(crate) async fn show(State(web): State<Web>, member: Member, query: Query) -> Result<Response, Problem> {
    let (by, after) = (member.caller(), admin::after_event(&query)?);
    let mut tx = web.db.tenant_read(by.tenant).await?;
    let rows = store::audit::latest(&mut tx, after, PAGE_MAX + 1).await?;
    let head = store::audit::head(&mut tx).await?;
    drop(tx);
    let (rows, next) = admin::page(rows, PAGE_MAX, ("/audit", &query), |row| row.event.seq);
    let names = Names::in_tenant(&web.db, by.tenant, &rows).await?;
    pages::page(StatusCode::OK, &AuditPage::new(by, &rows, &names, (head, next), web.dice.now()))
}
