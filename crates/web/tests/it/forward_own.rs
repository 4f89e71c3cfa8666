//! Calls with a tenant's own key: what goes out and where, what comes back, what is counted and what is not charged.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use app::credentials::CredentialError;
use async_trait::async_trait;
use axum::body::Body;
use clients::{
    model::{
        anthropic::{Anthropic, Limits as Patience},
        own::{HttpOwnVendors, OwnKey},
    },
    reach::Lookup,
};
use domain::{
    CredentialId, TenantId,
    credential::{BaseUrl, Kind},
    model::{Menu, Micros},
    reachable::NamedHosts,
};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use testkit::vendor::{FakeVendor, VENDOR_KEY, VENDOR_WORDS, VendorMood, own_secret};
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use vault::{OpenError, Secret};
use web::{
    Door,
    llm::{
        Forwarding, Models, OwnModels,
        keys::{SealedKeys, TenantKey, TenantKeys},
    },
};

use crate::{
    forward::{ask, impatient, soon, until},
    support::{Answer, House},
};

/// A key as text, and where its vendor is.
type Kept = (String, Option<String>);

/// Keys by tenant and kind, as text.
#[derive(Default)]
pub struct Drawer {
    keys: Mutex<HashMap<(TenantId, Kind), Kept>>,
    refused: Mutex<Vec<(TenantId, CredentialId, u64)>>,
    is_sealed: Mutex<bool>,
}

#[async_trait]
impl TenantKeys for Drawer {
    async fn key(&self, tenant: TenantId, kind: Kind) -> Result<Option<TenantKey>, CredentialError> {
        if *self.is_sealed.lock().unwrap() {
            return Err(OpenError::NoKey.into());
        }
        let keys = self.keys.lock().unwrap();
        Ok(keys.get(&(tenant, kind)).map(|(secret, base)| {
            let base_url = base.as_deref().map(|base| BaseUrl::parse(base).unwrap());
            let key = OwnKey { kind, secret: Secret::from(secret.clone()), base_url };
            TenantKey { credential: id(kind), version: 7, key }
        }))
    }

    async fn refused(&self, tenant: TenantId, credential: CredentialId, version: u64) {
        self.refused.lock().unwrap().push((tenant, credential, version));
    }
}

/// The id of the credential of this kind.
fn id(kind: Kind) -> CredentialId {
    CredentialId::from_uuid(uuid::Uuid::from_u128(kind as u128))
}

/// Alice's agent, its machine's model key, her own keys, and a vendor.
pub struct OwnLine {
    pub house: House,
    pub vendor: FakeVendor,
    pub key: String,
    drawer: Arc<Drawer>,
    alice: TenantId,
}

impl OwnLine {
    /// The house forwards too, with a budget of nothing.
    pub async fn new() -> Self {
        Self::with(Patience::default(), None).await
    }

    /// Keys are those in the database.
    async fn sealed() -> Self {
        let mut line = Self::new().await;
        let web = &line.house.web;
        let keys = SealedKeys::new(web.db.clone(), Arc::clone(&web.ring), web.dice.clone());
        let vendors = HttpOwnVendors::new(line.vendor.addresses(), NamedHosts::default(), Patience::default()).unwrap();
        line.house.web.own_models = OwnModels::new(Arc::new(vendors), Arc::new(keys));
        line.house.router = web::router(line.house.web.clone(), Door::Public);
        line
    }

    async fn with(patience: Patience, lookup: Option<Arc<dyn Lookup>>) -> Self {
        let mut house = House::new().await;
        let key = house.model_key().await;
        let vendor = FakeVendor::start().await;
        let (addresses, named) = (vendor.addresses(), NamedHosts::parse(&vendor.url()).unwrap());
        let vendors = match lookup {
            Some(lookup) => HttpOwnVendors::with_lookup(addresses, NamedHosts::default(), patience, lookup),
            None => HttpOwnVendors::new(addresses, named, patience),
        };
        let drawer = Arc::new(Drawer::default());
        house.web.own_models = OwnModels::new(Arc::new(vendors.unwrap()), Arc::clone(&drawer) as Arc<dyn TenantKeys>);
        house.web.models = Models::Vendor(Arc::new(Forwarding {
            vendor: Arc::new(Anthropic::new(&vendor.url(), VENDOR_KEY.as_bytes(), patience).unwrap()),
            menu: Menu::parse("claude-haiku-4-5", "").unwrap(),
            daily_budget: Micros::parse("0").unwrap(),
            calls: TaskTracker::new(),
        }));
        house.router = web::router(house.web.clone(), Door::Public);
        let alice = house.world.alice.caller.tenant;
        Self { house, vendor, key, drawer, alice }
    }

