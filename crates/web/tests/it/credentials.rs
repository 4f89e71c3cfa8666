//! Credentials by API and on pages: asked about, kept, replaced, tested, removed, and never told.

use std::sync::Arc;

use app::import::Derivations;
use axum::body::Body;
use clients::credentials::HttpCredentialVendors;
use domain::{
    credential::{Kind, VARIABLES_MAX},
    reachable::NamedHosts,
};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::vendor::{FakeVendor, VendorMood, own_secret};
use web::{Door, Site};

use crate::{
    agents::meanwhile,
    support::{House, ask},
};

/// A house whose vendors are all played by one.
pub async fn house() -> (House, FakeVendor) {
    house_with(Derivations::new(1)).await
}

/// The same, with so much room for what other programs sealed.
pub async fn house_with(derivations: Derivations) -> (House, FakeVendor) {
    let (mut house, vendor) = (House::new().await, FakeVendor::start().await);
    let checks = HttpCredentialVendors::new(vendor.addresses(), NamedHosts::default()).unwrap();
    // The router has a share of it.
    house.router = axum::Router::new();
    let site: &mut Site = Arc::get_mut(&mut house.web.site).unwrap();
    site.checks = Some(Arc::new(checks));
    site.derivations = derivations;
    house.router = web::router(house.web.clone(), Door::Public);
    (house, vendor)
}

fn secret(kind: Kind) -> String {
    own_secret(kind).to_owned()
}

async fn set(house: &House, token: &str, body: &Value) -> (StatusCode, Value) {
    let answer = house.post(token, "/api/v1/credentials", &body.to_string()).await;
    assert!(!answer.text.contains(body["value"].as_str().unwrap()), "the value came back: {}", answer.text);
    (answer.status, answer.json())
}

#[tokio::test]
async fn a_key_is_asked_about_kept_and_never_told() {
    let (house, _vendor) = house().await;
    for kind in [Kind::Anthropic, Kind::OpenAi, Kind::OpenRouter] {
        let (status, kept) = set(&house, &house.alice, &json!({ "kind": kind, "value": secret(kind) })).await;
        assert_eq!(status, StatusCode::CREATED, "{kept}");
        assert_eq!((&kept["checked"]["verdict"], &kept["version"]), (&json!("accepted"), &json!(1)), "{kept}");
        let tail: String = secret(kind).chars().rev().take(4).collect::<Vec<_>>().into_iter().rev().collect();
        assert_eq!(kept["shown"], format!("••••{tail}"));
    }
    let list = house.get(&house.alice, "/api/v1/credentials").await;
    assert_eq!(list.json()["credentials"].as_array().unwrap().len(), 3);
    let cookie = house.cookie_of(&house.alice).await;
    let page = house.page(&cookie, "/credentials").await;
    let export = house.get(&house.alice, "/api/v1/audit/export").await;
    for kind in [Kind::Anthropic, Kind::OpenAi, Kind::OpenRouter] {
        for answer in [&list, &page, &export] {
            assert!(!answer.text.contains(&secret(kind)), "{kind:?}");
        }
        assert!(!crate::logs::text().contains(&secret(kind)), "{kind:?} is in the log");
    }
    assert!(page.text.contains("Anthropic key"), "{}", page.text);
}

