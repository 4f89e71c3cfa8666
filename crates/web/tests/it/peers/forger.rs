//! jwt-hack: a program that makes forgeries of a token. None of them opens a door: not as a session, not as a bearer,
//! and not as what a vendor of identities says.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::{Request, StatusCode};
use serde_json::Value;

use crate::{support::House, vendor::Door};

/// Where it is; why it is no library of ours stands in `docs/decisions/0072-hostile-peers.md`.
const PROGRAM: &str = "BERTH_TEST_JWT_HACK";

/// Every family of forgeries that the program knows.
const FAMILIES: [&str; 27] = [
    "none",
    "jku",
    "x5u",
    "alg_confusion",
    "kid_sql",
    "kid_traversal",
    "kid_predictable",
    "x5c",
    "x5c_signed",
    "cty",
    "jwk_embed",
    "jwk_embed_ec",
    "crit",
    "b64",
    "empty_sig",
    "psychic",
    "typ_confusion",
    "alg_edge",
    "ssrf",
    "zip",
    "dup_key",
    "nested",
    "jws_json",
    "alg_family_swap",
    "none_sig",
    "header_quirks",
    "kid_wildcard",
];

/// The forgeries of this family of this token.
fn forgeries(token: &str, family: &str) -> Vec<String> {
    #[expect(clippy::disallowed_methods, reason = "tests are told by scripts/test where programs of others are")]
    let program =
        std::env::var(PROGRAM).unwrap_or_else(|_| panic!("{PROGRAM} is not set; scripts/test integration builds it"));
    let mut command = Command::new(&program);
    command.args(["--json", "payload", token, "--target", family]);
    command.args(["--jwk-attack", "attacker.example", "--jwk-trust", "127.0.0.1"]);
    let output = command.output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let answer: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{family}: {error}: {text}"));
    let payloads = answer["payloads"].as_array().unwrap_or_else(|| panic!("{family}: {answer}"));
    payloads.iter().map(|payload| payload.as_str().expect("a token").to_owned()).collect()
}

async fn status(house: &House, header: &str, value: String) -> Option<StatusCode> {
    let value = http::HeaderValue::from_str(&value).ok()?;
    let request = Request::builder().uri("/api/v1/me").header(header, value);
    Some(house.send(request.body(axum::body::Body::empty()).unwrap()).await.status)
}

#[tokio::test]
#[ignore = "needs jwt-hack: scripts/test integration installs it first"]
async fn no_forgery_of_a_session_lets_anybody_in() {
    let house = House::new().await;
    let cookie = house.cookie().await;
    let pass = cookie.strip_prefix("berth_session=").unwrap();
    assert_eq!(status(&house, "cookie", cookie.clone()).await, Some(StatusCode::OK), "the true one");
    let all = forgeries(pass, "all");
    assert!(all.len() >= 100, "only {} forgeries", all.len());
    let sessions = house.world.database.count("select count(*) from sessions").await;
    let mut tried = 0;
    for forged in &all {
        assert_ne!(forged, pass);
        for (header, value) in
            [("cookie", format!("berth_session={forged}")), ("authorization", format!("Bearer {forged}"))]
        {
            // What cannot stand in a header reaches nobody.
            let Some(status) = status(&house, header, value).await else { continue };
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{header}: {forged}");
            tried += 1;
        }
    }
    assert!(tried >= 200, "only {tried} of {} forgeries could be sent", all.len());
    assert_eq!(house.world.database.count("select count(*) from sessions").await, sessions);
}

#[tokio::test]
#[ignore = "needs jwt-hack: scripts/test integration installs it first"]
async fn no_forgery_of_a_vendors_token_signs_anybody_in() {
    let door = Door::new().await;
    let invite = door.invite(100).await;
    let before = door.users().await;
    let mut tried = 0;
    for family in FAMILIES {
        let mut next = 0;
        loop {
            // A forgery of the very token that this attempt waits for: nonce, audience and times are right.
            let (honest, made) = (door.issuer.clone(), Arc::new(AtomicUsize::new(0)));
            let count = Arc::clone(&made);
            door.issuer.forge(move |draft| {
                let token = honest.sign(draft).unwrap();
                let all = forgeries(&token, family);
                count.store(all.len(), Ordering::SeqCst);
                draft.instead = Some(all[next].clone());
            });
            let answer = door.pass(&invite, "").await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{family} {next}: {}", answer.text);
            assert!(!answer.cookies().contains("berth_session"), "{family} {next}");
            tried += 1;
            next += 1;
            if next >= made.load(Ordering::SeqCst) {
                break;
            }
        }
    }
    assert!(tried >= 100, "only {tried} forgeries");
    assert_eq!(door.users().await, before);
    assert_eq!(door.house.world.database.count("select count(*) from sessions").await, 0);
    door.issuer.stop_forging();
    assert_eq!(door.pass(&invite, "").await.status, StatusCode::SEE_OTHER, "an honest one passes on the same way");
}
