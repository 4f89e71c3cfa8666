//! Calls passed on to a model vendor: what goes out, what comes back, what is charged.

use std::{future::Future, sync::Arc, time::Duration};

use axum::body::Body;
use clients::model::anthropic::{Anthropic, Limits as Patience};
use domain::model::{Menu, Micros};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use testkit::vendor::{FakeVendor, VENDOR_KEY, VENDOR_WORDS, VendorMood};
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use web::{
    Door,
    llm::{Forwarding, Models},
};

use crate::{
    support::{Answer, House},
    trips::Wire,
};

/// What the fake vendor's counts come to with Haiku: 12 in at 1, 34 out at 5.
const COST: i64 = 12 + 34 * 5;
pub const MAX_TOKENS: i64 = 100;

/// Alice's agent, its machine's model key, and a vendor.
pub struct Line {
    pub house: House,
    pub vendor: FakeVendor,
    pub key: String,
    pub calls: TaskTracker,
}

impl Line {
    pub async fn new() -> Self {
        Self::with("5", Patience::default(), VENDOR_KEY).await
    }

    pub async fn with(budget: &str, patience: Patience, vendor_key: &str) -> Self {
        let mut house = House::new().await;
        let key = house.model_key().await;
        let vendor = FakeVendor::start().await;
        let calls = TaskTracker::new();
        let client = Anthropic::new(&vendor.url(), vendor_key.as_bytes(), patience).unwrap();
        house.web.models = Models::Vendor(Arc::new(Forwarding {
            vendor: Arc::new(client),
            menu: Menu::parse("claude-haiku-4-5", "").unwrap(),
            daily_budget: Micros::parse(budget).unwrap(),
            calls: calls.clone(),
        }));
        house.router = web::router(house.web.clone(), Door::Public);
        Self { house, vendor, key, calls }
    }

    pub fn request(&self, body: &Value) -> Request<Body> {
        let request = Request::post("/llm/v1/messages").header("x-api-key", &self.key);
        let request = request.header("anthropic-beta", "context-1m-2025-08-07").header("cookie", "machine-marker=1");
        request.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap()
    }

    pub async fn call(&self, body: &Value) -> Answer {
        let answer = self.house.send(self.request(body)).await;
        self.settled().await;
        answer
    }

    /// Every call under way has ended and settled.
    pub async fn settled(&self) {
        self.calls.close();
        tokio::time::timeout(Duration::from_secs(20), self.calls.wait()).await.unwrap();
        self.calls.reopen();
        assert_eq!(self.held().await, 0, "a hold is left");
    }

    pub async fn spent(&self) -> i64 {
        self.house.world.database.count("select coalesce(sum(spent_micros), 0)::bigint from model_days").await
    }

    pub async fn held(&self) -> i64 {
        self.house.world.database.count("select coalesce(sum(held_micros), 0)::bigint from model_days").await
    }
}

pub fn ask(words: &str, is_stream: bool) -> Value {
    json!({
        "model": "claude-haiku-4-5", "max_tokens": MAX_TOKENS, "stream": is_stream,
        "messages": [{ "role": "user", "content": words }],
    })
}

/// The worst case of a body.
pub fn worst(body: &Value) -> i64 {
    (i64::try_from(body.to_string().len()).unwrap() + 4096) * 2 + MAX_TOKENS * 5
}

pub fn impatient() -> Patience {
    let short = Duration::from_millis(300);
    Patience { first_event: short, whole: short, idle: short, ..Patience::default() }
}

pub async fn soon<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), wait).await.expect("in time")
}

pub async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..500 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn an_answer_in_one_piece_is_passed_on_and_charged() {
    let line = Line::new().await;
    let body = ask("hello", false);
    let answer = line.call(&body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(answer.json()["content"][0]["text"], VENDOR_WORDS);
    assert_eq!(answer.headers["request-id"], "req_1");
    assert!(!answer.headers.contains_key("anthropic-organization-id"));
    assert_eq!((line.spent().await, line.held().await), (COST, 0));

    let calls = line.vendor.calls();
    let [call] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!(call.body, body.to_string(), "the bytes that were judged are the bytes that went out");
    let names: Vec<&str> = call.headers.keys().map(http::HeaderName::as_str).collect();
    let known = ["x-api-key", "anthropic-version", "content-type", "user-agent", "accept", "host", "content-length"];
    assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
    assert_eq!(call.headers["x-api-key"], VENDOR_KEY);
    assert_eq!(call.headers["anthropic-version"], "2023-06-01");
    assert!(call.headers.values().all(|value| !value.to_str().unwrap().contains(&line.key)));
}

#[tokio::test]
async fn events_are_passed_on_as_they_come() {
    let line = Line::new().await;
    line.vendor.set_gate(false);
    let response = soon(line.house.router.clone().oneshot(line.request(&ask("hello", true)))).await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()["content-type"]),
        (StatusCode::OK, &"text/event-stream".parse().unwrap())
    );
    let mut body = response.into_body();
    let first = soon(body.frame()).await.unwrap().unwrap().into_data().unwrap();
    assert!(first.starts_with(b"event: message_start"), "the first event is here while the second is not made yet");
    assert!(line.held().await > 0 && line.spent().await == 0, "held while it is under way");
    let open = "select count(*) from pg_stat_activity
                where datname = current_database() and state like 'idle in transaction%'";
    assert_eq!(line.house.world.database.count(open).await, 0, "no transaction waits for the vendor");
    line.vendor.set_gate(true);
    let rest = soon(body.collect()).await.unwrap().to_bytes();
    let rest = String::from_utf8(rest.to_vec()).unwrap();
    assert!(rest.trim_end().ends_with("data: {\"type\":\"message_stop\"}") && !rest.contains("event: error"), "{rest}");
    line.settled().await;
    assert_eq!(line.spent().await, COST);
}