    /// Alice has the keys that the vendors know.
    pub fn give_all(&self) {
        for kind in [Kind::Anthropic, Kind::OpenAi, Kind::OpenRouter] {
            self.give(kind, own_secret(kind), None);
        }
        self.give(Kind::Compatible, own_secret(Kind::Compatible), Some(&self.vendor.compatible()));
    }

    fn give(&self, kind: Kind, secret: &str, base: Option<&str>) {
        let key = (secret.to_owned(), base.map(str::to_owned));
        self.drawer.keys.lock().unwrap().insert((self.alice, kind), key);
    }

    fn request(&self, path: &str, body: &Value) -> Request<Body> {
        let request = Request::post(path).header("authorization", format!("Bearer {}", self.key));
        let request = request.header("openai-organization", "machine-marker").header("cookie", "machine-marker=1");
        request.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap()
    }

    async fn chat(&self, body: &Value) -> Answer {
        let answer = self.house.send(self.request("/llm/v1/chat/completions", body)).await;
        self.settled().await;
        answer
    }

    async fn messages(&self, body: &Value) -> Answer {
        let answer = self.house.send(self.request("/llm/v1/messages", body)).await;
        self.settled().await;
        answer
    }

    /// Every call under way has ended and is counted. Nothing is ever held or spent.
    async fn settled(&self) {
        soon(self.house.web.own_models.wait()).await;
        let charged = "select coalesce(sum(held_micros + spent_micros + calls), 0)::bigint from model_days";
        assert_eq!(self.house.world.database.count(charged).await, 0, "the house was charged");
    }

    /// Calls, tokens in, tokens out.
    async fn counted(&self) -> (u64, u64, u64) {
        let own = self.house.get(&self.house.alice, "/api/v1/model").await.json()["own"].clone();
        let number = |name: &str| own[name].as_u64().unwrap();
        (number("calls"), number("input_tokens"), number("output_tokens"))
    }

    fn refused(&self) -> Vec<(TenantId, CredentialId, u64)> {
        self.drawer.refused.lock().unwrap().clone()
    }
}

fn talk(model: &str, words: &str, is_stream: bool) -> Value {
    json!({
        "model": model, "stream": is_stream, "max_completion_tokens": 100, "stream_options": { "include_usage": true },
        "messages": [{ "role": "user", "content": words }],
    })
}

#[tokio::test]
async fn the_tenants_own_anthropic_key_goes_before_the_houses_and_no_budget_bounds_it() {
    let line = OwnLine::new().await;
    let refused = line.messages(&ask("hello", false)).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "the house's budget is nothing: {}", refused.text);
    line.give_all();
    let mut body = ask("hello", false);
    body["model"] = json!("claude-that-is-on-no-menu");
    body["speed"] = json!("fast");
    let answer = line.messages(&body).await;
    assert_eq!((answer.status, &answer.json()["content"][0]["text"]), (StatusCode::OK, &json!(VENDOR_WORDS)));
    assert_eq!(answer.headers["request-id"], "req_1");
    assert!(answer.headers.keys().all(|name| !name.as_str().contains("organization")));
    let streamed = line.messages(&ask("hello", true)).await;
    assert!(streamed.text.trim_end().ends_with("data: {\"type\":\"message_stop\"}"), "{}", streamed.text);
    assert_eq!(line.counted().await, (2, 24, 68));
    for call in line.vendor.calls() {
        assert_eq!(call.headers["x-api-key"], own_secret(Kind::Anthropic));
        assert!(call.headers.values().all(|value| !value.to_str().unwrap().contains("marker=1")));
    }
    assert_eq!(line.vendor.calls().len(), 2);
    assert_eq!(line.vendor.calls()[0].body, body.to_string(), "every byte as it came");
}

