//! `/admin/alerts`: open ones first to be seen, closed ones to be looked up.

use askama::Template;
use axum::{extract::State, response::Response};
use domain::alert::{AlertKind, DeliveryState, Severity};
use http::StatusCode;
use store::alert_views::{AlertFilter, AlertRow, Delivery};

use crate::{
    api::admin::{self, view::title},
    body::Query,
    guard::Operator,
    pages::{
        self,
        admin::{Choice, Link, Look, PAGE, frame},
        frame::Frame,
        words::{Moment, ago, as_sentence},
    },
    problem::Problem,
    state::Web,
};

/// The page.
#[derive(Debug, Template)]
#[template(path = "admin/alerts.html")]
pub(crate) struct AlertsPage {
    frame: Frame,
    tab: &'static str,
    told: String,
    choices: Vec<Choice>,
    list: AlertList,
    is_open: bool,
    next: Option<String>,
}

/// Alerts, as the overview and the list of them show them.
#[derive(Debug)]
pub(crate) struct AlertList(pub Vec<AlertLine>);

/// One alert among many.
#[derive(Debug)]
pub(crate) struct AlertLine {
    pub(super) id: String,
    pub(super) title: &'static str,
    pub(super) severity: &'static str,
    pub(super) tone: &'static str,
    pub(super) message: String,
    pub(super) about: Link,
    pub(super) opened: Moment,
    pub(super) seen: String,
    pub(super) state: String,
    pub(super) failing: Vec<String>,
}

impl AlertsPage {
    /// `told` says who hears of alerts; `open` is the filter that was asked for.
    pub(crate) fn new(
        rows: &[AlertRow],
        next: Option<String>,
        open: Option<bool>,
        told: &[String],
        look: Look<'_>,
    ) -> Self {
        let choice = |words, to, is| Choice { words, to, is_here: open == is };
        let tone = if open == Some(true) { tone(rows) } else { "berth" };
        Self {
            frame: frame(look.by, "Alerts", "/admin/alerts".to_owned(), tone),
            tab: "alerts",
            told: who_hears(told),
            choices: vec![
                choice("Open", "/admin/alerts", Some(true)),
                choice("Closed", "/admin/alerts?open=false", Some(false)),
                choice("All", "/admin/alerts?open=", None),
            ],
            is_open: open == Some(true),
            list: AlertList::of(rows, look),
            next,
        }
    }
}

impl AlertList {
    pub(crate) fn of(rows: &[AlertRow], look: Look<'_>) -> Self {
        Self(rows.iter().map(|row| AlertLine::new(row, look)).collect())
    }
}

impl AlertLine {
    fn new(row: &AlertRow, look: Look<'_>) -> Self {
        let times = if row.sightings == 1 { "once".to_owned() } else { format!("{} times", row.sightings) };
        Self {
            id: row.id.to_string(),
            title: title(AlertKind::parse(&row.kind)),
            severity: row.severity.name(),
            tone: severity_tone(row),
            message: told_sentence(&row.message),
            about: Link::related(&row.subject),
            opened: look.at(row.opened_at),
            seen: format!("{times}, {}", ago(row.seen_at, look.now)),
            state: state(row),
            failing: row.deliveries.iter().filter(|d| is_failing(d)).map(failing).collect(),
        }
    }
}

/// Who hears of alerts, in a sentence. Nobody hears of them where nothing is set up.
pub(crate) fn who_hears(told: &[String]) -> String {
    if told.is_empty() {
        return "Nobody is told of alerts: they stand on this page only. Set BERTH_ALERT_MAIL_TO or BERTH_ALERT_WEBHOOK_URL, and start Berth again.".to_owned();
    }
    format!("Alerts are told by {}, and again until somebody acknowledges them.", told.join(" and by "))
}

/// The colour of an alert: none is left once it is closed.
pub(crate) const fn severity_tone(row: &AlertRow) -> &'static str {
    match (row.closed_at, row.severity) {
        (Some(_), _) => "off",
        (None, Severity::Critical) => "failed",
        (None, Severity::Warning) => "attention",
    }
}

/// The colour of a page with these alerts.
pub(crate) fn tone(rows: &[AlertRow]) -> &'static str {
    let has = |severity| rows.iter().any(|row| row.closed_at.is_none() && row.severity == severity);
    match () {
        () if has(Severity::Critical) => "failed",
        () if has(Severity::Warning) => "attention",
        () => "live",
    }
}

/// Where an alert is, in a few words.
pub(crate) fn state(row: &AlertRow) -> String {
    match (row.closed_at, &row.acknowledged_by, row.firings) {
        (Some(_), _, _) => "closed".to_owned(),
        (None, Some(by), _) => format!("known to {by}"),
        (None, None, 0) => "not told yet".to_owned(),
        (None, None, 1) => "told once".to_owned(),
        (None, None, 2) => "told twice".to_owned(),
        (None, None, times) => format!("told {times} times"),
    }
}

const fn is_failing(delivery: &Delivery) -> bool {
    matches!(delivery.state, DeliveryState::Pending) && delivery.tries > 0
}

/// With a full stop, and a capital unless it begins with an id.
pub(crate) fn told_sentence(message: &str) -> String {
    let first = message.trim().split(' ').next().unwrap_or_default();
    if first.contains('_') { format!("{}.", message.trim().trim_end_matches('.')) } else { as_sentence(message) }
}

/// `Not delivered by webhook yet: it answered 500, after 3 tries.`
pub(crate) fn failing(delivery: &Delivery) -> String {
    let tries = if delivery.tries == 1 { "1 try".to_owned() } else { format!("{} tries", delivery.tries) };
    let why = delivery.outcome.as_deref().unwrap_or("no answer");
    format!("Not delivered by {} yet: {why}, after {tries}.", delivery.carrier.name())
}

pub(crate) async fn show(State(web): State<Web>, operator: Operator, query: Query) -> Result<Response, Problem> {
    let open = if query.get("open").is_none() { Some(true) } else { admin::yes_or_no(&query, "open")? };
    let after = admin::filter(&query, "after", "the id of an alert")?;
    let mut tx = web.db.system().await?;
    let rows = store::alert_views::list(&mut tx, AlertFilter { open, after }, PAGE + 1).await?;
    drop(tx);
    let (rows, next) = admin::page(rows, PAGE, ("/admin/alerts", &query), |alert| alert.id);
    let look = Look { by: operator.caller(), now: web.dice.now() };
    pages::page(StatusCode::OK, &AlertsPage::new(&rows, next, open, &web.site.carriers, look))
}
