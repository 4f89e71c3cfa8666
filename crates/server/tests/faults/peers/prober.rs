//! schemathesis (PyPI): every check it has, on every operation of the document, against the real program.
//!
//! It acts as an operator who owns a tenant, as the owner of another one, as cron, as
//! Prometheus and as a machine, and finds out by itself who may do what. What it
//! cannot know, and each exception, stands in `crates/server/tests/peers/schemathesis.toml`
//! and `berth_hooks.py` beside it. How many cases there were, its own report says.

use std::{collections::BTreeMap, path::Path, process::Stdio, time::Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Database, http_call::browse};
use tokio::process::Command;

use crate::{
    api::Api,
    fleet::{CRON, Fleet},
    size::{say, seed, sized},
};

use super::{LIVE_MAX, METRICS};

/// The same in every run of the short form: what it found once it finds again.
const SEED: u64 = 889;
/// Examples of each operation in each phase, and the least that come of them altogether.
const SHORT: (u32, u64) = (8, 3_000);
const LONG: (u32, u64) = (70, 10_000);
/// Operations that show whether whoever is meant to be let in was: one for each identity, and one behind an id.
const LET_IN: [&str; 8] = [
    "GET /api/v1/me",
    "GET /api/v1/agents/{id}",
    "DELETE /api/v1/agents/{id}",
    "GET /api/admin/v1/stats",
    "POST /api/cron/pool",
    "GET /metrics",
    "POST /api/internal/machine/events",
    "POST /llm/v1/messages",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs schemathesis: scripts/test integration installs it first"]
async fn schemathesis_finds_nothing() {
    let (examples, cases) = sized(SHORT, LONG);
    let seed = sized::<fn() -> u64>(|| SEED, || seed("schemathesis"))();
    let folder = TempDir::new().unwrap();
    let mails = folder.path().join("mails");
    std::fs::create_dir(&mails).unwrap();
    let settings = vec![
        ("BERTH_METRICS_TOKEN", METRICS.to_owned()),
        ("BERTH_MAIL_DIR", mails.display().to_string()),
        ("BERTH_MAIL_FROM", "berth@example.org".to_owned()),
        ("BERTH_SECURITY_CONTACT", "mailto:security@example.org".to_owned()),
    ];
    let fleet = Fleet::with(Database::fresh().await, 1, settings).await;
    let identities = identities(&fleet, folder.path()).await;
    sign_in(&fleet).await;
    let shell = shell(&fleet, folder.path());
    let began = Instant::now();
    let report = folder.path().join("report.json");
    let (status, told) = run(&fleet, (&identities, &shell, &report), (examples, seed)).await;
    let report: Value =
        std::fs::read(&report).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/schemathesis.txt"), &told).unwrap();

    assert_eq!(report["failures"], json!([]), "{told}");
    assert_eq!(report["errors"], json!([]), "{told}");
    assert!(status, "{told}");
    // What was left out is a count where the run came to its end, and nothing where it did not.
    assert_eq!((&report["complete"], report["filtered"].as_u64().unwrap_or(0)), (&json!(true), 0), "{report}");
    let operations = &report["operations"];
    assert_eq!(operations["tested"], operations["total"], "every operation of the document: {operations}");
    let document = document(&fleet).await;
    let routes = document["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len());
    // Where the document was read from is not asked for again.
    assert_eq!(operations["total"], json!(routes.sum::<usize>() - 1));
    for (phase, how) in report["phases"].as_object().unwrap() {
        assert!(["success", "skip"].contains(&how["status"].as_str().unwrap()), "{phase}: {how}");
    }
    for operation in LET_IN {
        let accepted = accepted(&report["valid_rates"], operation);
        assert!(accepted > 0, "nobody was let in at {operation}: {}", report["valid_rates"][operation]);
    }
    let sent = report["test_cases"]["generated"].as_u64().unwrap();
    assert!(sent >= cases, "only {sent} cases");
    let (took, total) = (began.elapsed().as_secs_f64(), operations["total"].as_u64().unwrap());
    say(&format!("schemathesis: {sent} cases of {total} operations, seed {seed}, 0 failures, in {took:.0} s"));
}

/// How often an operation was well asked and well answered, whatever the phase.
fn accepted(rates: &Value, operation: &str) -> u64 {
    let phases = rates[operation].as_object();
    phases.into_iter().flatten().filter_map(|(_, rate)| rate["accepted"].as_u64()).sum()
}

async fn document(fleet: &Fleet) -> Value {
    let answer = fleet.api.ask(http::Method::GET, "/openapi.json", None, "").await;
    assert_eq!(answer.status, 200);
    answer.json()
}

async fn run(fleet: &Fleet, files: (&Path, &Path, &Path), (examples, seed): (u32, u64)) -> (bool, String) {
    let (identities, shell, report) = files;
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let peers = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers");
    let mut command = Command::new(format!("{root}/target/peers/bin/schemathesis"));
    command.args(["--config-file", &format!("{peers}/schemathesis.toml"), "run"]);
    command.arg(format!("{}/openapi.json", fleet.api.base)).args(["--checks", "all", "--no-color"]);
    command.args(["--max-examples", &examples.to_string(), "--seed", &seed.to_string()]);
    command.arg("--report-json-path").arg(report);
    command.env("PYTHONPATH", peers).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("BERTH_IDENTITIES", identities).env("BERTH_SHELL", shell);
    command.current_dir(report.parent().unwrap()).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.expect("scripts/test integration makes target/peers");
    let told = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&told).into_owned())
}

