//! The model route: who may call it, what it refuses, and that Anthropic's own client understands it.

use std::process::Stdio;

use axum::body::Body;
use http::{Request, StatusCode};
use tokio::net::TcpListener;
use web::Limits;

use crate::support::{Answer, House};

/// The virtual model key of a machine: known by hash only, so the test plants one of its own.
async fn model_key(house: &House) -> String {
    house.world.live_agent("scout").await;
    let token = vault::Token::mint(&*house.web.dice.0, vault::TokenKind::Model);
    let hash = vault::digest(token.expose().as_bytes());
    house.world.database.sql(&format!("update machines set model_key_hash = '\\x{hash}'")).await;
    token.expose().to_owned()
}

async fn call(house: &House, key: &str, body: String) -> Answer {
    let request = Request::post("/llm/v1/messages").header("x-api-key", key).header("content-type", "application/json");
    house.send(request.body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn a_machines_key_opens_the_model_and_nothing_else() {
    let house = House::new().await;
    let key = model_key(&house).await;
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
    let key = model_key(&house).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/llm", listener.local_addr().unwrap());
    tokio::spawn(web::serve(listener, house.router.clone(), Limits::default(), house.web.closing.clone()));
    let peer = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/anthropic.mjs");
    let ran = tokio::process::Command::new("node")
        .args([peer, &base, &key])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output();
    let output = ran.await.expect("node is installed");
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