/// A tenant's own key works also where the house passes nothing on.
#[tokio::test]
async fn an_own_key_is_used_where_the_proof_model_answers_everybody_else() {
    let mut line = OwnLine::new().await;
    line.house.web.models = Models::Proof;
    line.house.router = web::router(line.house.web.clone(), Door::Public);
    assert!(line.messages(&ask("hello", false)).await.text.contains("not an AI"), "without a key as before");
    line.give_all();
    let answer = line.messages(&ask("hello", false)).await;
    assert_eq!(answer.json()["content"][0]["text"], VENDOR_WORDS, "{}", answer.text);
    let model = line.house.get(&line.house.alice, "/api/v1/model").await.json();
    assert_eq!((&model["is_proof_model"], &model["own"]["calls"]), (&json!(true), &json!(1)));
}

#[tokio::test]
async fn an_agent_is_set_to_a_model_of_the_tenants_own_vendor() {
    let line = OwnLine::new().await;
    let house = &line.house;
    let create = async |name: &str, model: &str| {
        house.post(&house.alice, "/api/v1/agents", &json!({ "name": name, "model": model }).to_string()).await
    };
    for wrong in ["telegram/x", "openai/", "openai/a b", "openai/${HOME}", "gpt-5.5"] {
        let refused = create("other", wrong).await;
        assert_eq!(
            (refused.status, refused.json()["field"].as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, Some("model"))
        );
        assert!(refused.text.contains("openai/gpt-5.5"), "{}", refused.text);
    }
    let created = create("other", "openai/gpt-5.5").await;
    assert_eq!((created.status, &created.json()["model"]), (StatusCode::CREATED, &json!("openai/gpt-5.5")));
    house.world.run_flows(40).await;
    let path = format!("/agents/{}", created.json()["id"].as_str().unwrap());
    assert_eq!(house.get(&house.alice, &format!("/api/v1{path}")).await.json()["seen"]["state"], "live");
    let page = house.page(&house.cookie().await, &path).await.text;
    assert!(page.contains("gpt-5.5 of OpenAI answers, with your own key"), "{page}");
}

#[tokio::test]
async fn a_model_says_whose_key_is_meant_and_the_call_goes_there() {
    let line = OwnLine::new().await;
    line.give_all();
    let table = [
        (Kind::OpenAi, "openai/gpt-5.5", "gpt-5.5", "/openai/v1/chat/completions"),
        (Kind::OpenRouter, "openrouter/openai/gpt-5.5", "openai/gpt-5.5", "/openrouter/api/v1/chat/completions"),
        (Kind::Compatible, "compatible/qwen3", "qwen3", "/compatible/v1/chat/completions"),
    ];
    for (kind, model, outward, path) in table {
        for is_stream in [false, true] {
            let body = talk(model, "hello", is_stream);
            let answer = line.chat(&body).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
            if is_stream {
                assert_eq!(answer.headers["content-type"], "text/event-stream");
                assert!(answer.text.trim_end().ends_with("data: [DONE]"), "{}", answer.text);
            } else {
                assert_eq!(answer.json()["choices"][0]["message"]["content"], VENDOR_WORDS);
            }
            let call = line.vendor.calls().pop().unwrap();
            assert_eq!(
                (call.path.as_str(), &call.headers["authorization"]),
                (path, &format!("Bearer {}", own_secret(kind)).parse().unwrap())
            );
            let sent = body.to_string().replace(&format!("\"{model}\""), &format!("\"{outward}\""));
            assert_eq!(call.body, sent, "but for the vendor's word, every byte as it came");
            let known = ["authorization", "content-type", "user-agent", "accept", "host", "content-length"];
            assert!(call.headers.keys().all(|name| known.contains(&name.as_str())), "{:?}", call.headers);
        }
    }
    assert_eq!((line.vendor.calls().len(), line.counted().await), (6, (6, 72, 204)));
}