/// Everybody who asks, as the Web Fuzzing Commons write them down.
async fn identities(fleet: &Fleet, folder: &Path) -> std::path::PathBuf {
    let bearer = |name: &str, token: &str| {
        let value = format!("Bearer {token}");
        json!({ "name": name, "fixedHeaders": [{ "name": "Authorization", "value": value }] })
    };
    let stranger = issue(fleet, "stranger@example.org").await;
    let (machine, model) = machine(fleet).await;
    let key = json!({ "name": "model", "fixedHeaders": [{ "name": "x-api-key", "value": model }] });
    let all = json!({ "auth": [
        bearer("captain", &fleet.api.token), bearer("cron", CRON), bearer("metrics", METRICS),
        bearer("machine", &machine), key, bearer("stranger", &stranger),
    ] });
    let path = folder.join("identities.json");
    std::fs::write(&path, all.to_string()).unwrap();
    path
}

/// The token and the key of a machine that nobody else touches: its owner is not among those who ask.
async fn machine(fleet: &Fleet) -> (String, String) {
    let api = Api { token: issue(fleet, "keeper@example.org").await, ..fleet.api.clone() };
    let agent = api.create("kept").await;
    api.seen(&agent, "live", LIVE_MAX).await.unwrap();
    let names: Vec<String> = fleet.simulator.machines().into_iter().map(|machine| machine.name).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    fleet.simulator.credentials(&names[0]).expect("its gateway is configured")
}

/// A browser of the captain's, so that there is a session to be ended.
async fn sign_in(fleet: &Fleet) {
    let form = Some(format!("token={}", fleet.api.token));
    let answer = browse(&format!("{}/login", fleet.api.base), "", form).await.unwrap();
    assert_eq!(answer.status, 303, "{}", answer.body);
}

async fn issue(fleet: &Fleet, email: &str) -> String {
    let mut command = fleet.processes[0].command(&["admin", "issue-token", "--email", email]);
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// How whoever revoked their own token gets another from the server's shell.
fn shell(fleet: &Fleet, folder: &Path) -> std::path::PathBuf {
    let mut people = BTreeMap::new();
    let mut environment = BTreeMap::new();
    for (name, email, more) in
        [("captain", "captain@example.org", &["--operator"][..]), ("stranger", "stranger@example.org", &[])]
    {
        let arguments = [&["admin", "issue-token", "--email", email], more].concat();
        let command = fleet.processes[0].command(&arguments);
        let command = command.as_std();
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        people.insert(name, words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>());
        for (name, value) in command.get_envs() {
            let value = value.map(|value| value.to_string_lossy().into_owned()).unwrap_or_default();
            environment.insert(name.to_string_lossy().into_owned(), value);
        }
    }
    let path = folder.join("shell.json");
    let all = json!({ "base": fleet.api.base, "people": people, "env": environment });
    std::fs::write(&path, all.to_string()).unwrap();
    path
}
