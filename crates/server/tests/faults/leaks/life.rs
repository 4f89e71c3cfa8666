//! The life of an agent and of its owner, with a mark wherever a secret goes in, and what Berth drew itself told to
//! the hunt.

use std::{
    fs,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::credential::Kind;
use http::Method;
use serde_json::json;
use testkit::{
    marks::Class,
    sim::{How, Verb},
};
use tokio::time::sleep;

use super::{
    house::Marked,
    visitor::{Visitor, cookie, cookies, word},
};

const SOON: Duration = Duration::from_secs(30);
/// Their owner is a tenant; all others are an agent's.
const MODEL_KEYS: [Kind; 4] = [Kind::Anthropic, Kind::OpenAi, Kind::OpenRouter, Kind::Compatible];
const OF_AGENTS: [Kind; 4] = [Kind::Telegram, Kind::Slack, Kind::Discord, Kind::Variable];

/// Signs in by every way and looks around; the browser's cookies.
pub(super) async fn sign_in(house: &mut Marked, visitor: &Visitor) -> String {
    let form = Some("email=captain%40example.org&next=%2Fdashboard".to_owned());
    visitor.browse("mail-asked", "/auth/mail", "", form).await;
    let link = word(&mailed(house).await, "berth_lnk_");
    house.marks.learn(Class::Link, "berth_lnk_".len(), link.as_bytes());
    let page = visitor.browse("login", "/login", "", Some(format!("link={link}"))).await;
    assert_eq!(page.status, 303, "{}", page.body);
    let session = cookie(&page, "berth_ses_");
    house.marks.learn(Class::SessionToken, "berth_ses_".len(), session.as_bytes());
    let jar = cookies(&page);

    house.issuer.sign_in_as("ada-1", json!({ "email": "ada@example.org", "email_verified": true }));
    let page = visitor.browse("vendor-start", "/auth/oidc/start?next=%2Fdashboard", "", None).await;
    let attempt = cookie(&page, "berth_sgn_");
    house.marks.learn(Class::SignInToken, "berth_sgn_".len(), attempt.as_bytes());
    let back = house.issuer.visit(page.location.as_deref().expect("Berth sends browsers there"));
    let callback = format!("/auth/oidc/callback?code={}&state={}", back.code, back.state);
    visitor.browse("vendor-callback", &callback, &cookies(&page), None).await;

    let page = visitor.browse("factor", "/factor/begin", &jar, Some("next=%2Fadmin".to_owned())).await;
    let secret = page.body.split("<code class=\"id\">").nth(1).and_then(|rest| rest.split('<').next());
    let secret = secret.unwrap_or_else(|| panic!("the factor is shown once: {} {}", page.status, page.body));
    let bytes = from_base32(secret);
    house.marks.learn(Class::SecondFactor, 0, secret.trim().as_bytes());
    house.marks.learn(Class::SecondFactor, 0, &bytes);
    jar
}

/// Tokens and invites: shown once, in the answer to whoever asked for them.
pub(super) async fn issue(house: &mut Marked, visitor: &Visitor) {
    let wish = json!({ "name": "hunt", "scopes": ["agents:write"], "days": 7 });
    let answer = visitor.ask("token-issued", Method::POST, "/api/v1/tokens", Some(wish)).await;
    let token = word(&answer.body, "berth_pat_");
    house.marks.learn(Class::PersonalToken, "berth_pat_".len(), token.as_bytes());
    visitor.ask_as(&token, "token-used", (Method::GET, "/api/v1/agents"), None).await;
    let wish = json!({ "codes": 1, "uses": 1, "days": 7, "note": "for the hunt" });
    let answer = visitor.ask("invites-made", Method::POST, "/api/admin/v1/invites", Some(wish)).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let code = answer.json()["invites"][0]["code"].as_str().map(str::to_owned);
    let code = code.unwrap_or_else(|| panic!("a code is in it: {}", answer.body));
    house.marks.learn(Class::InviteCode, 0, code.as_bytes());
    visitor.ask("invite-checked", Method::POST, "/api/v1/invites/validate", Some(json!({ "code": code }))).await;
}

/// Creates an agent and gives it and its tenant one credential of each kind, each replaced and tested; the agent's id.
pub(super) async fn furnish(house: &Marked, visitor: &Visitor) -> String {
    let agent = house.fleet.api.create("scout").await;
    house.fleet.api.seen(&agent, "live", SOON).await.unwrap();
    talk(house, visitor, &agent).await;
    let of_agents = OF_AGENTS.iter().map(|kind| (kind, Some(agent.as_str())));
    for (kind, of) in MODEL_KEYS.iter().map(|kind| (kind, None)).chain(of_agents) {
        for value in house.values(*kind) {
            let mut wish = json!({ "kind": kind, "value": value });
            if let Some(agent) = of {
                wish["agent"] = json!(agent);
            }
            if *kind == Kind::Compatible {
                wish["base_url"] = json!(house.vendor.compatible());
            }
            if *kind == Kind::Variable {
                wish["name"] = json!("HARBOUR_KEY");
            }
            let answer = visitor.ask("credential-set", Method::POST, "/api/v1/credentials", Some(wish)).await;
            assert_eq!(answer.status, 201, "{kind:?}: {}", answer.body);
            if of.is_some() {
                arrived(house, *kind, &value).await;
            }
        }
    }
    bring_along(house, visitor, &agent).await;
    for id in credentials(visitor).await {
        let path = format!("/api/v1/credentials/{id}/test");
        let answer = visitor.ask("credential-tested", Method::POST, &path, None).await;
        assert!([200, 409, 422].contains(&answer.status), "{}", answer.body);
    }
    talk(house, visitor, &agent).await;
    agent
}

/// A variable that another program sealed, first under a passphrase that is not its.
async fn bring_along(house: &Marked, visitor: &Visitor, agent: &str) {
    let text = house.brought_along();
    for (passphrase, status) in [("another", 422), (house.marks.value(Class::ImportPassphrase), 201)] {
        let imported = json!({ "form": "openssl", "text": text, "passphrase": passphrase });
        let wish = json!({ "kind": "variable", "agent": agent, "name": "BROUGHT_ALONG", "imported": imported });
        let answer = visitor.ask("credential-imported", Method::POST, "/api/v1/credentials", Some(wish)).await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
    arrived(house, Kind::Variable, house.marks.value(Class::ImportedSecret)).await;
}

/// Power off and on, proofs, logs; every page that shows the agent or its credentials.
pub(super) async fn look_around(house: &Marked, visitor: &Visitor, (agent, jar): (&str, &str)) {
    for (what, seen) in [("stop", "stopped"), ("start", "live"), ("restart", "live")] {
        visitor.ask(what, Method::POST, &format!("/api/v1/agents/{agent}/{what}"), None).await;
        house.fleet.api.seen(agent, seen, SOON).await.unwrap();
    }
    for path in ["/logs", "", "/proofs"] {
        let method = if path == "/proofs" { Method::POST } else { Method::GET };
        visitor.ask("agent", method, &format!("/api/v1/agents/{agent}{path}"), None).await;
    }
    for path in PAGES {
        let page = visitor.browse("page", path, jar, None).await;
        assert!([200, 303].contains(&page.status), "{path}: {}", page.status);
    }
    for path in ["", "/credentials"] {
        assert_eq!(visitor.browse("page", &format!("/agents/{agent}{path}"), jar, None).await.status, 200);
    }
    for path in OPERATED {
        visitor.ask("operated", Method::GET, path, None).await;
    }
    let tenant = visitor.ask("me", Method::GET, "/api/v1/me", None).await.json()["tenant"].as_str().map(str::to_owned);
    let path = format!("/api/admin/v1/tenants/{}/read", tenant.expect("whoever asks has a tenant"));
    let reason = json!({ "reason": "the hunt looks at what operators are shown" });
    let read = visitor.ask("operated", Method::POST, &path, Some(reason)).await;
    assert!(read.status == 200 && read.body.contains("fingerprint"), "{}: {}", read.status, read.body);
}

/// An alert, a mail that cannot leave, a rotation of the master key.
pub(super) async fn trouble(house: &mut Marked, visitor: &Visitor) {
    house.restart().await;
    let rotated = house.fleet.processes[0].command(&["keys", "rotate"]).output().await.unwrap();
    assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));
    fs::write(house.answers().join("keys-rotated"), [rotated.stdout, rotated.stderr].concat()).unwrap();
    let form = Some("email=captain%40example.org&next=%2Fdashboard".to_owned());
    visitor.browse("mail-asked", "/auth/mail", "", form).await;
    house.fleet.simulator.strike(Verb::Create, How::Refuse, 100);
    let unlucky = house.fleet.api.create("unlucky").await;
    let began = Instant::now();
    while !house.vendor.calls().iter().any(|call| call.path == "/alerts") {
        assert!(began.elapsed() < SOON, "no alert was delivered");
        sleep(Duration::from_millis(50)).await;
    }
    house.fleet.api.delete(&unlucky).await;
}

