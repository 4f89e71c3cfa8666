//! A live agent's gateway token and machine key are replaced, by its tenant, by the operator, and with Berth killed on the way.

use std::time::Duration;

use tokio::time::sleep;

use crate::{berth::Berth, curl::Curl, guest::Guest, setting::say};

/// The token that the gateway was given, and what tells one machine key from another without showing it.
const TOKEN: &str = "cat /run/openclaw/secrets/gateway_token";
const KEY: &str = "sha256sum < /etc/berth/machine.key";
const PROCESS: &str = "systemctl show --property=MainPID --value openclaw.service";

#[tokio::test]
#[ignore = "needs a daemon and an image: scripts/test e2e runs it"]
async fn a_live_agents_token_and_key_are_replaced_and_the_old_token_is_refused() {
    let (mut berth, api) = Berth::ready().await;
    let (guest, id) = Guest::of_new_agent(&berth, &api).await;
    let process = guest.inside(PROCESS).await;

    let first = held(&guest).await;
    api.post(&format!("/api/v1/agents/{id}/rotate"), None).await.expect(202);
    let second = replaced(&berth, &guest, &api, &id, &first, 1).await;
    assert_eq!(guest.inside(PROCESS).await, process, "without a restart");
    say("replaced, as its tenant asked");

    let rotate = ["machines", "rotate", "--agent", &id];
    let output = berth.command(&rotate).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("1 machine asked now"), "{said}");
    let third = replaced(&berth, &guest, &api, &id, &second, 2).await;
    let output = berth.command(&["machines", "status", "--json"]).output().await.unwrap();
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&status["left"], &status["machines"]), (&0.into(), &1.into()), "{status}");
    say("replaced, as the operator asked");

    // Killed after the machine took the new ones and before that was written down.
    berth.kill().await;
    berth.start(&[("BERTH_CRASH_AT", "apply:done")]).await;
    api.post(&format!("/api/v1/agents/{id}/rotate"), None).await;
    berth.death(Duration::from_mins(1)).await;
    let between = held(&guest).await;
    assert!(between.0 != third.0 && between.1 != third.1, "the machine has the new ones");
    berth.start(&[]).await;
    let last = replaced(&berth, &guest, &api, &id, &third, 3).await;
    assert_eq!(last, between, "the same new ones, not others again");
    say("replaced, with Berth killed on the way");

    // What it keeps opens after a restart of everything.
    guest.inside("systemctl restart berth-guest.service openclaw.service").await;
    api.post(&format!("/api/v1/agents/{id}/restart"), None).await.expect(202);
    answers(&api, &id).await;
    assert_eq!(guest.gateway_says(&last.0).await, "200");
    berth.verified().await;
    api.delete(&format!("/api/v1/agents/{id}")).await.expect(202);
    berth.gone(&api, &id).await;
    berth.end().await;
}

async fn held(guest: &Guest) -> (String, String) {
    (guest.inside(TOKEN).await.trim().to_owned(), guest.inside(KEY).await.trim().to_owned())
}

/// Waits until it is told for the `times`th time that the keys were replaced; then the new token is good, the old one
/// is refused, and the agent answers.
async fn replaced(
    berth: &Berth,
    guest: &Guest,
    api: &Curl,
    id: &str,
    old: &(String, String),
    times: i64,
) -> (String, String) {
    let told = "select count(*) from timeline where what ->> 'event' = 'keys_replaced'";
    for tries in 0.. {
        if berth.database.count(told).await >= times {
            break;
        }
        assert!(tries < 240, "not replaced within a minute\n{}", berth.log());
        sleep(Duration::from_millis(250)).await;
    }
    let new = held(guest).await;
    assert!(new.0 != old.0 && new.1 != old.1, "the machine has the old ones");
    assert_eq!((guest.gateway_says(&new.0).await, guest.gateway_says(&old.0).await), ("200".into(), "401".into()));
    let agent = berth.seen(api, id, "live").await;
    assert!(agent["machine"]["keys_replaced_at"].is_string(), "{agent}");
    answers(api, id).await;
    new
}

/// A turn, asked again while the gateway is on its way up.
async fn answers(api: &Curl, id: &str) {
    for _ in 0..60 {
        let answer = api.post(&format!("/api/v1/agents/{id}/turns"), Some(r#"{"text":"after the rotation"}"#)).await;
        if answer.status == 200 && answer.body.contains("after the rotation") && answer.body.contains("answered") {
            return;
        }
        sleep(Duration::from_secs(2)).await;
    }
    panic!("no answer in two minutes");
}
