//! A process that was started without a usable key: it serves what needs no secret, and says what it cannot do.

use std::sync::Arc;

use http::StatusCode;
use vault::Keyring;
use web::Door;

use crate::support::House;

async fn sealed() -> House {
    let mut house = House::new().await;
    house.world.live_agent("scout").await;
    house.web.ring = Arc::new(Keyring::default());
    house.router = web::router(house.web.clone(), Door::Public);
    house
}

#[tokio::test]
async fn pages_and_health_are_served_and_secrets_are_not() {
    let house = sealed().await;
    let cookie = house.cookie_of(&house.alice).await;
    assert_eq!(house.get("", "/health").await.status, StatusCode::OK);
    for path in ["/dashboard", "/team", "/settings", "/credentials"] {
        assert_eq!(house.page(&cookie, path).await.status, StatusCode::OK, "{path}");
    }
    let agents = house.get(&house.alice, "/api/v1/agents").await.json();
    let agent = agents["agents"][0]["id"].as_str().unwrap().to_owned();
    let bodies = [
        (format!("/api/v1/agents/{agent}/turns"), r#"{"text":"hello"}"#),
        ("/api/v1/credentials".to_owned(), r#"{"kind":"openai","value":"sk-1234567890"}"#),
        ("/api/v1/invites/validate".to_owned(), r#"{"code":"ABCD-EFGH-JKLM"}"#),
    ];
    for (path, body) in bodies {
        let answer = house.post(&house.alice, &path, body).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}: {}", answer.text);
        let problem = answer.json();
        assert!(problem["type"].as_str().unwrap().ends_with("sealed"), "{path}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains("Nothing was changed"), "{problem}");
    }
    assert_eq!(house.world.database.count("select count(*) from exchanges").await, 0);
    assert_eq!(house.world.database.count("select count(*) from credentials").await, 0);
}
