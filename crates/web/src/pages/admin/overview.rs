//! `/admin`: is anybody needed? Open alerts first, then how much there is of everything.

use askama::Template;
use axum::{extract::State, response::Response};
use http::StatusCode;
use store::{
    alert_views::{AlertFilter, AlertRow},
    machine_views::Stats,
};

use crate::{
    guard::Operator,
    pages::{
        self,
        admin::{
            Look,
            alerts::{AlertList, tone, who_hears},
            frame,
        },
        frame::Frame,
    },
    problem::Problem,
    state::Web,
};

/// Alerts on this page; the rest is a link away.
const ALERTS: i64 = 10;

/// The page.
#[derive(Debug, Template)]
#[template(path = "admin/overview.html")]
pub(crate) struct OverviewPage {
    frame: Frame,
    tab: &'static str,
    sum: String,
    told: String,
    list: AlertList,
    more: i64,
    stats: Stats,
}

impl OverviewPage {
    pub(crate) fn new(alerts: &[AlertRow], stats: Stats, told: &[String], look: Look<'_>) -> Self {
        let open = stats.alerts_critical + stats.alerts_warning;
        let shown = i64::try_from(alerts.len()).unwrap_or(i64::MAX);
        Self {
            frame: frame(look.by, "Operate", "/admin".to_owned(), tone(alerts)),
            tab: "overview",
            sum: sum(&stats),
            told: who_hears(told),
            list: AlertList::of(alerts, look),
            more: (open - shown).max(0),
            stats,
        }
    }
}

/// "2 alerts are open, 1 of them not acknowledged. 1 flow is stuck."
fn sum(stats: &Stats) -> String {
    let count = |n: i64, one: &str, many: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {many}") };
    let alerts = match (stats.alerts_critical + stats.alerts_warning, stats.alerts_unacknowledged) {
        (0, _) => "No alert is open.".to_owned(),
        (open, 0) => format!("{}, all acknowledged.", count(open, "alert is open", "alerts are open")),
        (open, new) => format!("{}, {new} not acknowledged.", count(open, "alert is open", "alerts are open")),
    };
    let stuck = match stats.flows_stuck {
        0 => "No flow is stuck.".to_owned(),
        n => format!("{}.", count(n, "flow is stuck", "flows are stuck")),
    };
    format!("{alerts} {stuck}")
}

pub(crate) async fn show(State(web): State<Web>, operator: Operator) -> Result<Response, Problem> {
    let mut tx = web.db.system().await?;
    let filter = AlertFilter { open: Some(true), after: None };
    let alerts = store::alert_views::list(&mut tx, filter, ALERTS).await?;
    let stats = store::machine_views::stats(&mut tx).await?;
    drop(tx);
    let look = Look { by: operator.caller(), now: web.dice.now() };
    pages::page(StatusCode::OK, &OverviewPage::new(&alerts, stats, &web.site.carriers, look))
}
