//! Out of service, on an operator's word: whatever somebody shows, in every process, within a second.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;
use web::{ROUTES, guard::Needs, routes::Verb};

use crate::support::{House, ask};

const WHY: &str = "ticket 4711, mails were sent to strangers";

struct Stage {
    house: House,
    operator: String,
    agent: domain::AgentId,
    cookie: String,
    tenant: String,
    user: String,
}

impl Stage {
    async fn new() -> Self {
        let house = House::new().await;
        let agent = house.world.live_agent("scout").await;
        let operator = house.operator("night@example.org").await;
        let cookie = house.cookie().await;
        let alice = &house.world.alice.caller;
        let (tenant, user) = (alice.tenant.to_string(), alice.user.to_string());
        Self { house, operator, agent, cookie, tenant, user }
    }

    async fn suspend(&self, what: &str) -> StatusCode {
        let path = format!("/api/admin/v1/{what}/suspension");
        self.house.post(&self.operator, &path, &json!({ "reason": WHY }).to_string()).await.status
    }

    async fn restore(&self, what: &str) -> StatusCode {
        let path = format!("/api/admin/v1/{what}/suspension");
        let request = ask(Method::DELETE, &path, &self.operator).body(axum::body::Body::empty()).unwrap();
        self.house.send(request).await.status
    }
}

#[tokio::test]
async fn a_suspended_person_is_refused_whatever_they_show() {
    let stage = Stage::new().await;
    let house = &stage.house;
    assert_eq!(house.page(&stage.cookie, "/dashboard").await.status, StatusCode::OK);
    assert_eq!(stage.suspend(&format!("users/{}", stage.user)).await, StatusCode::NO_CONTENT);
    let mut refused = 0;
    for route in ROUTES {
        let is_hers = matches!(route.needs, Needs::Person | Needs::Member(_));
        if !is_hers || route.path.contains('{') || route.verb != Verb::Get {
            continue;
        }
        let by_token = house.get(&house.alice, route.path).await;
        let by_cookie = house.page(&stage.cookie, route.path).await;
        for answer in [by_token, by_cookie] {
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}: {}", route.path, answer.text);
            assert!(answer.text.contains(WHY), "{}: {}", route.path, answer.text);
        }
        refused += 1;
    }
    assert!(refused > 10, "{refused}");
    let restored = stage.restore(&format!("users/{}", stage.user)).await;
    assert_eq!(restored, StatusCode::NO_CONTENT);
    assert_eq!(house.page(&stage.cookie, "/dashboard").await.status, StatusCode::OK, "the session stayed");
    assert_eq!(house.get(&house.alice, "/api/v1/agents").await.status, StatusCode::OK);
}

/// The page of an invitation is open to everybody: what is done there asks for itself.
#[tokio::test]
async fn a_suspended_person_joins_no_other_tenant() {
    let stage = Stage::new().await;
    let house = &stage.house;
    let (_, link) = house.invited("carol@example.org").await;
    let me = house.get(&house.mallory, "/api/v1/me").await.json();
    let cookie = house.cookie_of(&house.mallory).await;
    assert_eq!(stage.suspend(&format!("users/{}", me["user"].as_str().unwrap())).await, StatusCode::NO_CONTENT);
    let members = "select count(*) from members";
    let before = house.world.database.count(members).await;
    let answer = house.form(&cookie, "/invitation", &format!("link={link}")).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.text);
    assert!(answer.text.contains(WHY), "{}", answer.text);
    assert_eq!(house.world.database.count(members).await, before);
}

#[tokio::test]
async fn a_suspended_tenants_people_and_models_are_refused_and_its_agents_stop() {
    let stage = Stage::new().await;
    let house = &stage.house;
    let other = house.second_tenant().await;
    assert_eq!(stage.suspend(&format!("tenants/{}", stage.tenant)).await, StatusCode::NO_CONTENT);
    for (method, path) in
        [(Method::GET, "/api/v1/agents"), (Method::GET, "/api/v1/me"), (Method::GET, "/api/v1/export")]
    {
        let request = ask(method, path, &house.alice).body(axum::body::Body::empty()).unwrap();
        let answer = house.send(request).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}: {}", answer.text);
        assert!(answer.text.contains(WHY), "{}", answer.text);
    }
    assert_eq!(house.world.agent(stage.agent).await.unwrap().wanted.name(), "stopped");
    let open = "select count(*) from machines c join tenants t on t.id = c.tenant_id \
                where c.gone_at is null and t.suspended_at is null and t.name = 'alice'";
    assert_eq!(house.world.database.count(open).await, 0);
    // A person of several tenants goes on in another one.
    assert_eq!(house.page(&stage.cookie, "/tenants").await.status, StatusCode::OK);
    let switched = house.form(&stage.cookie, &format!("/tenants/{other}/switch"), "").await;
    assert_eq!(switched.status, StatusCode::SEE_OTHER, "{}", switched.text);
    assert_eq!(house.page(&stage.cookie, "/dashboard").await.status, StatusCode::OK);
    // Others are not concerned.
    assert_eq!(house.get(&house.mallory, "/api/v1/agents").await.status, StatusCode::OK);
    assert_eq!(stage.restore(&format!("tenants/{}", stage.tenant)).await, StatusCode::NO_CONTENT);
    assert_eq!(house.get(&house.alice, "/api/v1/agents").await.status, StatusCode::OK);
    assert_eq!(house.world.agent(stage.agent).await.unwrap().wanted.name(), "stopped");
}

