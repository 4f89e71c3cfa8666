//! Setting up the first agent, question by question, as a browser without JavaScript does it.

use http::StatusCode;
use serde_json::json;

use crate::{support::House, vendor::Door};

const HOSTILE: &str = "</script><script>alert(1)</script> ${HOME} $(id) ../../etc/passwd {{x}} \"'&";

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

impl House {
    async fn say(&self, cookie: &str, body: &str) -> String {
        let answer = self.form(cookie, "/welcome", body).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{body}: {}", answer.text);
        answer.headers["location"].to_str().unwrap().to_owned()
    }

    async fn agents(&self) -> i64 {
        self.world.database.count("select count(*) from agents").await
    }
}

#[tokio::test]
async fn four_answers_lead_to_the_live_timeline_of_an_agent() {
    let house = House::new().await;
    let cookie = house.cookie().await;
    let first = house.page(&cookie, "/welcome").await;
    assert!(first.text.contains("What is your agent called?") && !first.text.contains("<script>"), "{}", first.text);
    assert_eq!(house.say(&cookie, "step=name&name=scout").await, "/welcome?step=model");
    let model = house.page(&cookie, "/welcome?step=model").await.text;
    assert!(model.contains("built-in proof model") && model.contains("A key of your own?"), "{model}");
    assert_eq!(house.say(&cookie, "step=model&model=berth-proof").await, "/welcome?step=channel");
    let channel = house.page(&cookie, "/welcome?step=channel").await.text;
    assert!(
        channel.contains("A bot at Telegram, Slack or Discord is connected") && !channel.contains("type=\"text\""),
        "nothing that stores nothing: {channel}"
    );
    assert_eq!(house.say(&cookie, "step=channel").await, "/welcome?step=instructions");
    let last = house.page(&cookie, "/welcome").await.text;
    assert!(last.contains("What should scout know about itself?"), "{last}");

    let body = format!("instructions={}", encoded(HOSTILE));
    let done = house.form(&cookie, "/welcome/finish", &body).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    let path = done.headers["location"].to_str().unwrap().to_owned();
    assert!(path.starts_with("/agents/agt_"));
    house.world.run_flows(40).await;
    let page = house.page(&cookie, &path).await.text;
    assert!(page.contains("scout") && page.contains("Live") && page.contains("What scout is told"), "{page}");
    assert!(page.contains("&#60;script&#62;alert(1)") && !page.contains("<script>alert"), "only words");
    let agent = house.get(&house.alice, &format!("/api/v1{path}")).await.json();
    assert_eq!((&agent["instructions"], &agent["model"]), (&json!(HOSTILE), &json!(null)));
    // Finished is remembered: the dashboard leads there no more, and coming again begins anew.
    assert!(!house.page(&cookie, "/dashboard").await.text.contains("Go on where you left"));
    assert!(house.page(&cookie, "/welcome").await.text.contains("What is your agent called?"));
}