#[tokio::test]
async fn a_day_that_is_used_up_is_told_with_its_end() {
    let line = Line::with("0.02", Patience::default(), VENDOR_KEY).await;
    let body = ask("hello", false);
    let mut answers = 0;
    let refused = loop {
        let answer = line.call(&body).await;
        if answer.status != StatusCode::OK {
            break answer;
        }
        answers += 1;
    };
    assert_eq!(
        i64::try_from(answers).unwrap(),
        (20_000 - worst(&body)) / COST + 1,
        "every cent is used as far as a worst case fits"
    );
    let error = refused.json();
    assert_eq!((refused.status.as_u16(), error["error"]["type"].as_str()), (429, Some("rate_limit_error")));
    let words = error["error"]["message"].as_str().unwrap();
    assert!(words.contains("of $0.02") && words.contains("00:00 UTC") && error["request_id"].is_string(), "{words}");
    let after: u32 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=86_400).contains(&after) && refused.headers["x-should-retry"] == "false");
    assert_eq!(line.vendor.calls().len(), answers, "the vendor hears nothing of it");

    let mut large = body.clone();
    large["max_tokens"] = json!(4000);
    let never = line.call(&large).await;
    assert!(never.status == StatusCode::BAD_REQUEST && never.text.contains("Shorten it"), "{}", never.text);
    assert!(line.spent().await <= 20_000);
}

#[tokio::test]
async fn what_is_too_large_too_deep_or_unknown_is_refused_before_any_work() {
    let line = Line::new().await;
    let deep = ask("X", false).to_string().replace("\"X\"", &"[".repeat(100_000));
    let table = [
        (ask(&"x".repeat(10 << 20), false).to_string(), 413),
        (deep, 400),
        (r#"{"model":"claude-haiku-4-5""#.to_owned(), 400),
        (ask("x", false).to_string().replace("claude-haiku-4-5", "claude-opus-9"), 404),
        (ask("x", false).to_string().replace("\"stream\"", "\"speed\""), 400),
    ];
    for (body, status) in table {
        let request = Request::post("/llm/v1/messages").header("x-api-key", &line.key);
        let answer = line.house.send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["type"].as_str()),
            (status, Some("error")),
            "{}",
            answer.text
        );
    }
    let none = "select count(*) from model_days";
    assert_eq!(line.house.world.database.count(none).await, 0);
    assert_eq!(line.vendor.calls().len(), 0);
}

