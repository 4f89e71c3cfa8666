//! `/metrics`: what this process counted and what the database holds, in the Prometheus text format.
//!
//! Labels are words of ours: a route's pattern, a kind, a step, a state. Never a
//! path as it was asked, an id, a name or an address. Every process answers for
//! itself; what is read from the database is the same in all of them.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::header;
use metrics::{counter, gauge, histogram};
use store::{Db, figures::Count};

use crate::{guard::MetricsCaller, problem::Problem, state::Site};

/// Renders what was counted.
pub type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// One request was answered.
pub(crate) fn answered(method: &http::Method, route: &str, status: u16, took: Duration) {
    let labels = [("method", method.as_str().to_owned()), ("route", route.to_owned()), ("status", status.to_string())];
    counter!("berth_http_requests_total", &labels).increment(1);
    histogram!("berth_http_request_seconds", "route" => route.to_owned()).record(took.as_secs_f64());
}

/// For a Prometheus server, or whatever reads its format.
pub(crate) async fn metrics(
    State(db): State<Db>,
    State(site): State<Arc<Site>>,
    _: MetricsCaller,
) -> Result<Response, Problem> {
    let mut tx = db.system().await?;
    let figures = store::figures::read(&mut tx).await?;
    drop(tx);
    let (connections, idle) = db.connections();
    gauge!("berth_database_connections").set(f64::from(connections));
    gauge!("berth_database_connections_idle").set(count(i64::try_from(idle).unwrap_or(i64::MAX)));
    gauge!("berth_flows_due").set(count(figures.due));
    gauge!("berth_flows_due_oldest_seconds").set(figures.waited_seconds);
    let counted = site.metrics.as_ref().map(|render| render()).unwrap_or_default();
    let mut text = counted;
    write(&mut text, "berth_flows", "Flows by kind and step.", ["kind", "step"], &figures.flows);
    write(&mut text, "berth_machines", "Living machines by state and health.", ["state", "health"], &figures.machines);
    write(&mut text, "berth_spares", "Spare machines by state.", ["pool", "state"], &figures.spares);
    write(&mut text, "berth_alerts_open", "Open alerts by kind.", ["kind", "state"], &figures.alerts);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// A family of gauges that is read anew each time, so that what is gone does not stay at its last value.
fn write(text: &mut String, name: &str, help: &str, labels: [&str; 2], counts: &[Count]) {
    use std::fmt::Write as _;
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge").ok();
    for row in counts {
        let pairs = [(labels[0], &row.kind), (labels[1], &row.state)];
        let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
        let pairs: Vec<String> = pairs.map(|(label, value)| format!("{label}=\"{}\"", plain(value))).collect();
        let braces = if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
        writeln!(text, "{name}{braces} {}", row.count).ok();
    }
}

/// Our words are `[a-z_]`; whatever else stands in a row does not break the format.
fn plain(value: &str) -> String {
    value.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')).take(64).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows; a gauge is a float")]
fn count(rows: i64) -> f64 {
    rows as f64
}