#[tokio::test]
async fn what_its_vendor_refuses_is_not_kept_and_who_is_away_is_asked_later() {
    let (house, vendor) = house().await;
    let wrong = json!({ "kind": "anthropic", "value": "sk-ant-nobody-has-this" });
    let (status, problem) = set(&house, &house.alice, &wrong).await;
    assert_eq!((status, &problem["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("value")), "{problem}");
    assert_eq!(house.world.database.count("select count(*) from credentials").await, 0);

    vendor.set_mood(VendorMood::Overloaded);
    let good = json!({ "kind": "anthropic", "value": secret(Kind::Anthropic) });
    let (status, kept) = set(&house, &house.alice, &good).await;
    assert_eq!((status, &kept["checked"]["verdict"]), (StatusCode::CREATED, &json!("unknown")), "{kept}");
    vendor.set_mood(VendorMood::Well);
    let test = format!("/api/v1/credentials/{}/test", kept["id"].as_str().unwrap());
    assert_eq!(house.post(&house.alice, &test, "").await.json()["checked"]["verdict"], "accepted");
    vendor.revoke(Kind::Anthropic);
    let tested = house.post(&house.alice, &test, "").await.json();
    assert_eq!(tested["checked"]["verdict"], "refused", "{tested}");
    let list = house.get(&house.alice, "/api/v1/credentials").await.json();
    assert_eq!(list["credentials"][0]["checked"]["verdict"], "refused", "kept for whoever looks later");
}

/// No vendor is asked about a variable, so the limit on asking vendors leaves them alone.
#[tokio::test]
async fn an_agents_variables_are_set_all_at_once() {
    let (house, _vendor) = house().await;
    let agent = house.world.live_agent("scout").await.to_string();
    let variable = |n: usize| json!({ "kind": "variable", "agent": agent, "name": format!("N_{n}"), "value": "value" });
    for n in 0..VARIABLES_MAX {
        let (status, kept) = set(&house, &house.alice, &variable(n)).await;
        assert_eq!(status, StatusCode::CREATED, "{n}: {kept}");
    }
    assert_eq!(set(&house, &house.alice, &variable(VARIABLES_MAX)).await.0, StatusCode::CONFLICT);
}

#[tokio::test]
async fn an_agents_bot_and_variables_are_its_own() {
    let (house, _vendor) = house().await;
    let agent = house.world.live_agent("scout").await.to_string();
    let bot = json!({ "kind": "telegram", "agent": agent, "value": secret(Kind::Telegram) });
    let (status, kept) = set(&house, &house.alice, &bot).await;
    assert_eq!(status, StatusCode::CREATED, "{kept}");
    assert!(kept["checked"]["who"].as_str().is_some_and(|who| who.starts_with('@')), "{kept}");
    let variable = json!({ "kind": "variable", "agent": agent, "name": "API_KEY", "value": "a value of a variable" });
    assert_eq!(set(&house, &house.alice, &variable).await.0, StatusCode::CREATED);
    let cookie = house.cookie_of(&house.alice).await;
    let page = format!("/agents/{agent}/credentials");
    assert!(
        house
            .page(&cookie, &page)
            .await
            .text
            .contains("Version 0 is in force on its machine; version 2 is on its way.")
    );
    house.world.run_flows(20).await;
    let shown = house.page(&cookie, &page).await;
    assert!(shown.text.contains("Version 2 is in force on its machine."), "{}", shown.text);
    assert!(shown.text.contains("API_KEY") && !shown.text.contains("a value of a variable"));

    // The same bot for another agent, of one's own and of a stranger.
    let theirs = house.world.agent_of(&house.world.mallory, "prowler").await.to_string();
    let second = house.world.new_agent("second").await.to_string();
    let taken = |agent: &str| json!({ "kind": "telegram", "agent": agent, "value": secret(Kind::Telegram) });
    let (status, mine) = set(&house, &house.alice, &taken(&second)).await;
    let (foreign, problem) = set(&house, &house.mallory, &taken(&theirs)).await;
    assert_eq!((status, foreign), (StatusCode::CONFLICT, StatusCode::CONFLICT));
    assert_eq!((&mine["detail"], &mine["type"]), (&problem["detail"], &problem["type"]), "whose it is stays untold");

    // Another tenant's agent and credential are unknown.
    let id = kept["id"].as_str().unwrap();
    assert_eq!(set(&house, &house.mallory, &variable).await.0, StatusCode::NOT_FOUND);
    for (method, path) in [
        (Method::DELETE, format!("/api/v1/credentials/{id}")),
        (Method::POST, format!("/api/v1/credentials/{id}/test")),
    ] {
        let request = ask(method, &path, &house.mallory).body(Body::empty()).unwrap();
        assert_eq!(house.send(request).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let request = ask(Method::DELETE, &format!("/api/v1/credentials/{id}"), &house.alice).body(Body::empty()).unwrap();
    assert_eq!(house.send(request).await.status, StatusCode::NO_CONTENT);
    assert_eq!(set(&house, &house.mallory, &taken(&theirs)).await.0, StatusCode::CREATED, "free now");
}

/// Slack's two tokens are one credential, in whichever order they are typed; each channel is offered on the page and goes
/// to the machine under names of its own.
#[tokio::test]
async fn every_channel_is_offered_and_reaches_its_machine() {
    let (house, _vendor) = house().await;
    let agent = house.world.live_agent("scout").await;
    let cookie = house.cookie_of(&house.alice).await;
    let page = house.page(&cookie, &format!("/agents/{agent}/credentials")).await.text;
    let (bot, app) = own_secret(Kind::Slack).split_once('\n').unwrap();
    for (kind, title, value, who) in [
        (Kind::Slack, "Slack app", format!("{app}\r\n{bot}"), "scout in Harbour"),
        (Kind::Discord, "Discord bot", secret(Kind::Discord), "scout"),
    ] {
        assert!(page.contains(&format!("<option value=\"{}\">{title}</option>", kind.name())), "{page}");
        let (status, kept) = set(&house, &house.alice, &json!({ "kind": kind, "agent": agent, "value": value })).await;
        assert_eq!((status, kept["checked"]["who"].as_str()), (StatusCode::CREATED, Some(who)), "{kept}");
    }
    house.world.run_flows(20).await;
    let machine = house.world.step(agent).await.and_then(|step| step.machine()).unwrap();
    let given = house.world.guests.given(machine);
    for (name, value) in [("slack_bot_token", bot), ("slack_app_token", app), ("discord_token", &secret(Kind::Discord))]
    {
        assert!(given.iter().any(|(at, there)| at == name && there == value), "{name}");
    }
    let shown = house.page(&cookie, &format!("/agents/{agent}/credentials")).await;
    assert!(shown.text.contains("scout in Harbour"), "{}", shown.text);
    for secret in [bot, app, own_secret(Kind::Discord)] {
        assert!(!shown.text.contains(secret) && !crate::logs::text().contains(secret));
    }
}

#[tokio::test]
async fn keys_that_cost_money_are_for_admins() {
    let (house, vendor) = house().await;
    house.world.database.sql("update members set role = 'member'").await;
    let key = json!({ "kind": "anthropic", "value": secret(Kind::Anthropic) });
    assert_eq!(set(&house, &house.alice, &key).await.0, StatusCode::FORBIDDEN);
    assert_eq!(vendor.calls().len(), 0, "no vendor is asked for who may not");
}

#[tokio::test]
async fn what_does_not_fit_changes_nothing() {
    let (house, _vendor) = house().await;
    let agent = house.world.new_agent("scout").await.to_string();
    for (body, field) in [
        (json!({ "kind": "telegram", "value": secret(Kind::Telegram) }), "agent"),
        (json!({ "kind": "anthropic", "agent": agent, "value": "sk-ant-1234567890" }), "agent"),
        (json!({ "kind": "compatible", "value": "sk-1234567890" }), "base_url"),
        (json!({ "kind": "compatible", "base_url": "ftp://x", "value": "sk-1234567890" }), "base_url"),
        (json!({ "kind": "variable", "agent": agent, "name": "lower", "value": "x" }), "name"),
        (json!({ "kind": "variable", "agent": agent, "value": "x" }), "name"),
        (json!({ "kind": "telegram", "agent": agent, "value": "not a token" }), "value"),
        (json!({ "kind": "slack", "agent": agent, "value": "xoxb-1-without-the-apps" }), "value"),
        (json!({ "kind": "slack", "agent": agent, "value": "xoxb-1-nobody xapp-2-nobody" }), "value"),
        (json!({ "kind": "discord", "value": secret(Kind::Discord) }), "agent"),
        (json!({ "kind": "discord", "agent": agent, "value": "nobodys-token" }), "value"),
    ] {
        let (status, problem) = set(&house, &house.alice, &body).await;
        assert_eq!((status, &problem["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(field)), "{body}: {problem}");
    }
    assert_eq!(house.world.database.count("select count(*) from credentials").await, 0);

    // On the page what was typed comes back, and the value does not.
    let cookie = house.cookie_of(&house.alice).await;
    let form = format!("kind=variable&agent={agent}&name=lower&value=hush-hush-hush");
    let page = house.form(&cookie, "/credentials", &form).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.text.contains("value=\"lower\"") && !page.text.contains("hush-hush-hush"), "{}", page.text);
}

/// Fifty variables, and no fifty-first; replacing one is no new one.
#[tokio::test]
async fn an_agent_has_fifty_variables_at_most() {
    let (house, _vendor) = house().await;
    let agent = house.world.new_agent("scout").await;
    for number in 0..50 {
        house.world.set_credential(Some(agent), Kind::Variable, Some(&format!("V{number}")), "x").await;
    }
    let agent = agent.to_string();
    let put = |name: &str| json!({ "kind": "variable", "agent": agent, "name": name, "value": "another" });
    assert_eq!(set(&house, &house.alice, &put("V50")).await.0, StatusCode::CONFLICT);
    let (status, kept) = set(&house, &house.alice, &put("V7")).await;
    assert_eq!((status, &kept["version"]), (StatusCode::CREATED, &json!(2)), "{kept}");
}

/// Who waits at an agent's channels is asked of its machine, and let in there.
#[tokio::test]
async fn who_waits_is_shown_and_let_in() {
    let house = House::new().await;
    let agent = house.world.live_agent("scout").await;
    let cookie = house.cookie_of(&house.alice).await;
    let path = format!("/agents/{agent}/pairings");
    let page = meanwhile(&house, house.form(&cookie, &path, "")).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert!(page.text.contains("Nobody waits"), "{}", page.text);
    let foreign = house.get(&house.mallory, &format!("/api/v1/agents/{agent}/pairings")).await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
    let path = format!("/api/v1/agents/{agent}/pairings");
    let bad = house.post(&house.alice, &path, r#"{"channel":"telegram","request":"../x"}"#).await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
}
