//! `/admin/differences`: where what was known of payments was otherwise than at Stripe, and when that is looked at.

use askama::Template;
use axum::{extract::State, response::Response};
use domain::billing::{DifferenceKind, StripeEventId};
use http::StatusCode;
use store::billing_differences::{Found, FoundFilter};

use crate::{
    api::admin::{
        self,
        differences::{Looked, filter, looked},
    },
    body::Query,
    guard::Operator,
    pages::{
        self,
        admin::{Choice, Look, PAGE, ShortId, frame, schedules::RunLine},
        frame::Frame,
        words::Moment,
    },
    problem::Problem,
    state::Web,
};

/// The page.
#[derive(Debug, Template)]
#[template(path = "admin/differences.html")]
pub(crate) struct DifferencesPage {
    frame: Frame,
    tab: &'static str,
    choices: Vec<Choice>,
    /// The one tenant that it is narrowed to.
    tenant: Option<ShortId>,
    is_narrowed: bool,
    last: Option<RunLine>,
    next_run: Option<Moment>,
    differences: Vec<Line>,
    next: Option<String>,
}

#[derive(Debug)]
struct Line {
    found: Moment,
    what: &'static str,
    tenant: Option<ShortId>,
    /// The event's id at Stripe, where it is one.
    event: Option<String>,
    before: Option<String>,
    after: String,
}

impl DifferencesPage {
    pub(crate) fn new(
        rows: Vec<Found>,
        next: Option<String>,
        wanted: &FoundFilter,
        is_looked: &Looked,
        look: Look<'_>,
    ) -> Self {
        let choice = |words, to, is| Choice { words, to, is_here: wanted.kind == is };
        Self {
            frame: frame(look.by, "Differences", "/admin/differences".to_owned(), "berth"),
            tab: "differences",
            choices: vec![
                choice("All", "/admin/differences", None),
                choice("Accounts", "/admin/differences?kind=account", Some(DifferenceKind::Account)),
                choice("Events", "/admin/differences?kind=event", Some(DifferenceKind::Event)),
            ],
            tenant: wanted.tenant.map(ShortId::of),
            is_narrowed: wanted.kind.is_some() || wanted.tenant.is_some(),
            last: is_looked.last.as_ref().map(|run| RunLine::new(run, look)),
            next_run: is_looked.next.map(|at| look.at(at)),
            differences: rows.into_iter().map(|found| Line::new(found, look)).collect(),
            next,
        }
    }
}

impl Line {
    fn new(found: Found, look: Look<'_>) -> Self {
        let difference = found.difference;
        let (what, event) = match difference.kind {
            DifferenceKind::Account => ("otherwise at Stripe", None),
            // It begins with the event's id.
            DifferenceKind::Event => ("a missing event", difference.after.split(' ').next()),
        };
        let event = event.and_then(|id| StripeEventId::parse(id).ok()).map(|id| id.to_string());
        Self {
            found: look.at(found.at),
            what,
            tenant: difference.tenant.map(ShortId::of),
            event,
            before: difference.before,
            after: difference.after,
        }
    }
}

pub(crate) async fn show(State(web): State<Web>, operator: Operator, query: Query) -> Result<Response, Problem> {
    let wanted = filter(&query)?;
    let mut tx = web.db.system().await?;
    let rows = store::billing_differences::list(&mut tx, wanted, PAGE + 1).await?;
    let is_looked = looked(&mut tx).await?;
    drop(tx);
    let (rows, next) = admin::page(rows, PAGE, ("/admin/differences", &query), |found| found.id);
    // Times beside each other come from one clock: the database's.
    let now = is_looked.last.as_ref().map_or_else(|| web.dice.now(), |run| run.now);
    let look = Look { by: operator.caller(), now };
    pages::page(StatusCode::OK, &DifferencesPage::new(rows, next, &wanted, &is_looked, look))
}