#[tokio::test]
async fn a_suspended_tenants_model_key_opens_nothing() {
    let stage = Stage::new().await;
    let house = &stage.house;
    let key = vault::Token::mint(&*house.web.dice.0, vault::TokenKind::Model);
    let hash = vault::digest(key.expose().as_bytes());
    house.world.database.sql(&format!("update machines set model_key_hash = '\\x{hash}'")).await;
    let call = async || {
        let body = r#"{"model":"proof","max_tokens":9,"messages":[{"role":"user","content":"x"}]}"#;
        let request = http::Request::builder().method(Method::POST).uri("/llm/v1/messages");
        let request = request.header("x-api-key", key.expose()).header("content-type", "application/json");
        house.send(request.body(axum::body::Body::from(body)).unwrap()).await.status
    };
    assert_eq!(call().await, StatusCode::OK);
    stage.suspend(&format!("tenants/{}", stage.tenant)).await;
    assert_eq!(call().await, StatusCode::UNAUTHORIZED);
    stage.restore(&format!("tenants/{}", stage.tenant)).await;
    assert_eq!(call().await, StatusCode::OK);
}

/// Another process remembers the session; the database tells it.
#[tokio::test]
async fn every_process_hears_of_it_within_a_second() {
    let stage = Stage::new().await;
    let there = stage.house.world.database.another().await;
    let other = stage.house.over(there.clone());
    let listening = tokio::spawn(async move { there.carry_signals(Uuid::from_u128(7)).await });
    for what in [format!("users/{}", stage.user), format!("tenants/{}", stage.tenant)] {
        while other.page(&stage.cookie, "/dashboard").await.status != StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(stage.suspend(&what).await, StatusCode::NO_CONTENT);
        let since = Instant::now();
        while other.page(&stage.cookie, "/dashboard").await.status != StatusCode::FORBIDDEN {
            assert!(since.elapsed() < Duration::from_secs(1), "{what}: the other process still serves them");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(stage.restore(&what).await, StatusCode::NO_CONTENT);
    }
    listening.abort();
}

#[tokio::test]
async fn only_operators_suspend_and_nobody_themselves() {
    let stage = Stage::new().await;
    let house = &stage.house;
    let path = format!("/api/admin/v1/users/{}/suspension", stage.user);
    let body = json!({ "reason": WHY }).to_string();
    assert_eq!(house.post(&house.mallory, &path, &body).await.status, StatusCode::NOT_FOUND);
    let short = json!({ "reason": "because" }).to_string();
    assert_eq!(house.post(&stage.operator, &path, &short).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let me = house.get(&stage.operator, "/api/v1/me").await.json();
    let oneself = format!("users/{}", me["user"].as_str().unwrap());
    assert_eq!(stage.suspend(&oneself).await, StatusCode::CONFLICT);
    assert_eq!(stage.suspend("users/usr_019aa6b27c1e7d3f9b1a2f6c5d4e3b2a").await, StatusCode::NOT_FOUND);
    assert_eq!(house.world.database.count("select count(*) from users where suspended_at is not null").await, 0);
    // Twice is once.
    let events = house.events().await;
    assert_eq!(stage.suspend(&format!("users/{}", stage.user)).await, StatusCode::NO_CONTENT);
    assert_eq!(stage.suspend(&format!("users/{}", stage.user)).await, StatusCode::NO_CONTENT);
    assert_eq!(house.events().await - events, 1);
}

#[tokio::test]
async fn operators_find_a_person_by_their_whole_address_only() {
    let stage = Stage::new().await;
    let house = &stage.house;
    let all = house.get(&stage.operator, "/api/admin/v1/users").await;
    assert!(!all.text.contains('@'), "{}", all.text);
    let one = house.get(&stage.operator, "/api/admin/v1/users?email=alice%40example.org").await.json();
    assert_eq!(one["users"].as_array().unwrap().len(), 1);
    assert_eq!(one["users"][0]["id"], stage.user.as_str());
    let none = house.get(&stage.operator, "/api/admin/v1/users?email=lice%40example.org").await.json();
    assert!(none["users"].as_array().unwrap().is_empty());
    let page = house.page(&house.cookie_of(&stage.operator).await, "/admin/users").await;
    assert!(page.text.contains("Suspend") && !page.text.contains("alice@example.org"), "{}", page.text);
}
