//! A tenant has the keys of an agent's machine replaced: by API and on a page, after its name was typed.

use domain::AgentId;
use http::StatusCode;

use crate::support::House;

async fn live() -> (House, AgentId) {
    let house = House::new().await;
    let agent = house.world.live_agent("scout").await;
    (house, agent)
}

async fn asked(house: &House) -> i64 {
    house.world.database.count("select count(*) from machines where rotation_asked_at is not null").await
}

#[tokio::test]
async fn an_admin_asks_and_the_agent_says_when_its_keys_were_replaced() {
    let (house, agent) = live().await;
    let (at, path) = (format!("/api/v1/agents/{agent}"), format!("/api/v1/agents/{agent}/rotate"));
    for _ in 0..2 {
        assert_eq!(house.post(&house.alice, &path, "").await.status, StatusCode::ACCEPTED);
    }
    assert_eq!(asked(&house).await, 1);
    assert!(house.get(&house.alice, &at).await.json()["machine"].get("keys_replaced_at").is_none());
    house.world.run_flows(20).await;
    let machine = house.get(&house.alice, &at).await.json()["machine"].clone();
    assert!(machine["keys_replaced_at"].as_str() > machine["created_at"].as_str(), "{machine}");
    assert_eq!(asked(&house).await, 0);
    let page = house.page(&house.cookie().await, &format!("/agents/{agent}")).await;
    assert!(page.text.contains("Its gateway token and its machine key were replaced"), "{}", page.text);
}

#[tokio::test]
async fn on_the_page_its_name_is_typed_first() {
    let (house, agent) = live().await;
    let (cookie, path) = (house.cookie().await, format!("/agents/{agent}/rotate"));
    let keys = house.page(&cookie, &format!("/agents/{agent}/credentials")).await;
    assert!(keys.text.contains("Keys of its machine") && keys.text.contains(&path), "{}", keys.text);
    let refused = house.form(&cookie, &path, "name=%3Cb%3Escot").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("That is not its name") && !refused.text.contains("<b>scot"), "{}", refused.text);
    assert_eq!(asked(&house).await, 0);
    let done = house.form(&cookie, &path, "name=scout").await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    assert_eq!(asked(&house).await, 1);
}

#[tokio::test]
async fn nobody_else_may_and_without_a_machine_there_is_nothing_to_replace() {
    let (house, agent) = live().await;
    let path = format!("/api/v1/agents/{agent}/rotate");
    assert_eq!(house.post(&house.mallory, &path, "").await.status, StatusCode::NOT_FOUND);
    let unmade = house.world.new_agent("unmade").await;
    let refused = house.post(&house.alice, &format!("/api/v1/agents/{unmade}/rotate"), "").await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    assert!(refused.text.contains("no machine yet"), "{}", refused.text);
    let page = house.form(&house.cookie().await, &format!("/agents/{unmade}/rotate"), "name=unmade").await;
    assert_eq!(page.status, StatusCode::CONFLICT, "{}", page.text);
    assert_eq!(asked(&house).await, 0);
}