#[tokio::test]
async fn a_key_pays_for_its_own_tenant_and_a_wrong_one_for_nobody() {
    let line = Line::new().await;
    let wrong = Request::post("/llm/v1/messages").header("x-api-key", format!("{}x", line.key));
    let answer = line.house.send(wrong.body(Body::from(ask("hello", false).to_string())).unwrap()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let database = &line.house.world.database;
    assert_eq!((database.count("select count(*) from model_days").await, line.vendor.calls().len()), (0, 0));

    let mallory = line.house.world.mallory.caller.tenant.uuid();
    database.sql(&format!("update machines set tenant_id = '{mallory}'")).await;
    assert_eq!(line.call(&ask("hello", false)).await.status, StatusCode::OK);
    let theirs = format!("select spent_micros from model_days where tenant_id = '{mallory}'");
    assert_eq!((database.count(&theirs).await, line.spent().await), (COST, COST), "mallory's machine, mallory's day");
    for (token, used) in [(&line.house.alice, 0), (&line.house.mallory, COST)] {
        let seen = line.house.get(token, "/api/v1/model").await.json();
        assert_eq!(seen["budget"]["used_micro_usd"], used);
    }

    database.sql("update machines set tenant_id = null, agent_id = null").await;
    let spare = line.call(&ask("hello", false)).await;
    assert!(spare.text.contains("not an AI"), "a spare has nobody who pays: {}", spare.text);
    assert_eq!(line.vendor.calls().len(), 1);
}

#[tokio::test]
async fn a_proof_costs_nothing_even_when_nothing_is_left() {
    let line = Line::with("0", Patience::default(), VENDOR_KEY).await;
    let database = &line.house.world.database;
    let nonce = "BERTH-PROOF-0123456789abcdef0123456789abcdef";
    let asked = ask(&format!("Please answer with exactly this word: {nonce}"), true);
    let unknown = line.call(&asked).await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST, "a nonce that Berth did not draw is words like others");
    database.sql(&format!("update proofs set nonce = '{nonce}', asked_at = berth.now() - interval '11 minutes'")).await;
    assert_eq!(line.call(&asked).await.status, StatusCode::BAD_REQUEST, "nor is an old one");
    database.sql("update proofs set asked_at = berth.now()").await;
    let proof = line.call(&asked).await;
    assert!(proof.status == StatusCode::OK && proof.text.contains(nonce), "{}", proof.text);
    let mut named = ask("hello", false);
    named["model"] = json!("berth-proof");
    assert!(line.call(&named).await.text.contains("not an AI"), "an agent that was not told yet");
    assert_eq!((line.vendor.calls().len(), line.spent().await), (0, 0));
}

#[tokio::test]
async fn the_tenant_sees_who_answers_and_what_is_used() {
    let line = Line::new().await;
    line.call(&ask("hello", false)).await;
    let cookie = line.house.cookie().await;
    let page = line.house.page(&cookie, "/dashboard").await.text;
    assert!(page.contains("Claude Haiku 4.5 answers, through Berth") && page.contains(">$0.01</span> of"), "{page}");
    let model = line.house.get(&line.house.alice, "/api/v1/model").await.json();
    assert_eq!((&model["is_proof_model"], &model["budget"]["calls"]), (&json!(false), &json!(1)));
    assert_eq!(model["budget"]["limit_micro_usd"], 5_000_000);
    let plain = House::new().await;
    let cookie = plain.cookie().await;
    plain.world.live_agent("scout").await;
    let page = plain.page(&cookie, "/dashboard").await.text;
    assert!(page.contains("it is not a real model"), "{page}");
    let model = plain.get(&plain.alice, "/api/v1/model").await.json();
    assert_eq!((&model["model"], &model["budget"]), (&json!("berth-proof"), &Value::Null));
}

/// Finding the caller: begin, look, and the rollback on the way. Holding: begin, hold, commit. Settling: the same.
/// The last three and the rollback are not waited for by the caller.
#[tokio::test]
async fn a_call_takes_nine_round_trips_to_the_database() {
    let mut line = Line::new().await;
    let wire = Wire::to(&line.house.world.database).await;
    line.house.web.db = wire.db.clone();
    line.house.router = web::router(line.house.web.clone(), Door::Public);
    let mut counts = Vec::new();
    for _ in 0..3 {
        let before = wire.trips();
        assert_eq!(line.call(&ask("hello", false)).await.status, StatusCode::OK);
        counts.push(wire.trips() - before);
    }
    let [_, second, third] = counts[..] else { panic!() };
    assert_eq!((second, third), (9, 9), "the first call also prepares its statements: {counts:?}");
}

#[tokio::test]
async fn no_words_and_no_key_are_kept_anywhere() {
    let line = Line::with("5", impatient(), VENDOR_KEY).await;
    let words = "question-marker-of-a-person";
    for mood in [VendorMood::Well, VendorMood::Cut(4), VendorMood::Picky, VendorMood::Garbled, VendorMood::Mute] {
        line.vendor.set_mood(mood);
        for is_stream in [true, false] {
            line.call(&ask(words, is_stream)).await;
        }
    }
    assert_eq!(line.vendor.calls().len(), 10);
    // Before the database is searched: those statements name what they look for.
    let log = crate::logs::text();
    let database = &line.house.world.database;
    for table in database.tables().await {
        for marker in [words, VENDOR_WORDS, VENDOR_KEY] {
            let held = format!("select count(*) from {table} t where t::text like '%{marker}%'");
            assert_eq!(database.count(&held).await, 0, "{table} holds {marker}");
        }
    }
    assert!(log.contains("TRACE") && log.contains("a model call ended"), "the log says what happened, at every level");
    for marker in [words, VENDOR_WORDS, VENDOR_KEY, "vendor words", &line.key] {
        assert_eq!(crate::logs::told(&log, marker), None, "the log holds {marker}");
    }
}
