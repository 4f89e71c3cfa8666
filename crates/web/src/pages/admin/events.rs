//! `/admin/events`: what Stripe told Berth, and what came of it.

use askama::Template;
use axum::{extract::State, response::Response};
use http::StatusCode;
use store::event_views::EventView;

use crate::{
    api::admin,
    body::Query,
    guard::Operator,
    pages::{
        self,
        admin::{Choice, Look, PAGE, ShortId, frame},
        frame::Frame,
        words::{Moment, as_sentence},
    },
    problem::Problem,
    state::Web,
};

/// The page.
#[derive(Debug, Template)]
#[template(path = "admin/stripe_events.html")]
pub(crate) struct EventsPage {
    frame: Frame,
    tab: &'static str,
    choices: Vec<Choice>,
    wanted: Wanted,
    events: Vec<Line>,
    next: Option<String>,
}

/// The filters, as they were typed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub waiting: Option<bool>,
    pub kind: String,
    pub name: String,
    pub tenant: String,
}

impl Wanted {
    fn of(query: &Query, waiting: Option<bool>) -> Self {
        let word = |name| query.get(name).unwrap_or_default().trim().to_owned();
        Self { waiting, kind: word("kind"), name: word("name"), tenant: word("tenant") }
    }

    fn is_any(&self) -> bool {
        self.waiting.is_some() || [&self.kind, &self.name, &self.tenant].iter().any(|word| !word.is_empty())
    }
}

#[derive(Debug)]
struct Line {
    id: String,
    kind: String,
    tone: &'static str,
    state: &'static str,
    money: &'static str,
    name: String,
    received: Moment,
    outcome: String,
    tenant: Option<ShortId>,
}

impl EventsPage {
    pub(crate) fn new(rows: &[EventView], next: Option<String>, wanted: Wanted, look: Look<'_>) -> Self {
        let choice = |words, to, is| Choice { words, to, is_here: wanted.waiting == is };
        Self {
            frame: frame(look.by, "Events", "/admin/events".to_owned(), "berth"),
            tab: "events",
            choices: vec![
                choice("All", "/admin/events", None),
                choice("Waiting", "/admin/events?waiting=true", Some(true)),
                choice("Understood", "/admin/events?waiting=false", Some(false)),
            ],
            wanted,
            events: rows.iter().map(|row| Line::new(row, look)).collect(),
            next,
        }
    }
}

impl Line {
    fn new(row: &EventView, look: Look<'_>) -> Self {
        let (tone, state) = state(row);
        Self {
            id: row.id.to_string(),
            kind: title(&row.kind).to_owned(),
            tone,
            state,
            money: money(row.is_live),
            name: row.name.clone(),
            received: look.at(row.received_at),
            outcome: outcome(row),
            tenant: row.tenant.map(ShortId::of),
        }
    }
}

/// Whether it is understood, with its colour.
pub(crate) const fn state(row: &EventView) -> (&'static str, &'static str) {
    match (row.read_at, row.flow) {
        (Some(_), _) => ("done", "understood"),
        (None, Some(_)) => ("working", "waiting"),
        // Nobody reads it unless somebody asks for it.
        (None, None) => ("attention", "left lying"),
    }
}

/// Stripe's word, if it said one.
pub(crate) const fn title(kind: &str) -> &str {
    if kind.is_empty() { "without a kind" } else { kind }
}

/// Which of Stripe's two moneys it is about.
pub(crate) const fn money(is_live: bool) -> &'static str {
    if is_live { "real" } else { "test" }
}

/// What came of it, in a sentence.
pub(crate) fn outcome(row: &EventView) -> String {
    let words = match (&row.outcome, row.flow) {
        (Some(outcome), _) => outcome,
        (None, Some(_)) => "it is kept as it came, and not understood yet",
        (None, None) => "nobody is at it; have it read again",
    };
    as_sentence(words)
}

pub(crate) async fn show(State(web): State<Web>, operator: Operator, query: Query) -> Result<Response, Problem> {
    let filter = admin::events::filter(&query)?;
    let mut tx = web.db.system().await?;
    let rows = store::event_views::list(&mut tx, filter, PAGE + 1).await?;
    drop(tx);
    let (rows, next) = admin::page(rows, PAGE, ("/admin/events", &query), |event| event.id);
    // Times beside each other come from one clock: the database's.
    let look = Look { by: operator.caller(), now: rows.first().map_or_else(|| web.dice.now(), |row| row.now) };
    pages::page(StatusCode::OK, &EventsPage::new(&rows, next, Wanted::of(&query, filter.waiting), look))
}