/// What an owner and an operator take away.
pub(super) async fn take_away(house: &Marked, visitor: &Visitor) {
    for path in ["/api/v1/audit/export", "/api/v1/export", "/openapi.json", "/health", "/ready"] {
        let answer = visitor.ask("export", Method::GET, path, None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
    for (secret, path) in [(Class::MetricsToken, "/metrics"), (Class::CronSecret, "/api/cron/health")] {
        let answer = visitor.ask_as(house.marks.value(secret), "machine-read", (Method::GET, path), None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
    let shown = house.fleet.processes[0].command(&["config", "show"]).output().await.unwrap();
    assert!(shown.status.success());
    fs::write(house.answers().join("config-shown"), shown.stdout).unwrap();
}

/// The credentials go, then the agent.
pub(super) async fn end(house: &Marked, visitor: &Visitor, agent: &str) {
    for id in credentials(visitor).await {
        let gone = visitor.ask("credential-removed", Method::DELETE, &format!("/api/v1/credentials/{id}"), None).await;
        assert_eq!(gone.status, 204, "{}", gone.body);
    }
    house.fleet.api.delete(agent).await;
    house.fleet.api.seen(agent, "gone", SOON).await.unwrap();
}

/// What only machines were given: their tokens and keys.
pub(super) fn learn_from_machines(house: &mut Marked) {
    for (name, value) in house.fleet.simulator.received() {
        let text = String::from_utf8_lossy(&value).into_owned();
        match name.as_str() {
            "/etc/ssh/ssh_host_ed25519_key" => house.marks.learn(Class::HostKey, 0, &seed(&text)),
            "/etc/berth/machine.key" => house.marks.learn(Class::MachineKey, 0, &value),
            "/etc/berth/guest.json" => {
                let token = word(&text, "berth_mch_");
                house.marks.learn(Class::MachineToken, "berth_mch_".len(), token.as_bytes());
            }
            "gateway_token" => house.marks.learn(Class::GatewayToken, known(&text, "berth_gtw_"), text.as_bytes()),
            "model_key" => house.marks.learn(Class::ModelKey, known(&text, "berth_llm_"), text.as_bytes()),
            _ => {}
        }
    }
}

/// The secret half of an Ed25519 key in OpenSSH's form.
pub(super) fn seed(pem: &str) -> [u8; 32] {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let bytes = STANDARD.decode(body).unwrap();
    // The secret half is the first of the 64 bytes that follow their own length.
    let at = bytes.windows(4).position(|window| window == [0, 0, 0, 64]).unwrap() + 4;
    bytes[at..at + 32].try_into().unwrap()
}

fn known(text: &str, starts: &str) -> usize {
    if text.starts_with(starts) { starts.len() } else { 0 }
}

async fn talk(house: &Marked, visitor: &Visitor, agent: &str) {
    let words = json!({ "text": house.marks.value(Class::Question) });
    let answer = visitor.ask("turn", Method::POST, &format!("/api/v1/agents/{agent}/turns"), Some(words)).await;
    assert_eq!(answer.json()["state"], "answered", "{}", answer.body);
}

async fn credentials(visitor: &Visitor) -> Vec<String> {
    let list = visitor.ask("credentials", Method::GET, "/api/v1/credentials", None).await.json();
    let rows = list["credentials"].as_array().cloned().unwrap_or_default();
    rows.iter().filter_map(|row| row["id"].as_str().map(str::to_owned)).collect()
}

/// Waits until a machine was given this.
async fn arrived(house: &Marked, kind: Kind, value: &str) {
    let began = Instant::now();
    let parts: Vec<&str> = value.split('\n').collect();
    let has = |part: &&str| house.fleet.simulator.received().iter().any(|(_, given)| given == part.as_bytes());
    while !parts.iter().all(has) {
        assert!(began.elapsed() < SOON, "the {kind:?} credential never reached the machine");
        sleep(Duration::from_millis(20)).await;
    }
}

/// The one mail so far, as text.
async fn mailed(house: &Marked) -> String {
    let began = Instant::now();
    loop {
        let mails = fs::read_dir(house.mails()).unwrap().flatten().map(|entry| entry.path());
        if let Some(mail) = mails.filter(|path| path.extension().is_some_and(|end| end == "eml")).last() {
            return fs::read_to_string(mail).unwrap().replace("=\r\n", "").replace("=3D", "=");
        }
        assert!(began.elapsed() < SOON, "no mail came");
        sleep(Duration::from_millis(20)).await;
    }
}

fn from_base32(text: &str) -> Vec<u8> {
    let bits = text.trim().bytes().filter_map(|letter| match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'2'..=b'7' => Some(letter - b'2' + 26),
        _ => None,
    });
    let bits: Vec<u8> = bits.flat_map(|five| (0..5).rev().map(move |bit| five >> bit & 1)).collect();
    bits.chunks_exact(8).map(|eight| eight.iter().fold(0, |byte, bit| byte << 1 | bit)).collect()
}

const PAGES: [&str; 7] = ["/dashboard", "/credentials", "/audit", "/settings", "/sessions", "/team", "/tenants"];
const OPERATED: [&str; 7] = [
    "/api/admin/v1/stats",
    "/api/admin/v1/alerts",
    "/api/admin/v1/machines",
    "/api/admin/v1/flows",
    "/api/admin/v1/invites",
    "/api/admin/v1/audit",
    "/api/v1/audit",
];
