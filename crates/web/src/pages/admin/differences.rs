//! `/admin/differences`: where what was known of payments was otherwise than at Stripe, and when that is looked at.

use askama::Template;
use axum::{extract::State, response::Response};
use domain::billing::{DifferenceKind, StripeEventId};
use http::StatusCode;
use store::{
    billing_differences::{Found, FoundFilter},
    job_views::JobRun,
};

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
    /// What is said where there are none.
    empty: (&'static str, &'static str),
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
        (is_billing, looked): (bool, &Looked),
        look: Look<'_>,
    ) -> Self {
        let is_narrowed = wanted.kind.is_some() || wanted.tenant.is_some();
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
            is_narrowed,
            empty: empty(is_narrowed, is_billing, looked.last.as_ref()),
            last: looked.last.as_ref().map(|run| RunLine::new(run, look)),
            next_run: looked.next.map(|at| look.at(at)),
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

/// Nothing is claimed that was not looked at.
fn empty(is_narrowed: bool, is_billing: bool, last: Option<&JobRun>) -> (&'static str, &'static str) {
    let counts = last.and_then(|run| run.counts.as_ref());
    match (last, counts) {
        _ if is_narrowed => {
            ("No difference is like that", "It may have been forgotten ninety days after it was found.")
        }
        _ if !is_billing => ("Nothing to compare", "Nobody pays here: STRIPE_SECRET_KEY is not set."),
        (None, _) => (
            "Nothing was compared yet",
            "The job billing compares by itself every six hours, once a worker runs. You can have it compare now.",
        ),
        (Some(_), Some(counts)) if counts.get("error").is_none() => (
            "Nothing was otherwise",
            "When it was compared last, every event that Stripe told was here, and every account stood as it does there.",
        ),
        (Some(_), _) => {
            ("None was found before", "The last comparison is not through: what it would find is not known yet.")
        }
    }
}

pub(crate) async fn show(State(web): State<Web>, operator: Operator, query: Query) -> Result<Response, Problem> {
    let wanted = filter(&query)?;
    let mut tx = web.db.system().await?;
    let rows = store::billing_differences::list(&mut tx, wanted, PAGE + 1).await?;
    let looked = looked(&mut tx).await?;
    drop(tx);
    let (rows, next) = admin::page(rows, PAGE, ("/admin/differences", &query), |found| found.id);
    // Times beside each other come from one clock: the database's.
    let now = looked.last.as_ref().map_or_else(|| web.dice.now(), |run| run.now);
    let look = Look { by: operator.caller(), now };
    let is_billing = web.site.payments.is_some();
    pages::page(StatusCode::OK, &DifferencesPage::new(rows, next, &wanted, (is_billing, &looked), look))
}
