//! What whoever runs Berth sees: up, ready, and what a fault looks like from outside.

use std::sync::Arc;

use http::StatusCode;
use web::Ready;

use crate::support::House;

#[tokio::test]
async fn without_its_database_berth_is_up_and_not_ready_and_says_so() {
    let house = House::new().await;
    assert_eq!(house.get("", "/ready").await.text, r#"{"status":"ok"}"#);
    let cookie = house.cookie().await;
    house.web.db.close().await;
    assert_eq!(house.get("", "/health").await.text, r#"{"status":"ok"}"#);
    for path in ["/ready", "/api/v1/agents"] {
        let answer = house.get(&house.alice, path).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(
            (answer.json()["type"].as_str(), &answer.headers["retry-after"]),
            (Some("urn:berth:problem:database-away"), &"5".parse().unwrap())
        );
    }
    let page = house.page(&cookie, "/dashboard").await;
    assert!(
        page.status == StatusCode::SERVICE_UNAVAILABLE && page.text.contains("cannot reach its database"),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn a_missing_part_and_a_panic_are_told_without_their_insides() {
    let missing: Ready = Arc::new(|| Box::pin(async { Err("Machines cannot be made right now.") }));
    let house = House::ready(None, "http://127.0.0.1:8080", missing).await;
    let answer = house.get("", "/ready").await;
    assert_eq!(
        (answer.status, answer.json()["detail"].as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, Some("Machines cannot be made right now."))
    );

    let panics: Ready = Arc::new(|| Box::pin(async { panic!("the insides") }));
    let house = House::ready(None, "http://127.0.0.1:8080", panics).await;
    let answer = house.get("", "/ready").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!answer.text.contains("insides") && answer.json()["request_id"].is_string());
    assert!(answer.headers.contains_key("content-security-policy"));
}

#[tokio::test]
async fn security_txt_names_a_contact_and_does_not_expire_soon() {
    let house = House::new().await;
    let answer = house.get("", "/.well-known/security.txt").await;
    assert!(answer.headers["content-type"] == "text/plain; charset=utf-8");
    assert!(answer.text.starts_with("Contact: mailto:security@berth.example\nExpires: "), "{}", answer.text);
}