#[tokio::test]
async fn it_is_left_and_gone_on_with_on_another_device() {
    let house = House::new().await;
    let (desk, telephone) = (house.cookie().await, house.cookie().await);
    house.say(&desk, "step=name&name=scout").await;
    house.say(&desk, "step=model&model=berth-proof").await;
    assert!(house.page(&telephone, "/dashboard").await.text.contains("Go on where you left"));
    let there = house.page(&telephone, "/welcome").await.text;
    assert!(there.contains("Where do people reach it?"), "{there}");
    let back = house.page(&telephone, "/welcome?step=name").await.text;
    assert!(back.contains(r#"value="scout""#), "what was said stays: {back}");
    assert!(house.page(&telephone, "/welcome?step=instructions").await.text.contains("Where do people reach it?"));
    // Somebody else in the same tenant has said nothing yet, and neither has anybody in another one.
    house.join("carol@example.org", "member").await;
    let carol = house.cookie_of(&house.token_in_alices("carol@example.org").await).await;
    let mallory = house.cookie_of(&house.mallory).await;
    for other in [&carol, &mallory] {
        let page = house.page(other, "/welcome").await.text;
        assert!(page.contains("What is your agent called?") && !page.contains(r#"value="scout""#), "{page}");
    }
}

#[tokio::test]
async fn sent_twice_or_at_once_it_is_one_agent() {
    let house = House::new().await;
    let cookie = house.cookie().await;
    house.say(&cookie, "step=name&name=scout").await;
    let finish = || house.form(&cookie, "/welcome/finish", "instructions=Be+brief.");
    let (one, two, three) = tokio::join!(finish(), finish(), finish());
    let again = finish().await;
    for answer in [&two, &three, &again] {
        assert_eq!(answer.headers.get("location"), one.headers.get("location"), "{}", answer.text);
    }
    assert_eq!(house.agents().await, 1);
    let events = "select count(*) from audit_events where act = 'agent.create'";
    assert_eq!(house.world.database.count(events).await, 1);
}

#[tokio::test]
async fn skipped_is_remembered_and_can_be_taken_up_again() {
    let house = House::new().await;
    let cookie = house.cookie().await;
    house.say(&cookie, "step=name&name=scout").await;
    assert_eq!(house.form(&cookie, "/welcome/skip", "").await.headers["location"], "/dashboard");
    let dashboard = house.page(&cookie, "/dashboard").await.text;
    assert!(!dashboard.contains("Go on where you left") && dashboard.contains("step by step"), "{dashboard}");
    assert_eq!(house.agents().await, 0);
    assert!(house.page(&cookie, "/welcome?step=name").await.text.contains(r#"value="scout""#), "nothing is lost");
    house.say(&cookie, "step=model&model=berth-proof").await;
    assert!(house.page(&cookie, "/dashboard").await.text.contains("Go on where you left"));
}

#[tokio::test]
async fn a_wrong_answer_comes_back_as_it_was_typed_beside_its_fault() {
    let house = House::new().await;
    house.world.new_agent("taken").await;
    let cookie = house.cookie().await;
    for (name, words) in [("", "1 to 40"), ("<b> Bad", "lowercase letters"), ("taken", "already have an agent")] {
        let refused = house.form(&cookie, "/welcome", &format!("step=name&name={}", encoded(name))).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{name}");
        assert!(refused.text.contains(words) && refused.text.contains("aria-invalid"), "{}", refused.text);
        assert!(!refused.text.contains("<b> Bad"));
    }
    assert_eq!(house.form(&cookie, "/welcome", "step=key").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    house.say(&cookie, "step=name&name=scout").await;
    let gone = house.form(&cookie, "/welcome", "step=model&model=claude-gone").await;
    assert!(gone.status == StatusCode::UNPROCESSABLE_ENTITY && gone.text.contains("not offered"), "{}", gone.text);
    house.say(&cookie, "step=channel").await;
    for (text, words) in [("a%00b".to_owned(), "control characters"), ("x".repeat(8_001), "at most 8,000")] {
        let refused = house.form(&cookie, "/welcome/finish", &format!("instructions={text}")).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(refused.text.contains(words) && refused.text.contains("aria-invalid"), "{words}");
    }
    // Taken meanwhile: the name is asked for anew, and what was typed last is kept.
    house.world.new_agent("scout").await;
    let taken = house.form(&cookie, "/welcome/finish", "instructions=Be+brief.").await;
    assert!(taken.text.contains("already have an agent") && taken.text.contains(r#"value="scout""#), "{}", taken.text);
    assert_eq!(house.say(&cookie, "step=name&name=second").await, "/welcome?step=model");
    assert!(house.page(&cookie, "/welcome?step=instructions").await.text.contains("Be brief."));
    let none = house.cookie_of(&house.mallory).await;
    let nameless = house.form(&none, "/welcome/finish", "instructions=x").await;
    assert!(nameless.text.contains("Name your agent first"), "{}", nameless.text);
}

#[tokio::test]
async fn whoever_may_not_create_agents_is_told_who_may() {
    let house = House::new().await;
    house.join("carol@example.org", "viewer").await;
    let carol = house.cookie_of(&house.token_in_alices("carol@example.org").await).await;
    let page = house.page(&carol, "/welcome").await;
    assert!(page.status == StatusCode::OK && page.text.contains("Your role here is viewer"), "{}", page.text);
    for (path, body) in [("/welcome", "step=name&name=x"), ("/welcome/finish", "instructions=x"), ("/welcome/skip", "")]
    {
        assert_eq!(house.form(&carol, path, body).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(house.world.database.count("select count(*) from onboardings").await, 0);
}

#[tokio::test]
async fn nothing_is_created_in_a_tenant_that_ends() {
    let house = House::new().await;
    let cookie = house.cookie().await;
    house.say(&cookie, "step=name&name=scout").await;
    let tenant = house.world.alice.caller.tenant;
    house.form(&cookie, &format!("/tenants/{tenant}/erase"), "name=alice%40example.org").await;
    let refused = house.form(&cookie, "/welcome/finish", "instructions=Be+brief.").await;
    assert!(refused.status == StatusCode::CONFLICT && refused.text.contains("is to be erased"), "{}", refused.text);
    assert!(refused.text.contains("Be brief.") && house.agents().await == 0);
    house.form(&cookie, &format!("/tenants/{tenant}/keep"), "").await;
    let done = house.form(&cookie, "/welcome/finish", "instructions=Be+brief.").await;
    assert_eq!((done.status, house.agents().await), (StatusCode::SEE_OTHER, 1));
}

#[tokio::test]
async fn whoever_signs_up_is_led_there_and_whoever_signs_in_is_not() {
    let door = Door::new().await;
    let invite = door.invite(1).await;
    assert_eq!(door.pass(&invite, "").await.headers["location"], "/welcome");
    assert_eq!(door.pass("", "").await.headers["location"], "/dashboard");
}

/// The same by the API, and what is sent reaches the machine.
#[tokio::test]
async fn model_and_instructions_by_the_api_come_into_force() {
    let house = House::new().await;
    let asked = json!({ "name": "scout", "model": "berth-proof", "instructions": HOSTILE }).to_string();
    let created = house.post(&house.alice, "/api/v1/agents", &asked).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let agent = created.json();
    assert_eq!(
        (&agent["instructions"], &agent["model"]),
        (&json!(HOSTILE), &json!(null)),
        "the usual one is no choice"
    );
    house.world.run_flows(40).await;
    let path = format!("/api/v1/agents/{}", agent["id"].as_str().unwrap());
    assert_eq!(house.get(&house.alice, &path).await.json()["seen"]["state"], "live");
    let told = house.world.guests.told();
    assert_eq!(told, [format!("{HOSTILE}\n")], "as it was typed: nobody expanded or cut it");
    let listed = house.get(&house.alice, "/api/v1/agents").await;
    assert!(!listed.text.contains("instructions"), "{}", listed.text);
    for (body, field) in [
        (json!({ "name": "a", "model": "claude-gone" }), "model"),
        (json!({ "name": "a", "model": "" }), "model"),
        (json!({ "name": "a", "instructions": "x".repeat(8_001) }), "instructions"),
        (json!({ "name": "a", "instructions": "a\u{0}b" }), "instructions"),
    ] {
        let refused = house.post(&house.alice, "/api/v1/agents", &body.to_string()).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
        assert_eq!(refused.json()["field"], field);
    }
    let offered = house.get(&house.alice, "/api/v1/model").await.json()["offered"].clone();
    assert_eq!(offered, json!([{ "model": "berth-proof", "title": "Berth's built-in proof model" }]));
}
