//! What is missing, broken or changed is said in words and stops nothing else.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;

use crate::{
    berth::Berth,
    curl::{Curl, events},
    machines::Machines,
    setting::say,
};

#[tokio::test]
#[ignore = "needs a daemon, an image and a browser: scripts/test e2e runs it"]
async fn what_is_missing_is_said() {
    let mut berth = Berth::fresh().await;
    let token = berth.token("captain@example.org", true).await;
    let api = berth.api(&token);

    // No daemon: tried again, said on the timeline; Berth itself is well.
    berth.start(&[("BERTH_INCUS_SOCKET", "/nonexistent/unix.socket")]).await;
    let id = berth.create(&api, "scout").await;
    let why = happening(&berth, &api, &id, "step_retried").await["why"].as_str().unwrap_or_default().to_owned();
    assert!(why.contains("the machine provider is not available"), "{why}");
    say(&why);
    api.without().get("/health").await.expect(200);
    api.without().get("/ready").await.expect(200);
    let agent = api.get(&format!("/api/v1/agents/{id}")).await.expect(200);
    assert_eq!(agent["seen"]["state"], "preparing", "{agent}");
    // Deleted while the daemon is away: it stays until the daemon said that the machine is gone.
    api.delete(&format!("/api/v1/agents/{id}")).await.expect(202);
    seen_with_why(&berth, &api, &id, "deleting").await;
    sleep(Duration::from_secs(3)).await;
    assert_eq!(api.get(&format!("/api/v1/agents/{id}")).await.expect(200)["seen"]["state"], "deleting");
    berth.kill().await;
    berth.start(&[]).await;
    berth.gone(&api, &id).await;
    berth.end().await;

    // No image: a sentence with its name and the way to make one.
    berth.start(&[("BERTH_MACHINE_IMAGE", "berth-machine-missing")]).await;
    let id = berth.create(&api, "scout").await;
    let at = format!("/api/v1/agents/{id}");
    for again in [true, false] {
        let agent = seen_with_why(&berth, &api, &id, "failed").await;
        let why = agent["seen"]["why"].as_str().unwrap_or_default();
        assert!(why.contains("berth-machine-missing") && why.contains("scripts/build-image"), "{agent}");
        if again {
            say(why);
            let began = failures(&api, &id).await;
            api.post(&format!("{at}/retry"), None).await.expect(202);
            while failures(&api, &id).await == began {
                sleep(Duration::from_millis(200)).await;
            }
        }
    }
    assert_eq!(berth.machines().list().await, []);
    api.delete(&at).await.expect(202);
    berth.gone(&api, &id).await;
    berth.end().await;
}

/// One agent for three disturbances.
#[tokio::test]
#[ignore = "needs a daemon, an image and a browser: scripts/test e2e runs it"]
async fn a_killed_guest_is_survived_and_a_changed_host_key_is_not() {
    let (mut berth, api) = Berth::ready().await;
    let id = berth.create(&api, "scout").await;
    berth.seen(&api, &id, "live").await;
    let machines = berth.machines();
    let name = machines.list().await[0].name.as_str().to_owned();
    guest_killed_mid_apply(&berth, &api, &machines, (&id, &name)).await;
    a_changed_host_key_stops_the_flow(&berth, &api, &machines, (&id, &name)).await;
    berth.end().await;
}

/// The guest dies while a configuration is on its way; its unit and the flow bring it back.
async fn guest_killed_mid_apply(berth: &Berth, api: &Curl, machines: &Machines, (id, name): (&str, &str)) {
    let at = format!("/api/v1/agents/{id}");
    let before = api.get(&at).await.expect(200)["proof"]["id"].clone();
    api.post(&format!("{at}/restart"), None).await.expect(202);
    let configuring = "select count(*) from agents where seen->>'state' = 'configuring'";
    let began = Instant::now();
    while berth.database.count(configuring).await == 0 {
        assert!(began.elapsed() < Duration::from_mins(2), "no configuration was sent\n{}", berth.log());
        sleep(Duration::from_millis(5)).await;
    }
    machines.inside(name, "pkill -9 -x berth-guest").await;
    say("the guest was killed");
    let began = Instant::now();
    loop {
        let agent = api.get(&at).await.expect(200);
        assert!(agent["seen"]["state"] != "failed", "{agent}\n{}", berth.log());
        if agent["seen"]["state"] == "live" && agent["proof"]["id"] != before {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(150), "{agent}\n{}", berth.log());
        sleep(Duration::from_millis(250)).await;
    }
    say(&format!("live again after {:.1} s", began.elapsed().as_secs_f64()));
}

