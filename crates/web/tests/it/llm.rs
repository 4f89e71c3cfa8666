//! The model route: who may call it, what it refuses, and that Anthropic's own client understands it.

use std::process::Stdio;

use axum::body::Body;
use http::{Request, StatusCode};
use testkit::vendor::{FakeVendor, VENDOR_KEY, VendorMood};
use tokio::net::TcpListener;
use web::Limits;

use crate::{
    forward::Line,
    support::{Answer, House},
};

async fn call(house: &House, key: &str, body: String) -> Answer {
    let request = Request::post("/llm/v1/messages").header("x-api-key", key).header("content-type", "application/json");
    house.send(request.body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn a_machines_key_opens_the_model_and_nothing_else() {
    let house = House::new().await;
    let key = house.model_key().await;
    let body = r#"{"model":"berth-proof","max_tokens":10,"messages":[{"role":"user","content":"BERTH-PROOF-0123456789abcdef"}]}"#;
    let answer = call(&house, &key, body.to_owned()).await;
    assert_eq!(answer.json()["content"][0]["text"], "BERTH-PROOF-0123456789abcdef", "{}", answer.text);
    assert_eq!(house.get(&key, "/api/v1/agents").await.status, StatusCode::UNAUTHORIZED);
    let refused = call(&house, "sk-ant-x", body.to_owned()).await;
    assert_eq!(
        (refused.status, refused.json()["error"]["type"].as_str()),
        (StatusCode::UNAUTHORIZED, Some("authentication_error"))
    );
    for (bad, status) in [("{}".to_owned(), 400), ("[".to_owned(), 400), ("x".repeat(5 << 20), 413)] {
        let answer = call(&house, &key, bad).await;
        assert_eq!((answer.status.as_u16(), answer.json()["type"].as_str()), (status, Some("error")));
    }
    let large = format!(r#"{{"messages":[{{"role":"user","content":"{}"}}]}}"#, "x".repeat(3 << 20));
    assert_eq!(call(&house, &key, large).await.status, StatusCode::OK, "a first turn is 60 kB, a long one megabytes");
    house.world.database.sql("update machines set gone_at = now(), state = 'gone'").await;
    assert_eq!(
        call(&house, &key, body.to_owned()).await.status,
        StatusCode::UNAUTHORIZED,
        "the key dies with its machine"
    );
}

#[tokio::test]
#[ignore = "needs Anthropic's client library: scripts/test runs `npm ci` in crates/web/tests/peers first"]
async fn anthropics_own_client_understands_the_proof_model() {
    let house = House::new().await;
    let key = house.model_key().await;
    let base = serve(&house).await;
    peer("node", &["anthropic.mjs", &base, &key]).await;
}

/// The fake vendor is true to the real one as far as its own client can tell: it speaks to it directly.
#[tokio::test]
#[ignore = "needs Anthropic's client library: scripts/test installs it into crates/web/tests/peers first"]
async fn anthropics_own_client_understands_the_fake_vendor() {
    let vendor = FakeVendor::start().await;
    peer(".venv/bin/python", &["anthropic_vendor.py", &vendor.url(), VENDOR_KEY]).await;
    let refused = [
        (VendorMood::Limited, "RateLimitError"),
        (VendorMood::Overloaded, "OverloadedError"),
        (VendorMood::Faulty, "InternalServerError"),
        (VendorMood::Picky, "BadRequestError"),
    ];
    for (mood, kind) in refused {
        vendor.set_mood(mood);
        peer(".venv/bin/python", &["anthropic_refused.py", &vendor.url(), VENDOR_KEY, kind, "", "0"]).await;
    }
}

#[tokio::test]
#[ignore = "needs Anthropic's client library: scripts/test installs it into crates/web/tests/peers first"]
async fn anthropics_own_client_speaks_through_berth_to_a_vendor() {
    let line = Line::new().await;
    let base = serve(&line.house).await;
    peer(".venv/bin/python", &["anthropic_vendor.py", &base, &line.key]).await;
    let calls = line.vendor.calls();
    assert_eq!(calls.len(), 3, "three were answered; two were refused by Berth");
    for call in calls {
        assert_eq!(call.headers["authorization"], format!("Bearer {VENDOR_KEY}"), "the house's key, not the machine's");
        assert_eq!(call.headers["anthropic-version"], "2026-10-21", "the answer comes as this client reads it");
    }
    let refused = [
        (VendorMood::Limited, "RateLimitError", "takes no more calls"),
        (VendorMood::Overloaded, "OverloadedError", "overloaded right now"),
        (VendorMood::Faulty, "InternalServerError", "a fault of its own"),
        (VendorMood::Picky, "BadRequestError", "what you sent is wrong"),
    ];
    for (mood, kind, words) in refused {
        line.vendor.set_mood(mood);
        peer(".venv/bin/python", &["anthropic_refused.py", &base, &line.key, kind, words, "0"]).await;
    }
    // The client would ask again twice; it does not, because it is told that it need not.
    line.house.world.database.sql("update model_days set spent_micros = 5000000").await;
    let before = line.vendor.calls().len();
    let used_up = ["anthropic_refused.py", &base, &line.key, "RateLimitError", "begins anew", "2"];
    let told = || crate::logs::text().lines().filter(|line| line.contains("status=429")).count();
    let told_before = told();
    peer(".venv/bin/python", &used_up).await;
    assert_eq!((line.vendor.calls().len(), told() - told_before), (before, 2), "asked once each, and not again");
}

async fn serve(house: &House) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/llm", listener.local_addr().unwrap());
    tokio::spawn(web::serve(listener, house.router.clone(), Limits::default(), house.web.closing.clone()));
    base
}

/// Runs another client's program beside this test.
async fn peer(program: &str, arguments: &[&str]) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers");
    let program = if program.contains('/') { format!("{folder}/{program}") } else { program.to_owned() };
    let ran = tokio::process::Command::new(&program)
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output();
    let output = ran.await.expect("the program is installed");
    assert!(
        output.status.success(),
        "{arguments:?}: {}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
