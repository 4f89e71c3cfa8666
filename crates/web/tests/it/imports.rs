//! Credentials that another program sealed: opened once, kept as every other one, and told to nobody.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use app::import::Derivations;
use axum::body::Body;
use domain::credential::Kind;
use futures::future::join_all;
use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use testkit::{
    marks::{Class, Found, Hunt, Marks},
    vendor::own_secret,
};
use web::listener::Peer;

use crate::{
    credentials::{house, house_with},
    support::{Answer, House, ask},
};

const PASSPHRASE: &str = "correct horse battery staple";
/// What both of these hold.
const WORDS: &str = "sk-imported-µ";
/// Made with Python's `hashlib` and `cryptography`.
const GCM: &str = "AAECAwQFBgcICQoLDA0OD2RlZmdoaWprbG1ub5nWvOHZn6S9jc2pt10mixCwcp/kES/SPGPUNx6ejg==";
/// Made with the program `openssl`.
const OPENSSL: &str = "U2FsdGVkX1+rA4FwP0DFF9cz/rDOplyNb7K36c0B/mU=";

/// What `openssl enc` writes, in lines of base64. It reads the passphrase from its environment.
fn openssl(passphrase: &str, rounds: Option<u32>, value: &str) -> String {
    let mut command = Command::new("openssl");
    command.args(["enc", "-aes-256-cbc", "-pbkdf2", "-md", "sha256", "-a", "-pass", "env:PASSPHRASE"]);
    if let Some(rounds) = rounds {
        command.args(["-iter", &rounds.to_string()]);
    }
    let command = command.env("PASSPHRASE", passphrase).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("openssl is installed");
    child.stdin.take().unwrap().write_all(value.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn sealed(text: &str, passphrase: &str) -> Value {
    json!({ "form": "openssl", "text": text, "passphrase": passphrase })
}

fn key(kind: Kind, imported: &Value) -> Value {
    json!({ "kind": kind, "imported": imported })
}

async fn set(house: &House, body: &Value) -> Answer {
    house.post(&house.alice, "/api/v1/credentials", &body.to_string()).await
}

/// What is kept, opened as a model call would.
async fn kept(house: &House, kind: Kind) -> String {
    let mut tx = house.web.db.tenant(house.world.alice.caller.tenant).await.unwrap();
    let opened = app::credentials::open_for_model(&mut tx, &house.web.ring, kind).await.unwrap().unwrap();
    opened.secret.expose_text().unwrap().to_owned()
}

#[tokio::test]
async fn what_openssl_sealed_is_asked_about_and_kept_in_an_envelope_of_ours() {
    let (house, vendor) = house().await;
    let marks = Marks::new(&*house.web.dice.0);
    let (secret, passphrase) = (marks.value(Class::ImportedSecret), marks.value(Class::ImportPassphrase));
    vendor.take(secret);
    for (kind, rounds) in [(Kind::OpenAi, None), (Kind::OpenRouter, Some(25_000))] {
        // A line break at its end, as `echo` leaves one.
        let mut imported = sealed(&openssl(passphrase, rounds, &format!("{secret}\n")), passphrase);
        if let Some(rounds) = rounds {
            imported["rounds"] = json!(rounds);
        }
        let answer = set(&house, &key(kind, &imported)).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        let row = answer.json();
        let tail = &secret[secret.len() - 4..];
        assert_eq!((&row["checked"]["verdict"], &row["shown"]), (&json!("accepted"), &json!(format!("••••{tail}"))));
        assert_eq!(kept(&house, kind).await, secret);
        let (hunt, mut found) = (Hunt::new(&marks), Found::default());
        hunt.bytes(answer.text.as_bytes(), "answer", &mut found);
        hunt.bytes(crate::logs::text().as_bytes(), "log", &mut found);
        assert!(found.hits.is_empty() && found.skipped.is_empty(), "{found:?}");
    }
    // Of what was brought nothing lies anywhere: an envelope begins with its version, and names our own key.
    let foreign = "select count(*) from credentials c where position('Salted__'::bytea in sealed) > 0 or substring(sealed \
                   from 2 for 16) is distinct from (select uuid_send(id) from data_keys where tenant_id = c.tenant_id)";
    assert_eq!(house.world.database.count(foreign).await, 0);
    // The same value, typed: nobody could tell that the first one was brought along.
    let fingerprints = "select distinct fingerprint from credentials where kind = 'openai'";
    let before = house.world.database.texts(fingerprints).await;
    assert_eq!(set(&house, &json!({ "kind": "openai", "value": secret })).await.status, StatusCode::CREATED);
    assert_eq!(house.world.database.texts(fingerprints).await, before);
}

#[tokio::test]
async fn the_other_form_is_read_too_and_a_variable_needs_no_vendor() {
    let (house, vendor) = house().await;
    let agent = house.world.live_agent("scout").await;
    for (name, form, text) in [("ONE", "gcm", GCM), ("OTHER", "openssl", OPENSSL)] {
        let imported = json!({ "form": form, "text": text, "passphrase": PASSPHRASE });
        let body = json!({ "kind": "variable", "agent": agent.to_string(), "name": name, "imported": imported });
        let answer = set(&house, &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        assert_eq!(answer.json()["shown"], "••••");
    }
    assert_eq!(vendor.calls().len(), 0);
    let mut tx = house.web.db.tenant(house.world.alice.caller.tenant).await.unwrap();
    let delivery = app::credentials::open_for_delivery(&mut tx, &house.web.ring, agent).await.unwrap();
    drop(tx);
    let values: Vec<&str> = delivery.opened.iter().map(|one| one.secret.expose_text().unwrap()).collect();
    assert_eq!(values, [WORDS, WORDS]);
    house.world.run_flows(20).await;
    let read = house.get(&house.alice, &format!("/api/v1/agents/{agent}")).await.json();
    assert_eq!(read["seen"]["state"], "live", "it was brought to the machine: {read}");
}

/// Each refusal says which, and neither the passphrase nor what was sealed comes back.
#[tokio::test]
async fn what_does_not_open_or_does_not_fit_is_refused_and_not_repeated() {
    let (house, vendor) = house().await;
    let agent = house.world.new_agent("scout").await.to_string();
    let marks = Marks::new(&*house.web.dice.0);
    let passphrase = marks.value(Class::ImportPassphrase);
    let good = openssl(passphrase, None, own_secret(Kind::OpenAi));
    let bad_key = openssl(passphrase, None, marks.value(Class::ImportedSecret));
    let gcm = |text: &str| json!({ "form": "gcm", "text": text, "passphrase": passphrase });
    let with = |mut imported: Value, field: &str, value: Value| {
        imported[field] = value;
        imported
    };
    let mut both = key(Kind::OpenAi, &sealed(&good, passphrase));
    both["value"] = json!(own_secret(Kind::OpenAi));
    let bot = |imported: Value| json!({ "kind": "telegram", "agent": agent, "imported": imported });
    let openai = |imported: Value| key(Kind::OpenAi, &imported);
    let refused: Vec<(Value, &str, Value)> = vec![
        (openai(sealed(&good, "another passphrase")), "not-opened", json!("imported")),
        (openai(sealed(&good, "")), "not-opened", json!("imported")),
        (openai(with(sealed(&good, passphrase), "rounds", json!(10_001))), "not-opened", json!("imported")),
        (openai(gcm(GCM)), "not-opened", json!("imported")),
        (openai(gcm(&good[..24])), "malformed-import", json!("imported")),
        (openai(sealed("U2FsdGVkX1+rA4FwP0DFF9cz", passphrase)), "malformed-import", json!("imported")),
        (openai(sealed("what is this?", passphrase)), "malformed-import", json!("imported")),
        (openai(sealed(GCM, passphrase)), "malformed-import", json!("imported")),
        (openai(sealed(&"A".repeat(32 * 1024 + 4), passphrase)), "malformed-import", json!("imported")),
        (openai(with(sealed(&good, passphrase), "rounds", json!(999))), "unusable-value", json!("imported.rounds")),
        (openai(with(gcm(GCM), "rounds", json!(100_000))), "unusable-value", json!("imported.rounds")),
        (openai(with(sealed(&good, passphrase), "form", json!("rot13"))), "unreadable", Value::Null),
        (openai(with(sealed(&good, passphrase), "more", json!(1))), "unreadable", Value::Null),
        (openai(with(sealed(&good, passphrase), "rounds", Value::Null)), "unreadable", Value::Null),
        (openai(Value::Null), "unreadable", Value::Null),
        (both, "unusable-value", json!("value")),
        (json!({ "kind": "openai" }), "unusable-value", json!("value")),
        // It opens, and what comes out is not of its kind, or its vendor does not know it.
        (bot(sealed(&good, passphrase)), "unusable-value", json!("imported")),
        (openai(sealed(&bad_key, passphrase)), "refused-by-vendor", json!("imported")),
    ];
    let hunt = Hunt::new(&marks);
    for (body, slug, field) in refused {
        let answer = set(&house, &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {}", answer.text);
        let problem = answer.json();
        assert_eq!(
            (&problem["type"], &problem["field"]),
            (&json!(format!("urn:berth:problem:{slug}")), &field),
            "{body}"
        );
        let mut found = Found::default();
        hunt.bytes(answer.text.as_bytes(), "answer", &mut found);
        assert!(found.hits.is_empty() && !answer.text.contains(&good[..20]), "{found:?}: {}", answer.text);
    }
    let mut found = Found::default();
    hunt.bytes(crate::logs::text().as_bytes(), "log", &mut found);
    assert!(found.hits.is_empty(), "{found:?}");
    assert_eq!(house.world.database.count("select count(*) from credentials").await, 0);
    assert_eq!(vendor.calls().len(), 1, "its vendor was asked about the one that opened as a key");
}

/// Who may not set it has nothing opened: a passphrase that is wrong is not told apart from a right one.
#[tokio::test]
async fn nothing_is_opened_for_who_may_not_set_it() {
    let (house, _vendor) = house().await;
    house.world.database.sql("update members set role = 'member'").await;
    for passphrase in [PASSPHRASE, "wrong"] {
        let answer = set(&house, &key(Kind::OpenAi, &sealed(OPENSSL, passphrase))).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.text);
    }
    let agent = house.world.new_agent("scout").await.to_string();
    let body = json!({ "kind": "variable", "agent": agent, "name": "ONE", "imported": sealed(OPENSSL, PASSPHRASE) });
    let foreign = house.post(&house.mallory, "/api/v1/credentials", &body.to_string()).await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND, "another tenant's agent is unknown");
    assert_eq!(house.world.database.count("select count(*) from credentials").await, 0);
}

/// One seat and room for one more: who comes beyond that is told when to come again, and everybody else is served.
#[tokio::test]
async fn more_at_once_than_there_is_room_for_are_asked_to_come_again() {
    let (house, vendor) = house_with(Derivations::with_room(1, 1)).await;
    let agent = house.world.new_agent("scout").await.to_string();
    let text = openssl(PASSPHRASE, Some(1_000_000), "a value");
    let imported = json!({ "form": "openssl", "text": text, "passphrase": PASSPHRASE, "rounds": 1_000_000 });
    let one = |n: usize| {
        let body = json!({ "kind": "variable", "agent": agent, "name": format!("N_{n}"), "imported": imported });
        let house = &house;
        async move { set(house, &body).await }
    };
    let beside = async { house.get("", "/health").await.status };
    let (answers, health) = tokio::join!(join_all((0..8).map(one)), beside);
    assert_eq!(health, StatusCode::OK);
    let kept = answers.iter().filter(|answer| answer.status == StatusCode::CREATED).count();
    let busy: Vec<&Answer> = answers.iter().filter(|answer| answer.status == StatusCode::SERVICE_UNAVAILABLE).collect();
    assert_eq!((kept + busy.len(), busy.is_empty()), (8, false), "{answers:?}");
    assert!(kept >= 2, "one ran and one waited: {answers:?}");
    for answer in busy {
        assert_eq!(answer.headers[header::RETRY_AFTER], "60");
        assert_eq!(answer.json()["type"], "urn:berth:problem:busy");
    }
    let rows = house.world.database.count("select count(*) from credentials").await;
    assert_eq!(usize::try_from(rows).unwrap(), kept, "who was told to come again has nothing kept");
    assert_eq!(one(9).await.status, StatusCode::CREATED, "and there is room again");
    assert_eq!(vendor.calls().len(), 0);
}

#[tokio::test]
async fn the_same_brought_twice_at_once_is_one_credential() {
    let (house, _vendor) = house_with(Derivations::new(4)).await;
    let body = key(Kind::OpenAi, &sealed(&openssl(PASSPHRASE, None, own_secret(Kind::OpenAi)), PASSPHRASE));
    let (one, other) = tokio::join!(set(&house, &body), set(&house, &body));
    let created = [&one, &other].iter().filter(|answer| answer.status == StatusCode::CREATED).count();
    let again = [&one, &other].iter().filter(|answer| answer.status == StatusCode::CONFLICT).count();
    assert!(created >= 1 && created + again == 2, "{one:?} {other:?}");
    let rows = house.world.database.texts("select version::text from credentials").await;
    assert_eq!(rows, [created.to_string()]);
    assert_eq!(kept(&house, Kind::OpenAi).await, own_secret(Kind::OpenAi));
}

/// Each opening costs: a tenant has sixty at once, whatever they hold.
#[tokio::test]
async fn openings_run_into_a_limit() {
    let (house, _vendor) = house().await;
    let agent = house.world.new_agent("scout").await.to_string();
    let text = openssl(PASSPHRASE, Some(1_000), "a value");
    let imported = json!({ "form": "openssl", "text": text, "passphrase": "wrong", "rounds": 1_000 });
    let body = json!({ "kind": "variable", "agent": agent, "name": "ONE", "imported": imported }).to_string();
    let mut answers = Vec::new();
    for _ in 0..70 {
        let request = ask(Method::POST, "/api/v1/credentials", &house.alice).header("content-type", "application/json");
        let mut request = request.body(Body::from(body.clone())).unwrap();
        request.extensions_mut().insert(Peer("192.0.2.7:4711".parse().unwrap()));
        answers.push(house.send(request).await);
    }
    let opened = answers.iter().filter(|answer| answer.status == StatusCode::UNPROCESSABLE_ENTITY).count();
    assert!((60..70).contains(&opened), "{opened}");
    let refused = answers.iter().find(|answer| answer.status == StatusCode::TOO_MANY_REQUESTS).unwrap();
    assert!(refused.headers.contains_key(header::RETRY_AFTER), "{refused:?}");
}