/// Another host key: nobody signs in, nothing is sent, an operator is told, removal works.
async fn a_changed_host_key_stops_the_flow(berth: &Berth, api: &Curl, machines: &Machines, (id, name): (&str, &str)) {
    let at = format!("/api/v1/agents/{id}");
    let change = "rm -f /etc/ssh/ssh_host_ed25519_key* && ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key && systemctl restart ssh";
    machines.inside(name, change).await;
    // Connections that were open before end with the sshd that they spoke to.
    machines.inside(name, "pkill -9 -f '^sshd: |^sshd-session: ' || true").await;
    let accepted = "journalctl -q -o cat _COMM=sshd + _COMM=sshd-session + SYSLOG_IDENTIFIER=sshd-session | grep -c Accepted || true";
    let before = machines.inside(name, accepted).await;
    assert!(before.trim().parse::<u32>().is_ok_and(|count| count > 0), "sshd's log shows who signed in: {before}");
    api.post(&format!("{at}/proofs"), None).await.expect(202);
    let agent = seen_with_why(berth, api, id, "failed").await;
    let why = agent["seen"]["why"].as_str().unwrap_or_default();
    assert!(why.contains("another host key") && why.contains("Nothing was sent"), "{agent}");
    say(why);
    let alerts = "select count(*) from alerts where kind = 'host_key_changed' and closed_at is null";
    assert_eq!(berth.database.count(alerts).await, 1);
    // Nobody signed in at the stranger, so no byte of ours went through.
    assert_eq!(machines.inside(name, accepted).await, before);
    // A retry meets the same stranger.
    let began = failures(api, id).await;
    api.post(&format!("{at}/retry"), None).await.expect(202);
    let since = Instant::now();
    while failures(api, id).await == began {
        assert!(since.elapsed() < Duration::from_mins(1), "{}", berth.log());
        sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(machines.inside(name, accepted).await, before);
    api.delete(&at).await.expect(202);
    berth.gone(api, id).await;
}

/// Waits for a state that has its own sentence.
async fn seen_with_why(berth: &Berth, api: &Curl, id: &str, state: &str) -> Value {
    let began = Instant::now();
    loop {
        let agent = api.get(&format!("/api/v1/agents/{id}")).await.expect(200);
        if agent["seen"]["state"] == state {
            return agent;
        }
        assert!(began.elapsed() < Duration::from_mins(2), "not {state}: {agent}\n{}", berth.log());
        sleep(Duration::from_millis(200)).await;
    }
}

async fn timeline(api: &Curl, id: &str) -> Vec<(i64, String, Value)> {
    events(&api.listen(&format!("/api/v1/agents/{id}/events"), &[], Duration::from_secs(1)).await)
}

/// The first event of this name, once there is one.
async fn happening(berth: &Berth, api: &Curl, id: &str, event: &str) -> Value {
    let began = Instant::now();
    loop {
        if let Some((_, _, data)) = timeline(api, id).await.into_iter().find(|(_, name, _)| name == event) {
            return data;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "no {event}\n{}", berth.log());
    }
}

/// How often the agent was seen failed.
async fn failures(api: &Curl, id: &str) -> usize {
    let failed = |data: &Value| data["seen"]["state"] == "failed";
    timeline(api, id).await.iter().filter(|(_, name, data)| name == "seen" && failed(data)).count()
}
