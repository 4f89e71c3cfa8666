//! Structured logs on standard error, and what is counted for `/metrics`; what may stand in either is in
//! `docs/LOGGING.md`.

use std::{io::IsTerminal as _, sync::Arc, time::Duration};

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::{
    settings::{BadSetting, Values, bad},
    traces,
};

/// Starts logging as configured.
pub(crate) fn start() -> Result<(), BadSetting> {
    let values = Values::of_process()?;
    let filter = EnvFilter::try_new(values.need("BERTH_LOG")?.as_str())
        .map_err(|_| bad("BERTH_LOG", "is no filter, such as info or info,flows=debug"))?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let traces = values.get("OTEL_EXPORTER_OTLP_ENDPOINT")?;
    let traces = traces.map(|endpoint| traces::layer(&endpoint)).transpose()?;
    let registry = tracing_subscriber::registry().with(filter).with(traces);
    match values.need("BERTH_LOG_FORMAT")?.as_str() {
        "json" => registry.with(lines.json()).init(),
        "text" => registry.with(lines.with_target(false).with_ansi(std::io::stderr().is_terminal())).init(),
        _ => return Err(bad("BERTH_LOG_FORMAT", "must be text or json")),
    }
    Ok(())
}

/// From a millisecond to two minutes: requests at one end, making a machine at the other.
const SECONDS: [f64; 12] = [0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 45.0, 120.0];

/// Starts counting; what is returned renders the counts. Once in a process.
pub(crate) fn count() -> anyhow::Result<web::Render> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .context("counting cannot begin")?;
    describe();
    let upkeep = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            upkeep.run_upkeep();
        }
    });
    Ok(Arc::new(move || handle.render()))
}

/// What the names mean, for whoever reads `/metrics`. What is read from the database says so itself.
fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!("berth_http_requests_total", Unit::Count, "Requests answered, by method, route and status.");
    describe_histogram!(
        "berth_http_request_seconds",
        Unit::Seconds,
        "From a request's complete head to its answer's head."
    );
    describe_counter!("berth_steps_total", Unit::Count, "Steps of flows that were run, by how they ended.");
    describe_histogram!("berth_step_seconds", Unit::Seconds, "How long steps of flows took, with their settling.");
    describe_gauge!("berth_database_connections", Unit::Count, "Open connections to the database.");
    describe_gauge!("berth_database_connections_idle", Unit::Count, "Those that nobody uses.");
    describe_gauge!("berth_flows_due", Unit::Count, "Flows that are due and that no worker holds.");
    describe_gauge!("berth_flows_due_oldest_seconds", Unit::Seconds, "How long the oldest of them has waited.");
}
