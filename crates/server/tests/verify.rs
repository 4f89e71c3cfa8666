//! `berth verify` as an operator runs it: what it prints, and how it exits.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should end there")]

use std::process::{Command, Output};

use serde_json::Value;
use testkit::Database;

fn verify(url: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_berth"))
        .arg("verify")
        .args(arguments)
        .env_clear()
        .env("DATABASE_URL", url)
        .env("CREDENTIAL_ENCRYPTION_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
        .env("BERTH_INCUS_SOCKET", "/nonexistent/unix.socket")
        .current_dir(std::env::temp_dir())
        .output()
        .unwrap()
}

#[tokio::test]
async fn the_exit_code_tells_clean_from_violated_from_unknown() {
    let database = Database::fresh().await;
    let url = database.url_as("berth_login");
    let clean = verify(&url, &[]);
    assert_eq!(clean.status.code(), Some(0), "{}", String::from_utf8_lossy(&clean.stderr));
    assert!(String::from_utf8_lossy(&clean.stdout).starts_with("clean: "));

    // This database has a name now, so its machines have to be asked for; the provider is away.
    database.sql("insert into installation (id) values (gen_random_uuid())").await;
    let unknown = verify(&url, &["--json"]);
    let body: Value = serde_json::from_slice(&unknown.stdout).unwrap();
    assert_eq!((unknown.status.code(), &body["state"]), (Some(2), &Value::from("unknown")));
    assert!(body["invariants"][0]["why"].as_str().unwrap().contains("provider"), "{body}");

    database
        .sql("insert into flows (id, kind, subject, step) values (gen_random_uuid(), 'sweep', gen_random_uuid(), '{}')")
        .await;
    let violated = verify(&url, &["--json"]);
    let body: Value = serde_json::from_slice(&violated.stdout).unwrap();
    assert_eq!((violated.status.code(), &body["state"]), (Some(1), &Value::from("violated")));
    assert_eq!(body["invariants"][6]["violations"][0]["check"], "unreadable_step");
}

#[tokio::test]
async fn a_database_that_is_away_is_cannot_tell() {
    let away = verify("postgres://berth_login@127.0.0.1:1/none", &["--json"]);
    let body: Value = serde_json::from_slice(&away.stdout).unwrap();
    assert_eq!((away.status.code(), &body["state"]), (Some(2), &Value::from("unknown")));
    assert!(String::from_utf8_lossy(&away.stderr).starts_with("berth: cannot tell: the database cannot be reached"));
}
