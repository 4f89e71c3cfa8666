//! What operators see of credentials: fingerprints and ages for a reason, and never a value.

use std::collections::BTreeSet;

use axum::body::Body;
use chrono::TimeDelta;
use domain::credential::Kind;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::marks::{Class, Found, Hunt, Marks};

use crate::support::{Answer, House, ask};

const REASON: &str = "ticket 4711: the bot is mute";

/// Alice's house with a marked credential of each kind that is offered, and an operator.
struct Stage {
    house: House,
    marks: Marks,
    agent: domain::AgentId,
    operator: String,
}

const MARKED: [(Kind, Class); 6] = [
    (Kind::Anthropic, Class::AnthropicKey),
    (Kind::OpenAi, Class::OpenAiKey),
    (Kind::OpenRouter, Class::OpenRouterKey),
    (Kind::Compatible, Class::CompatibleKey),
    (Kind::Telegram, Class::TelegramToken),
    (Kind::Variable, Class::Variable),
];

impl Stage {
    async fn new() -> Self {
        let house = House::new().await;
        let marks = Marks::new(&*house.web.dice.0);
        let agent = house.world.live_agent("scout").await;
        let operator = house.operator("night@example.org").await;
        let stage = Self { house, marks, agent, operator };
        for (kind, class) in MARKED {
            stage.set(kind, stage.marks.value(class)).await;
        }
        stage
    }

    async fn set(&self, kind: Kind, value: &str) -> domain::CredentialId {
        let agent = (!kind.is_model_key()).then_some(self.agent);
        let name = (kind == Kind::Variable).then_some("HARBOUR_KEY");
        self.house.world.set_credential(agent, kind, name, value).await
    }

    async fn read(&self) -> Value {
        let answer = self.read_as(&self.operator, self.house.world.alice.caller.tenant).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json()
    }

    async fn read_as(&self, token: &str, tenant: domain::TenantId) -> Answer {
        let path = format!("/api/admin/v1/tenants/{tenant}/read");
        self.house.post(token, &path, &json!({ "reason": REASON }).to_string()).await
    }

    /// The fingerprint of the credential of this kind.
    async fn of(&self, kind: Kind) -> Value {
        one(&self.read().await, kind)["fingerprint"].clone()
    }
}

/// Every text in it.
fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(all) => all.iter().flat_map(strings).collect(),
        Value::Object(all) => all.values().flat_map(strings).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

fn one(read: &Value, kind: Kind) -> Value {
    let all = read["credentials"].as_array().unwrap();
    let mut of_kind = all.iter().filter(|one| one["kind"] == kind.name());
    let one = of_kind.next().unwrap_or_else(|| panic!("{read} has a {kind:?}"));
    assert!(of_kind.next().is_none(), "one of a kind: {read}");
    one.clone()
}

