//! What the log and the counts say of refusals and faults, and what neither says of people.

use std::sync::Arc;

use axum::body::Body;
use clients::{fake::Strike, mail::MailError};
use http::{Method, Request, StatusCode};
use web::{Door, Site, Web, listener::Peer};

use crate::{
    logs,
    support::{House, METRICS_TOKEN, ask, send},
};

/// Other tests share the log; these ids are this file's.
const HOSTILE: &str = "019aa6b2-7c1e-7d3f-9b1a-000000000002";
const BROKEN: &str = "019aa6b2-7c1e-7d3f-9b1a-000000000003";

/// PRV-07, PRV-16: an address, a name, a word of a person are in no line, whatever is done and whatever fails.
#[tokio::test]
async fn no_line_of_the_log_holds_an_address_a_name_or_a_word() {
    let house = House::new().await;
    let agent = house.world.live_agent("quiet-agent-marker").await;
    house.join("quiet-member@harbour.example", "member").await;
    house.world.mailer.fail_next(Strike::Before, 1, &MailError::Later(None));
    house.invited("quiet-guest@harbour.example").await;
    let code = house.invite(2).await;
    let signing_up = house.form("", "/signup", &format!("code={code}")).await.cookies();
    for cookies in ["", &signing_up] {
        house.form(cookies, "/auth/mail", "email=quiet-comer%40harbour.example&next=/settings").await;
    }
    house.world.mailer.fail_next(Strike::Before, 9, &MailError::Refused(Some(550)));
    house.form("", "/auth/mail", "email=alice%40example.org").await;
    house.world.run_flows(40).await;
    house.world.mailer.fail_no_more();
    house.form("", "/waitlist", "email=quiet-waiter%40harbour.example").await;
    house.form("", "/waitlist", "email=quiet-not-an-address").await;
    let cookie = house.cookie().await;
    house.form(&cookie, "/settings/tokens", "name=quiet-token-name&days=7&scope=read").await;
    house.form(&cookie, &format!("/agents/{agent}/delete"), "name=quiet-wrong-name").await;
    house.page(&cookie, "/dashboard?quiet-query=quiet-value").await;
    let said = r#"{"text":"quiet-words-of-a-person"}"#;
    house.post(&house.alice, &format!("/api/v1/agents/{agent}/turns?wait=0"), said).await;
    house
        .post(&house.alice, &format!("/api/v1/agents/{agent}/turns?wait=0"), &said.replace("text", "quiet-field"))
        .await;
    house.world.run_flows(40).await;
    house.world.database.sql("revoke insert on agents from berth_tenant").await;
    let broken = house.post(&house.alice, "/api/v1/agents", r#"{"name":"quiet-broken"}"#).await;
    assert_eq!(broken.status, StatusCode::INTERNAL_SERVER_ERROR);
    house.web.db.close().await;
    house.form("", "/waitlist", "email=quiet-later%40harbour.example").await;

    let text = logs::text();
    assert!(text.contains("answered") && text.contains("a letter was refused"), "the log was not kept");
    let is_private = |line: &&str| line.contains("quiet-") || line.contains("PRIVATE KEY");
    let told: Vec<&str> = text.lines().filter(is_private).collect();
    assert_eq!(told, Vec::<&str>::new());
}

/// LOG-16: whatever a caller sends, a request is one line, and nothing in it looks like another.
#[tokio::test]
async fn no_caller_writes_a_line_of_their_own_into_the_log() {
    let mut house = House::new().await;
    let cookie = house.cookie().await;
    house.request_id = Some(HOSTILE);
    let answers = [
        house.get(&house.alice, "/agents/x%0d%0aforged-line%20level=error").await,
        house.get(&house.alice, "/agents/%1b[31mforged-line").await,
        house.get(&house.alice, r#"/x"}{"message":"forged-line"#).await,
        house.get("forged-line\tlevel=error", "/api/v1/me").await,
        house.post(&house.alice, "/api/v1/agents", "{\"name\":\"a\r\nforged-line\u{1b}[31m\"}").await,
        house.post(&house.alice, "/api/v1/agents", "{\"a\r\nforged-line\u{1b}[31m\":1}").await,
        house.form(&cookie, "/agents", "name=a%0d%0aforged-line%1b[31m").await,
        house.form("", "/login", "token=%0d%0aforged-line&next=%0d%0aforged-line").await,
        house.form("", "/auth/mail", "email=a%0d%0aforged-line%40b.example").await,
        house.page("berth_session=forged-line", "/dashboard").await,
        house.page("", &format!("/{}", "forged-line/".repeat(400))).await,
    ];
    let text = logs::text();
    let mine: Vec<&str> = text.lines().filter(|line| line.contains(HOSTILE) && line.contains("answered")).collect();
    assert_eq!(mine.len(), answers.len(), "{mine:#?}");
    assert!(!text.contains('\u{1b}') && !text.contains('\r'));
    for line in text.lines().filter(|line| line.contains("forged-line")) {
        assert!(line.contains("INFO") && line.contains(" path=\""), "{line}");
        assert!(line.len() < 700, "{line}");
        // What a caller chose stands between quotes, with its own quotes marked.
        let path = line.split(" path=\"").nth(1).unwrap();
        let end = path.replace("\\\"", "__").find('"').unwrap();
        assert!(!path[end..].contains("forged-line"), "{line}");
    }
}

async fn counted(house: &House, labels: &str) -> u64 {
    let text = house.get(METRICS_TOKEN, "/metrics").await.text;
    let row = format!("berth_http_requests_total{{{labels}}} ");
    text.lines().find_map(|line| line.strip_prefix(&row)?.parse().ok()).unwrap_or_default()
}

/// LOG-05: who asked too often is counted by route, and the line says so.
#[tokio::test]
async fn a_limit_that_is_passed_is_counted_and_logged() {
    let house = House::new().await;
    let ready: web::Ready = Arc::new(|| Box::pin(async { Ok(()) }));
    let site = Site::new("http://127.0.0.1:8080".parse().unwrap(), None, None, ready);
    let router = web::router(Web { site: Arc::new(site), ..house.web.clone() }, Door::Public);
    let labels = r#"method="POST",route="/api/v1/invites/validate",status="429""#;
    let before = counted(&house, labels).await;
    let id = "019aa6b2-7c1e-7d3f-9b1a-000000000004";
    for _ in 0..12 {
        let request = ask(Method::POST, "/api/v1/invites/validate", "").header("content-type", "application/json");
        let request = request.header("x-request-id", id);
        let mut request: Request<Body> = request.body(Body::from(r#"{"code":"AAAA-BBBB-CCCC"}"#)).unwrap();
        request.extensions_mut().insert(Peer("203.0.113.99:4711".parse().unwrap()));
        send(&router, request).await;
    }
    assert!(counted(&house, labels).await > before);
    let text = logs::text();
    let mut lines = text.lines().filter(|line| line.contains(id) && line.contains("status=429"));
    assert!(lines.next().is_some_and(|line| line.contains("peer=203.0.113.99")), "who asked too often is named");
}

/// LOG-11: what the database refuses is a fault of ours: counted, told in the log at `error`, and not to the caller.
#[tokio::test]
async fn what_the_database_refuses_is_counted_and_told_to_the_operator_only() {
    let mut house = House::new().await;
    let agent = house.world.new_agent("scout").await;
    let labels = r#"method="GET",route="/api/v1/agents/{id}",status="500""#;
    let before = counted(&house, labels).await;
    house.world.database.sql("revoke select on agents from berth_tenant").await;
    house.request_id = Some(BROKEN);
    let answer = house.get(&house.alice, &format!("/api/v1/agents/{agent}")).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!answer.text.contains("permission") && !answer.text.contains("table"), "{}", answer.text);
    let text = logs::text();
    let line = text.lines().find(|line| line.contains(BROKEN) && line.contains("answered")).unwrap();
    assert!(line.contains("ERROR") && line.contains("permission denied for table agents"), "{line}");
    house.request_id = None;
    assert!(counted(&house, labels).await > before);
}

/// LOG-15: an agent's timeline tells every step of its first start, each beginning and each end once.
#[tokio::test]
async fn each_step_of_a_first_start_stands_on_the_timeline_once() {
    let house = House::new().await;
    house.world.live_agent("scout").await;
    let told = "select (what ->> 'event') || ' ' || (what ->> 'step') from timeline \
                where what ->> 'event' like 'step\\_%' order by seq";
    let told = house.world.database.texts(told).await;
    let mut meant = vec!["step_ended reserve".to_owned()]; // it begins with the agent
    for step in ["create", "await", "hello", "apply", "prove"] {
        meant.extend([format!("step_started {step}"), format!("step_ended {step}")]);
    }
    assert_eq!(told, meant);
}
