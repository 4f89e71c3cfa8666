//! `/metrics`: read by Prometheus' own parser, and silent about whom it counts.

use std::sync::{Arc, OnceLock};

use http::StatusCode;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::support::{House, METRICS_TOKEN};

/// One recorder for all tests of this process.
pub fn render() -> web::Render {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    let handle = RECORDER.get_or_init(|| PrometheusBuilder::new().install_recorder().unwrap()).clone();
    Arc::new(move || handle.render())
}

#[tokio::test]
async fn counts_are_read_with_their_own_token_only() {
    let house = House::new().await;
    assert_eq!(house.get("", "/metrics").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(house.get(&house.alice, "/metrics").await.status, StatusCode::UNAUTHORIZED);
    let answer = house.get(METRICS_TOKEN, "/metrics").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
}

#[tokio::test]
async fn labels_name_routes_and_steps_never_people() {
    let house = House::new().await;
    let agent = house.world.live_agent("scout-marker").await.to_string();
    house.get(&house.alice, &format!("/agents/{agent}")).await;
    house.get(&house.alice, "/agents/../../etc/passwd-marker").await;
    let text = house.get(METRICS_TOKEN, "/metrics").await.text;
    assert!(text.contains(r#"berth_flows{kind="life",step="live"} 1"#), "{text}");
    assert!(text.contains(r#"berth_machines{state="made",health="unknown"} 1"#), "{text}");
    assert!(text.contains(r#"route="/agents/{id}""#), "{text}");
    assert!(text.contains(r#"berth_steps_total{kind="life",step="prove",ended="well"}"#), "{text}");
    for private in [agent.as_str(), "scout-marker", "passwd-marker", "alice", METRICS_TOKEN, &house.alice] {
        assert!(!text.contains(private), "{private} stands in the metrics");
    }
}

#[tokio::test]
async fn what_is_gone_is_not_counted_on() {
    let house = House::new().await;
    let agent = house.world.live_agent("scout").await;
    house.world.remove(agent).await;
    let text = house.get(METRICS_TOKEN, "/metrics").await.text;
    assert!(!text.contains(r#"berth_flows{kind="life""#), "{text}");
}

#[tokio::test]
async fn refusals_are_counted_by_their_status() {
    let house = House::new().await;
    let counted = async |status: &str| {
        let text = house.get(METRICS_TOKEN, "/metrics").await.text;
        let row =
            format!(r#"berth_http_requests_total{{method="POST",route="/admin/pool/refill",status="{status}"}} "#);
        text.lines().find_map(|line| line.strip_prefix(&row)?.parse::<u64>().ok()).unwrap_or_default()
    };
    let before = (counted("401").await, counted("404").await);
    house.post("", "/admin/pool/refill", "").await;
    house.post(&house.mallory, "/admin/pool/refill", "").await;
    let after = (counted("401").await, counted("404").await);
    // Other tests of this process may ask the same meanwhile.
    assert!(after.0 > before.0 && after.1 > before.1, "{before:?} {after:?}");
}
