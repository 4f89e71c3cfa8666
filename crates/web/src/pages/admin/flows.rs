//! `/admin/flows`: every flow, each with what it waits for.

use askama::Template;
use axum::{extract::State, response::Response};
use domain::waiting;
use http::StatusCode;
use store::flow_views::FlowView;

use crate::{
    api::admin::{self, view::subject},
    body::Query,
    guard::Operator,
    pages::{
        self,
        admin::{Link, Look, PAGE, ShortId, frame},
        frame::Frame,
        words::{ago, took},
    },
    problem::Problem,
    state::Web,
};

/// The page.
#[derive(Debug, Template)]
#[template(path = "admin/flows.html")]
pub(crate) struct FlowsPage {
    frame: Frame,
    tab: &'static str,
    wanted: Wanted,
    flows: Vec<Line>,
    next: Option<String>,
}

/// The filters, as they were typed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub kind: String,
    pub step: String,
    pub subject: String,
    pub tenant: String,
    pub stuck: bool,
}

impl Wanted {
    fn of(query: &Query) -> Self {
        let word = |name| query.get(name).unwrap_or_default().trim().to_owned();
        Self {
            kind: word("kind"),
            step: word("step"),
            subject: word("subject"),
            tenant: word("tenant"),
            stuck: query.get("stuck") == Some("true"),
        }
    }

    fn is_any(&self) -> bool {
        self.stuck || [&self.kind, &self.step, &self.subject, &self.tenant].iter().any(|word| !word.is_empty())
    }
}

#[derive(Debug)]
struct Line {
    id: ShortId,
    kind: String,
    step: String,
    tone: &'static str,
    about: Link,
    tenant: Option<ShortId>,
    waiting: String,
    since: String,
}

impl FlowsPage {
    pub(crate) fn new(rows: &[FlowView], next: Option<String>, wanted: Wanted, look: Look<'_>) -> Self {
        let tone = if rows.iter().any(|flow| flow.stuck) { "attention" } else { "berth" };
        Self {
            frame: frame(look.by, "Flows", "/admin/flows".to_owned(), tone),
            tab: "flows",
            wanted,
            flows: rows.iter().map(Line::new).collect(),
            next,
        }
    }
}

impl Line {
    fn new(flow: &FlowView) -> Self {
        Self {
            id: ShortId::of(flow.id),
            kind: flow.kind.clone(),
            step: flow.step.clone(),
            tone: tone(flow),
            about: Link::subject(&flow.kind, &subject(&flow.kind, flow.subject)),
            tenant: flow.tenant.map(ShortId::of),
            waiting: waiting::sentence(&flow.facts()),
            since: match (flow.now - flow.step_since).num_milliseconds() {
                ms @ ..60_000 => took(ms),
                _ => ago(flow.step_since, flow.now).trim_end_matches(" ago").to_owned(),
            },
        }
    }
}

/// The colour of a flow: stuck ones stand out, one with a worker at it is seen to move.
pub(crate) fn tone(flow: &FlowView) -> &'static str {
    match () {
        () if flow.step == "failed" => "failed",
        () if flow.stuck => "attention",
        () if flow.step == "live" => "live",
        () if flow.deadline_at.is_some() => "working",
        () => "off",
    }
}

pub(crate) async fn show(State(web): State<Web>, operator: Operator, query: Query) -> Result<Response, Problem> {
    let filter = admin::flows::filter(&query)?;
    let mut tx = web.db.system().await?;
    let rows = store::flow_views::list(&mut tx, filter, PAGE + 1).await?;
    drop(tx);
    let (rows, next) = admin::page(rows, PAGE, ("/admin/flows", &query), |flow| flow.id);
    let look = Look { by: operator.caller(), now: web.dice.now() };
    pages::page(StatusCode::OK, &FlowsPage::new(&rows, next, Wanted::of(&query), look))
}
