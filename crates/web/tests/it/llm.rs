//! The model route: who may call it, what it refuses, and that the vendors' own clients understand it.

use std::process::Stdio;

use axum::body::Body;
use domain::credential::Kind;
use http::{Request, StatusCode};
use testkit::vendor::{FakeVendor, VENDOR_KEY, VendorMood, own_secret};
use tokio::net::TcpListener;
use web::Limits;

use crate::{
    forward::Line,
    forward_own::OwnLine,
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

const REFUSED_BY_OPENAI: [(VendorMood, &str); 4] = [
    (VendorMood::Limited, "RateLimitError"),
    (VendorMood::Overloaded, "InternalServerError"),
    (VendorMood::Faulty, "InternalServerError"),
    (VendorMood::Picky, "BadRequestError"),
];

/// The fake vendor is true to the real ones as far as their own clients can tell: they speak to it directly.
#[tokio::test]
#[ignore = "needs the vendors' client libraries: scripts/test installs them into crates/web/tests/peers first"]
async fn the_vendors_own_clients_understand_the_fake_vendors() {
    let vendor = FakeVendor::start().await;
    let at = vendor.addresses();
    let compatible = vendor.compatible();
    for (base, kind) in
        [(&at.openai, Kind::OpenAi), (&at.openrouter, Kind::OpenRouter), (&compatible, Kind::Compatible)]
    {
        peer(".venv/bin/python", &["openai_chat.py", base, own_secret(kind), "gpt-5.5"]).await;
    }
    let (anthropic, openai) = (own_secret(Kind::Anthropic), own_secret(Kind::OpenAi));
    peer(".venv/bin/python", &["models_listed.py", &at.anthropic, anthropic, &at.openai, openai]).await;
    let discord = at.discord.trim_end_matches("/v10");
    let bots = [at.telegram.as_str(), own_secret(Kind::Telegram), discord, own_secret(Kind::Discord)];
    peer("node", &["bots.mjs", bots[0], bots[1], bots[2], bots[3]]).await;
    for (mood, kind) in REFUSED_BY_OPENAI {
        vendor.set_mood(mood);
        peer(".venv/bin/python", &["openai_refused.py", &at.openai, openai, "gpt-5.5", kind, ""]).await;
    }
}

#[tokio::test]
#[ignore = "needs OpenAI's client library: scripts/test installs it into crates/web/tests/peers first"]
async fn openais_own_client_speaks_through_berth_to_a_vendor() {
    let line = OwnLine::new().await;
    let base = format!("{}/v1", serve(&line.house).await);
    let none = ["openai_refused.py", &base, &line.key, "openai/gpt-5.5", "PermissionDeniedError", "OpenAI key"];
    peer(".venv/bin/python", &none).await;
    line.give_all();
    for (model, kind) in [("openai/gpt-5.5", Kind::OpenAi), ("compatible/qwen3", Kind::Compatible)] {
        let before = line.vendor.calls().len();
        peer(".venv/bin/python", &["openai_chat.py", &base, &line.key, model]).await;
        let calls = line.vendor.calls().split_off(before);
        assert_eq!(calls.len(), 3, "three were answered; two were refused by Berth");
        for call in calls {
            let bearer = format!("Bearer {}", own_secret(kind));
            assert_eq!(call.headers["authorization"], bearer, "the tenant's key, not the machine's");
        }
    }
    for (mood, kind) in REFUSED_BY_OPENAI {
        line.vendor.set_mood(mood);
        peer(".venv/bin/python", &["openai_refused.py", &base, &line.key, "openai/gpt-5.5", kind, ""]).await;
    }
    line.vendor.set_mood(VendorMood::Well);
    line.vendor.revoke(Kind::OpenAi);
    let refused = ["openai_refused.py", &base, &line.key, "openai/gpt-5.5", "PermissionDeniedError", "Set another one"];
    peer(".venv/bin/python", &refused).await;
}

/// A stream that breaks off is an error to the client, not a short answer.
#[tokio::test]
#[ignore = "needs OpenAI's client library: scripts/test installs it into crates/web/tests/peers first"]
async fn openais_own_client_hears_that_a_stream_broke_off() {
    let line = OwnLine::new().await;
    line.give_all();
    let base = format!("{}/v1", serve(&line.house).await);
    line.vendor.set_mood(VendorMood::Cut(3));
    peer(".venv/bin/python", &["openai_cut.py", &base, &line.key, "openai/gpt-5.5"]).await;
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