#[tokio::test]
async fn an_operator_sees_what_is_there_and_nothing_of_a_value() {
    let stage = Stage::new().await;
    let (house, tenant) = (&stage.house, stage.house.world.alice.caller.tenant);
    house.world.run_flows(40).await;
    let ago = |days| (house.web.dice.now() - TimeDelta::days(days) - TimeDelta::hours(1)).to_rfc3339();
    house.world.database.sql(&format!("update credentials set set_at = '{}' where kind = 'openai'", ago(366))).await;
    house.world.database.sql(&format!("update data_keys set created_at = '{}'", ago(30))).await;

    let read = stage.read().await;
    let mut fingerprints = BTreeSet::new();
    for (kind, _) in MARKED {
        let row = one(&read, kind);
        let fingerprint = row["fingerprint"].as_str().unwrap_or_else(|| panic!("{row} has a fingerprint")).to_owned();
        assert!(fingerprint.len() == 12 && fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit()), "{row}");
        assert!(fingerprints.insert(fingerprint), "no two values look alike: {read}");
        assert_eq!((&row["version"], &row["agent"].is_null()), (&json!(1), &kind.is_model_key()), "{row}");
        assert_eq!(row["age_days"], if kind == Kind::OpenAi { 366 } else { 0 }, "{row}");
        assert_eq!(row["set_by"], house.world.alice.caller.user.to_string());
    }
    let (bot, variable) = (one(&read, Kind::Telegram), one(&read, Kind::Variable));
    let given = json!({ "id": stage.agent.to_string(), "name": "scout", "wanted": 2, "in_force": 2 });
    assert_eq!((&bot["agent"], &variable["agent"]), (&given, &given));
    assert_eq!((&bot["opened"]["purpose"], &variable["name"]), (&json!("delivery"), &json!("HARBOUR_KEY")));
    assert_eq!(one(&read, Kind::Compatible)["host"], "llm.example");
    assert_eq!(one(&read, Kind::OpenAi)["opened"], Value::Null, "no call was made with it");
    let key = &read["data_key"];
    assert_eq!((&key["age_days"], &key["master"]["state"]), (&json!(30), &json!("current")), "{read}");
    let master = house.web.ring.held().next().unwrap().to_string();
    assert_eq!(key["master"]["id"], master);

    let cookie = house.cookie_of(&stage.operator).await;
    let page = house.form(&cookie, &format!("/admin/tenants/{tenant}"), "reason=ticket+4711%3A+the+bot+is+mute").await;
    assert_eq!(page.status, StatusCode::OK);
    for fingerprint in &fingerprints {
        assert!(page.text.contains(fingerprint.as_str()), "{}", page.text);
    }
    for words in ["HARBOUR_KEY", "machine: 2 in force", "Data key", &master, "alice@example.org"] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }

    // Neither holds a value in any shape, nor the end of one, nor what is sealed.
    let (hunt, mut found) = (Hunt::new(&stage.marks), Found::default());
    hunt.bytes(read.to_string().as_bytes(), "answer", &mut found);
    hunt.bytes(page.text.as_bytes(), "page", &mut found);
    hunt.bytes(crate::logs::text().as_bytes(), "log", &mut found);
    assert!(found.hits.is_empty() && found.skipped.is_empty(), "{found:?}");
    let told = strings(&read);
    for (kind, class) in MARKED {
        let value = stage.marks.value(class);
        let tail: String = value.chars().skip(value.chars().count() - 4).collect();
        let is_end = |told: &String| told.len() < 12 && told.ends_with(&tail);
        assert!(!told.iter().any(is_end) && !page.text.contains(&format!("•{tail}")), "the end of {kind:?} is told");
    }
    assert!(!read.to_string().contains("••"), "{read}");
    for column in ["sealed", "wrapped"] {
        let table = if column == "sealed" { "credentials" } else { "data_keys" };
        for form in ["hex", "base64"] {
            let stored = house
                .world
                .database
                .texts(&format!("select encode(substring({column} from 30), '{form}') from {table}"))
                .await;
            for stored in stored {
                let part = stored.chars().take(16).collect::<String>();
                assert!(!read.to_string().contains(&part) && !page.text.contains(&part), "{table}.{column} is told");
            }
        }
    }
}

/// The tenant reads who looked and why; nobody else gets as far, and without a reason nothing is read.
#[tokio::test]
async fn only_an_operator_with_a_reason_sees_them_and_the_tenant_reads_it() {
    let stage = Stage::new().await;
    let (house, tenant) = (&stage.house, stage.house.world.alice.caller.tenant);
    house.join("vera@example.org", "viewer").await;
    let viewer = house.token_in_alices("vera@example.org").await;
    let reads = "select count(*) from audit_events where act = 'operator.read'";
    for token in [&house.alice, &house.mallory, &viewer] {
        assert_eq!(stage.read_as(token, tenant).await.status, StatusCode::NOT_FOUND);
    }
    let path = format!("/api/admin/v1/tenants/{tenant}/read");
    for reason in ["", "short"] {
        let answer = house.post(&stage.operator, &path, &json!({ "reason": reason }).to_string()).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(!answer.text.contains("fingerprint"), "{}", answer.text);
    }
    assert_eq!(house.world.database.count(reads).await, 0, "nobody read anything yet");
    stage.read().await;
    let audit = house.get(&house.alice, "/api/v1/audit").await.json();
    let event = &audit["events"][0];
    assert_eq!((&event["act"], &event["details"]["reason"]), (&json!("operator.read"), &json!(REASON)), "{audit}");
    assert_eq!(house.world.database.count(reads).await, 1);

    // What the database cannot write down is not shown either.
    house.world.database.sql("revoke insert on audit_events from berth_tenant").await;
    let answer = stage.read_as(&stage.operator, tenant).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!answer.text.contains("fingerprint"), "{}", answer.text);
}