#[tokio::test]
async fn pieces_are_passed_on_as_they_come() {
    let line = OwnLine::new().await;
    line.give_all();
    line.vendor.set_gate(false);
    let request = line.request("/llm/v1/chat/completions", &talk("openai/gpt-5.5", "hello", true));
    let response = soon(line.house.router.clone().oneshot(request)).await.unwrap();
    let mut body = response.into_body();
    let first = soon(body.frame()).await.unwrap().unwrap().into_data().unwrap();
    assert!(first.starts_with(b"data: {"), "the first piece is here while the second is not made yet");
    let open = "select count(*) from pg_stat_activity
                where datname = current_database() and state like 'idle in transaction%'";
    assert_eq!(line.house.world.database.count(open).await, 0, "no transaction waits for the vendor");
    line.vendor.set_gate(true);
    let rest = soon(body.collect()).await.unwrap().to_bytes();
    assert!(rest.ends_with(b"data: [DONE]\n\n"));
    line.settled().await;
    assert_eq!(line.counted().await, (1, 12, 34));
}

#[tokio::test]
async fn without_a_key_of_that_kind_nothing_goes_out_and_the_way_out_is_told() {
    let line = OwnLine::new().await;
    line.give(Kind::OpenAi, own_secret(Kind::OpenAi), None);
    for (model, status, code, words) in [
        ("openrouter/a/b", 403, "no-own-key", "OpenRouter key"),
        ("compatible/a", 403, "no-own-key", "compatible vendor"),
        ("gpt-5.5", 404, "unknown-model", "openai/…"),
        ("anthropic/claude-haiku-4-5", 404, "unknown-model", "openai/…"),
    ] {
        for is_stream in [false, true] {
            let answer = line.chat(&talk(model, "hello", is_stream)).await;
            let error = &answer.json()["error"];
            assert_eq!((answer.status.as_u16(), error["code"].as_str()), (status, Some(code)), "{model}");
            assert!(error["message"].as_str().unwrap().contains(words) && error["type"].is_string(), "{error}");
        }
    }
    for (body, status) in [("[]", 400), ("{", 400), (r#"{"model":"openai/x","model":"openai/y","messages":[]}"#, 400)] {
        let request = Request::post("/llm/v1/chat/completions").header("authorization", format!("Bearer {}", line.key));
        let answer = line.house.send(request.body(Body::from(body)).unwrap()).await;
        assert!(answer.status.as_u16() == status && answer.json()["error"]["message"].is_string(), "{}", answer.text);
    }
    assert_eq!((line.vendor.calls().len(), line.counted().await), (0, (0, 0, 0)));
    *line.drawer.is_sealed.lock().unwrap() = true;
    let sealed = line.chat(&talk("openai/gpt-5.5", "hello", false)).await;
    assert_eq!((sealed.status.as_u16(), &sealed.json()["error"]["code"]), (503, &json!("sealed")));
    let sealed = line.messages(&ask("hello", false)).await;
    assert_eq!(sealed.status.as_u16(), 503, "the house does not pay because a key cannot be opened");
    assert_eq!(line.vendor.calls().len(), 0);
}

#[tokio::test]
async fn a_key_is_used_for_its_own_tenant_only() {
    let line = OwnLine::new().await;
    line.give_all();
    let mallory = line.house.world.mallory.caller.tenant.uuid();
    line.house.world.database.sql(&format!("update machines set tenant_id = '{mallory}'")).await;
    assert_eq!(line.chat(&talk("openai/gpt-5.5", "hello", false)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(
        line.messages(&ask("hello", false)).await.status,
        StatusCode::BAD_REQUEST,
        "the house's budget is nothing"
    );
    line.house.world.database.sql("update machines set tenant_id = null, agent_id = null").await;
    for answer in [line.chat(&talk("openai/gpt-5.5", "hello", false)).await, line.messages(&ask("hello", false)).await]
    {
        assert!(answer.text.contains("not an AI"), "a spare has nobody who pays: {}", answer.text);
    }
    assert_eq!(line.vendor.calls().len(), 0);
}

#[tokio::test]
async fn a_key_that_its_vendor_refuses_is_told_to_its_tenant() {
    let line = OwnLine::new().await;
    line.give_all();
    for kind in [Kind::Anthropic, Kind::OpenAi, Kind::Compatible] {
        line.vendor.revoke(kind);
    }
    let chat = line.chat(&talk("openai/gpt-5.5", "hello", true)).await;
    assert_eq!((chat.status.as_u16(), &chat.json()["error"]["code"]), (403, &json!("own-key-refused")));
    let messages = line.messages(&ask("hello", false)).await;
    assert_eq!((messages.status.as_u16(), &messages.json()["error"]["type"]), (403, &json!("permission_error")));
    let compatible = line.chat(&talk("compatible/qwen3", "hello", false)).await;
    for answer in [chat, messages, compatible] {
        assert!(answer.text.contains("Set another one in Berth") && !answer.text.contains("rker"), "{}", answer.text);
    }
    let refused = [Kind::OpenAi, Kind::Anthropic, Kind::Compatible].map(|kind| (line.alice, id(kind), 7));
    assert_eq!((line.refused(), line.counted().await), (refused.to_vec(), (0, 0, 0)));
}

/// The keys that tenants set, as the process takes them: sealed in the database, opened for a call, said in the audit.
#[tokio::test]
async fn a_key_that_is_set_is_opened_for_each_call_until_it_is_removed() {
    let line = OwnLine::sealed().await;
    let database = &line.house.world.database;
    let opened = "select count(*) from audit_events where act = 'credential.open'";
    assert_eq!(line.chat(&talk("openai/gpt-5.5", "hello", false)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(database.count(opened).await, 0, "nothing to open");
    let credential = line.house.world.set_credential(None, Kind::OpenAi, None, own_secret(Kind::OpenAi)).await;
    for calls in 1..=2 {
        let answer = line.chat(&talk("openai/gpt-5.5", "hello", calls == 2)).await;
        assert_eq!((answer.status, database.count(opened).await), (StatusCode::OK, calls), "{}", answer.text);
    }
    let checked = "select count(*) from credentials where checked ->> 'verdict' = 'refused'";
    assert_eq!(database.count(checked).await, 0);
    line.vendor.revoke(Kind::OpenAi);
    assert_eq!(line.chat(&talk("openai/gpt-5.5", "hello", false)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(database.count(checked).await, 1, "its tenant sees that its vendor refuses it");
    let by = &line.house.world.alice.caller;
    let mut tx = line.house.web.db.tenant(by.tenant).await.unwrap();
    app::credentials::remove(&mut tx, credential, by).await.unwrap();
    tx.commit().await.unwrap();
    let gone = line.chat(&talk("openai/gpt-5.5", "hello", false)).await;
    assert_eq!(gone.json()["error"]["code"], "no-own-key", "{}", gone.text);
    assert_eq!((line.vendor.calls().len(), line.counted().await), (3, (2, 24, 68)));
}

/// A value that was replaced while its call was under way is not the one that was refused.
#[tokio::test]
async fn a_refusal_of_the_value_before_says_nothing_of_the_one_now() {
    let line = OwnLine::sealed().await;
    let world = &line.house.world;
    world.set_credential(None, Kind::OpenAi, None, "sk-proj-the-value-before").await;
    let web = &line.house.web;
    let keys = SealedKeys::new(web.db.clone(), Arc::clone(&web.ring), web.dice.clone());
    let before = keys.key(line.alice, Kind::OpenAi).await.unwrap().unwrap();
    world.set_credential(None, Kind::OpenAi, None, own_secret(Kind::OpenAi)).await;
    keys.refused(line.alice, before.credential, before.version).await;
    let checked = "select count(*) from credentials where checked is not null";
    assert_eq!(world.database.count(checked).await, 0);
    let now = keys.key(line.alice, Kind::OpenAi).await.unwrap().unwrap();
    assert_eq!((now.credential, now.version), (before.credential, before.version + 1));
    keys.refused(line.alice, now.credential, now.version).await;
    assert_eq!(world.database.count(checked).await, 1);
    let mallory = world.mallory.caller.tenant;
    assert!(keys.key(mallory, Kind::OpenAi).await.unwrap().is_none(), "nobody else's");
}

#[tokio::test]
async fn what_a_vendor_says_of_the_tenants_own_account_goes_on_to_the_tenant() {
    let line = OwnLine::new().await;
    line.give_all();
    let table = [
        (VendorMood::Limited, 429, "organization", "organization"),
        (VendorMood::Overloaded, 503, "too much to do", "too much to do"),
        (VendorMood::Faulty, 502, "a fault at OpenAI", "a fault at Anthropic"),
        (VendorMood::Picky, 400, "messages.0: what you sent is wrong", "messages.0: what you sent is wrong"),
        (VendorMood::Redirect, 502, "a fault at OpenAI", "a fault at Anthropic"),
        (VendorMood::Garbled, 502, "none that Berth can read", "none that Berth can read"),
    ];
    for (mood, status, chat_words, messages_words) in table {
        line.vendor.set_mood(mood);
        let chat = line.chat(&talk("openai/gpt-5.5", "hello", false)).await;
        let error = &chat.json()["error"];
        assert_eq!(
            (chat.status.as_u16(), error["message"].as_str().unwrap().contains(chat_words)),
            (status, true),
            "{error}"
        );
        let messages = line.messages(&ask("hello", false)).await;
        let is_overloaded = mood == VendorMood::Overloaded;
        assert_eq!(messages.status.as_u16(), if is_overloaded { 529 } else { status }, "{}", messages.text);
        let said = messages.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(said.contains(messages_words), "{said}");
        for answer in [&chat, &messages] {
            let after = answer.headers.get("retry-after").map(|value| value.to_str().unwrap());
            assert_eq!(after, (mood == VendorMood::Limited).then_some("7"), "{mood:?}");
        }
    }
    assert_eq!(line.refused(), [], "only a vendor that does not know the key refuses it");
    assert_eq!(line.vendor.calls().len(), 12, "nothing is sent twice, and no redirect is followed");
}

#[tokio::test]
async fn a_stream_that_breaks_off_says_so() {
    let line = OwnLine::with(impatient(), None).await;
    line.give_all();
    for mood in [VendorMood::Cut(3), VendorMood::Stall(3), VendorMood::ErrorEvent] {
        line.vendor.set_mood(mood);
        let chat = line.chat(&talk("openai/gpt-5.5", "hello", true)).await;
        let last = chat.text.trim_end().rsplit("\n\n").next().unwrap();
        let error: Value = serde_json::from_str(last.strip_prefix("data: ").unwrap()).unwrap();
        assert!(error["error"]["message"].as_str().unwrap().contains("may charge your account"), "{mood:?}: {error}");
        assert!(!chat.text.contains("[DONE]"), "{}", chat.text);
        let messages = line.messages(&ask("hello", true)).await;
        let last = messages.text.trim_end().rsplit("\n\n").next().unwrap();
        assert!(last.starts_with("event: error\ndata: ") && last.contains("may charge your account"), "{last}");
    }
    let (calls, input, output) = line.counted().await;
    assert_eq!((calls, input > 0, output < 34), (6, true, true), "what was counted by then, and no more");
    line.vendor.set_mood(VendorMood::Mute);
    assert_eq!(line.chat(&talk("openai/gpt-5.5", "hello", true)).await.status.as_u16(), 504);
}

#[tokio::test]
async fn a_caller_who_goes_away_ends_the_vendors_call() {
    let line = OwnLine::new().await;
    line.give_all();
    line.vendor.set_mood(VendorMood::Huge);
    let request = line.request("/llm/v1/chat/completions", &talk("openai/gpt-5.5", "hello", true));
    let mut body = soon(line.house.router.clone().oneshot(request)).await.unwrap().into_body();
    soon(body.frame()).await.unwrap().unwrap();
    drop(body);
    line.settled().await;
    until("the vendor's stream is dropped", || line.vendor.dropped() == 1).await;
    assert_eq!(line.counted().await.0, 1);
}

#[tokio::test]
async fn a_tenant_has_a_number_of_calls_under_way_at_once() {
    let line = OwnLine::new().await;
    line.give_all();
    line.vendor.set_mood(VendorMood::Mute);
    let body = talk("openai/gpt-5.5", "hello", true);
    let waiting: Vec<_> = (0..16)
        .map(|_| tokio::spawn(line.house.router.clone().oneshot(line.request("/llm/v1/chat/completions", &body))))
        .collect();
    until("the vendor hears", || line.vendor.calls().len() == 16).await;
    let one_more = line.house.send(line.request("/llm/v1/chat/completions", &body)).await;
    assert_eq!((one_more.status.as_u16(), &one_more.json()["error"]["code"]), (429, &json!("too-many-calls")));
    assert!(one_more.headers.contains_key("retry-after"));
    for call in waiting {
        call.abort();
    }
    line.settled().await;
    line.vendor.set_mood(VendorMood::Well);
    assert_eq!(line.chat(&body).await.status, StatusCode::OK, "seats are free again");
}

#[tokio::test]
async fn a_proof_costs_nothing_in_either_form() {
    let line = OwnLine::new().await;
    line.give_all();
    let nonce = "BERTH-PROOF-0123456789abcdef0123456789abcdef";
    let words = format!("Please answer with exactly this word: {nonce}");
    line.house.world.database.sql(&format!("update proofs set nonce = '{nonce}', asked_at = berth.now()")).await;
    let whole = line.chat(&talk("openai/gpt-5.5", &words, false)).await;
    assert_eq!(whole.json()["choices"][0]["message"]["content"], nonce, "{}", whole.text);
    let streamed = line.chat(&talk("openai/gpt-5.5", &words, true)).await;
    assert!(streamed.text.contains(nonce) && streamed.text.trim_end().ends_with("data: [DONE]"), "{}", streamed.text);
    assert_eq!(line.messages(&ask(&words, false)).await.json()["content"][0]["text"], nonce);
    assert!(line.chat(&talk("berth-proof", "hello", false)).await.text.contains("not an AI"));
    assert_eq!((line.vendor.calls().len(), line.counted().await), (0, (0, 0, 0)));
    line.house.world.database.sql("update proofs set asked_at = berth.now() - interval '11 minutes'").await;
    assert!(
        !line.chat(&talk("openai/gpt-5.5", &words, false)).await.text.contains(nonce),
        "an old nonce is words like others"
    );
    assert_eq!(line.vendor.calls().len(), 1);
}

/// Says that every name is this host.
struct Homeward;

#[async_trait]
impl Lookup for Homeward {
    async fn addresses(&self, _: &str) -> std::io::Result<Vec<std::net::IpAddr>> {
        Ok(vec![std::net::Ipv4Addr::LOCALHOST.into()])
    }
}

#[tokio::test]
async fn no_address_of_a_tenants_leads_into_our_own_network() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let line = OwnLine::with(Patience::default(), Some(Arc::new(Homeward))).await;
    for base in [
        format!("https://models.example.org:{port}/v1"),
        format!("https://127.0.0.1:{port}/v1"),
        format!("https://0x7f.1:{port}/v1"),
        format!("https://[::ffff:127.0.0.1]:{port}/v1"),
        format!("http://models.example.org:{port}/v1"),
        line.vendor.compatible(),
    ] {
        line.give(Kind::Compatible, own_secret(Kind::Compatible), Some(&base));
        let answer = line.chat(&talk("compatible/qwen3", "hello", true)).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (503, &json!("vendor-away")), "{base}");
        assert!(answer.text.contains("its address") && answer.text.contains("Nothing was sent"), "{}", answer.text);
    }
    let knocked = tokio::time::timeout(std::time::Duration::from_millis(200), listener.accept()).await;
    assert!(knocked.is_err() && line.vendor.calls().is_empty(), "somebody connected");
}

#[tokio::test]
async fn no_words_and_no_key_are_kept_anywhere() {
    let line = OwnLine::with(impatient(), None).await;
    line.give_all();
    let words = "question-marker-of-a-tenant";
    for mood in [VendorMood::Well, VendorMood::Cut(3), VendorMood::Picky, VendorMood::Garbled, VendorMood::Mute] {
        line.vendor.set_mood(mood);
        for is_stream in [true, false] {
            for model in ["openai/gpt-5.5", "openrouter/a/b", "compatible/qwen3"] {
                line.chat(&talk(model, words, is_stream)).await;
            }
            line.messages(&ask(words, is_stream)).await;
        }
    }
    assert_eq!(line.vendor.calls().len(), 40);
    // Before the database is searched: those statements name what they look for.
    let log = crate::logs::text();
    let database = &line.house.world.database;
    for table in database.tables().await {
        for marker in [words, VENDOR_WORDS, "own-key-marker"] {
            let held = format!("select count(*) from {table} t where t::text like '%{marker}%'");
            assert_eq!(database.count(&held).await, 0, "{table} holds {marker}");
        }
    }
    assert!(log.contains("TRACE") && log.contains("a model call with a tenant's own key ended"), "the log is kept");
    for marker in [words, VENDOR_WORDS, "own-key-marker", "vendor words", &line.key] {
        assert_eq!(crate::logs::told(&log, marker), None, "the log holds {marker}");
    }
}