/// The same key of the same tenant, under another row and another version, and in another tenant.
#[tokio::test]
async fn a_fingerprint_is_the_same_for_the_same_value_of_one_tenant_only() {
    let stage = Stage::new().await;
    let (house, key) = (&stage.house, stage.marks.value(Class::OpenAiKey).to_owned());
    let first = stage.of(Kind::OpenAi).await;
    let id = stage.set(Kind::OpenAi, &key).await;
    assert_eq!(
        (stage.of(Kind::OpenAi).await, one(&stage.read().await, Kind::OpenAi)["version"].clone()),
        (first.clone(), json!(2))
    );
    stage.set(Kind::OpenAi, "sk-another-key-of-hers").await;
    let other = stage.of(Kind::OpenAi).await;
    assert_ne!(other, first, "another value looks different");
    let gone = ask(Method::DELETE, &format!("/api/v1/credentials/{id}"), &house.alice).body(Body::empty()).unwrap();
    assert_eq!(house.send(gone).await.status, StatusCode::NO_CONTENT);
    stage.set(Kind::OpenAi, &key).await;
    assert_eq!(stage.of(Kind::OpenAi).await, first, "set again in a row of its own");
    stage.set(Kind::OpenRouter, &key).await;
    assert_ne!(stage.of(Kind::OpenRouter).await, first, "as another kind");

    // Variables are compared with themselves only.
    let agent = stage.agent;
    for name in ["ONE", "OTHER"] {
        house.world.set_credential(Some(agent), Kind::Variable, Some(name), "yes").await;
    }
    let second = house.world.new_agent("second").await;
    house.world.set_credential(Some(second), Kind::Variable, Some("ONE"), "yes").await;
    let all = stage.read().await;
    let same: BTreeSet<&str> = all["credentials"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["name"] == "ONE" || one["name"] == "OTHER")
        .map(|one| one["fingerprint"].as_str().unwrap())
        .collect();
    assert_eq!(same.len(), 3, "{all}");

    let body = json!({ "kind": "openai", "value": key }).to_string();
    assert_eq!(house.post(&house.mallory, "/api/v1/credentials", &body).await.status, StatusCode::CREATED);
    let theirs = stage.read_as(&stage.operator, house.world.mallory.caller.tenant).await.json();
    assert_ne!(one(&theirs, Kind::OpenAi)["fingerprint"], first, "nobody compares tenants");
}

/// What an older Berth set, or replaced beside this one, has none that could be taken for its own.
#[tokio::test]
async fn what_was_set_without_one_is_not_known_until_it_is_set_anew() {
    let stage = Stage::new().await;
    let database = &stage.house.world.database;
    database.sql("update credentials set fingerprint = null, fingerprint_version = null where kind = 'openai'").await;
    database.sql("update credentials set version = version + 1 where kind = 'anthropic'").await;
    for kind in [Kind::OpenAi, Kind::Anthropic] {
        assert_eq!(stage.of(kind).await, Value::Null, "{kind:?}");
    }
    let cookie = stage.house.cookie_of(&stage.operator).await;
    let path = format!("/admin/tenants/{}", stage.house.world.alice.caller.tenant);
    let page = stage.house.form(&cookie, &path, "reason=ticket+4711%3A+the+bot+is+mute").await;
    assert_eq!(page.text.matches("not known until set anew").count(), 2, "{}", page.text);
    stage.set(Kind::Anthropic, stage.marks.value(Class::AnthropicKey)).await;
    assert!(stage.of(Kind::Anthropic).await.is_string());
}
