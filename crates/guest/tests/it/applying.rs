//! Configurations that come into force, and those that do not.

use std::{fs, os::unix::fs::MetadataExt as _};

use domain::protocol::{Ask, Refusal, Reply};
use guest::in_force::digest;
use serde_json::json;

use crate::world::{World, key, secrets, token, wanted};

#[tokio::test]
async fn a_configuration_comes_into_force_with_its_secrets() {
    let world = World::new().await;
    let done = world.apply(1, "m").await.unwrap();
    assert_eq!((done.fence, done.applied, done.digest), (1, true, digest(&wanted("m"), None)));
    assert_eq!(world.gateway.runs(), ("berth/m".into(), token("m"), key("m")));
    let Ok(Reply::Status(status)) = world.ask(Ask::Status).await else { panic!("no status") };
    assert_eq!(status.in_force.unwrap().digest, digest(&wanted("m"), None));
    for (path, mode) in [
        (world.paths.secrets.clone(), 0o700),
        (world.paths.secrets.join("gateway_token"), 0o400),
        (world.paths.secrets.join("model_key"), 0o400),
        (world.paths.agent_home.join(".openclaw/openclaw.json"), 0o600),
        (world.paths.sealed.clone(), 0o700),
        (world.paths.sealed.join("current"), 0o600),
        (world.paths.socket.clone(), 0o660),
    ] {
        assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o7777, mode, "{}", path.display());
    }
}

#[tokio::test]
async fn a_repetition_changes_nothing_and_an_older_fence_is_refused() {
    let world = World::new().await;
    world.apply(5, "m").await.unwrap();
    let applies = world.gateway.inner().applies;
    assert!(world.apply(5, "m").await.unwrap().applied);
    assert_eq!(world.gateway.inner().applies, applies);
    assert_eq!(world.apply(4, "m").await, Err(Refusal::Fenced { fence: 4, applied: 5 }));
    assert_eq!(world.apply(5, "other").await, Err(Refusal::Fenced { fence: 5, applied: 5 }));
    assert_eq!(world.gateway.runs().0, "berth/m");
}

#[tokio::test]
async fn secrets_alone_are_rotated_although_the_document_is_the_same() {
    let world = World::new().await;
    world.apply(1, "m").await.unwrap();
    assert!(world.apply_with(1, wanted("m"), secrets("fresh")).await.unwrap().applied);
    assert_eq!(world.gateway.runs(), ("berth/m".into(), token("fresh"), key("fresh")));
    assert_eq!(world.turn("hi").await.unwrap(), "you said hi");
}

#[tokio::test]
async fn a_refused_configuration_leaves_the_last_good_one_whole() {
    let world = World::new().await;
    world.apply(1, "m").await.unwrap();
    let mut bad = wanted("bad");
    bad["nonsense"] = json!(1);
    let mut more = secrets("bad");
    more.push(domain::protocol::SecretFile {
        name: "third".into(),
        value: domain::protocol::SecretText::new("12345678".into()),
    });
    let refused = world.apply_with(2, bad, more).await.unwrap_err();
    assert!(matches!(&refused, Refusal::Invalid { why } if why.contains("Unrecognized key")), "{refused}");
    assert_eq!(world.gateway.runs(), ("berth/m".into(), token("m"), key("m")));
    assert_eq!(fs::read_to_string(world.paths.secrets.join("model_key")).unwrap(), key("m"));
    assert!(!world.paths.secrets.join("third").exists());
    assert!(world.apply(2, "good").await.unwrap().applied, "the fence of a refused configuration is not used up");
}

#[tokio::test]
async fn two_at_once_come_one_after_the_other_and_the_newer_one_stays() {
    let world = World::new().await;
    let (older, newer) = tokio::join!(world.apply(1, "older"), world.apply(2, "newer"));
    // On a slow machine the one that waits is told that the machine is busy, and comes again.
    let newer = if newer == Err(Refusal::Busy) { world.apply(2, "newer").await } else { newer };
    assert!(newer.unwrap().applied);
    assert!(matches!(older, Ok(_) | Err(Refusal::Fenced { .. } | Refusal::Busy)), "{older:?}");
    assert_eq!(world.gateway.runs(), ("berth/newer".into(), token("newer"), key("newer")));
}

#[tokio::test]
async fn an_apply_does_not_cut_into_a_turn() {
    let world = World::new().await;
    world.apply(1, "m").await.unwrap();
    let (turn, apply) = tokio::join!(world.turn("slow"), async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        world.apply(2, "n").await
    });
    assert_eq!((turn.as_deref(), apply), (Ok("you said slow"), Err(Refusal::Busy)));
    assert!(world.apply(2, "n").await.unwrap().applied);
}

#[tokio::test]
async fn a_stopped_machine_takes_its_configuration_up_at_the_next_start() {
    let world = World::new().await;
    world.ask(Ask::Stop).await.unwrap();
    assert!(!world.apply(1, "m").await.unwrap().applied);
    world.ask(Ask::Start).await.unwrap();
    assert!(world.apply(1, "m").await.unwrap().applied);
    assert_eq!(world.gateway.runs(), ("berth/m".into(), token("m"), key("m")));
}

#[tokio::test]
async fn what_the_agent_changed_is_seen_and_put_right() {
    let world = World::new().await;
    world.apply(1, "m").await.unwrap();
    let file = world.paths.agent_home.join(".openclaw/openclaw.json");
    let text = fs::read_to_string(&file).unwrap().replace("loopback", "lan");
    fs::write(&file, text).unwrap();
    let Ok(Reply::Status(status)) = world.ask(Ask::Status).await else { panic!("no status") };
    let seen = status.in_force.unwrap();
    assert!(seen.digest != digest(&wanted("m"), None) && !seen.applied);
    assert!(world.apply(1, "m").await.unwrap().applied);
    assert!(fs::read_to_string(&file).unwrap().contains("loopback"));
}

#[tokio::test]
async fn a_wiped_machine_holds_nothing_and_wiping_again_is_success() {
    let world = World::new().await;
    world.apply(1, "m").await.unwrap();
    fs::write(world.paths.host_keys.join("ssh_host_ed25519_key"), "k").unwrap();
    fs::write(world.paths.host_keys.join("sshd_config"), "c").unwrap();
    fs::write(world.root().join("journal"), "words").unwrap();
    for _ in 0..2 {
        assert!(matches!(world.ask(Ask::Wipe).await, Ok(Reply::Ok)));
    }
    for path in [&world.paths.sealed, &world.paths.secrets, &world.paths.machine_key, &world.paths.config] {
        assert!(!path.exists(), "{}", path.display());
    }
    assert_eq!(fs::read_dir(&world.paths.agent_home).unwrap().count(), 0);
    assert!(!world.paths.host_keys.join("ssh_host_ed25519_key").exists());
    assert!(world.paths.host_keys.join("sshd_config").exists());
    assert_eq!(fs::read_to_string(world.root().join("journal")).unwrap(), "");
}

/// Instructions are part of what is in force: put in place, digested, fenced, sealed, and laid anew at each start.
#[tokio::test]
async fn what_an_agent_is_told_comes_into_force_beside_the_document() {
    let world = World::new().await;
    let file = world.paths.agent_home.join(".openclaw/workspace/berth/AGENTS.md");
    let hostile = "Be kind. ${HOME} $(id) </script>\n";
    let done = world.apply_told(1, wanted("m"), secrets("m"), Some(hostile)).await.unwrap();
    assert!(done.applied && done.digest == digest(&wanted("m"), Some(hostile)));
    assert_eq!(fs::read_to_string(&file).unwrap(), hostile, "byte for byte");
    assert_eq!(
        world.apply_told(1, wanted("m"), secrets("m"), Some("other\n")).await,
        Err(Refusal::Fenced { fence: 1, applied: 1 })
    );
    // Taken away behind our back: seen as another digest, and mended by the same request.
    fs::remove_file(&file).unwrap();
    let Ok(Reply::Status(status)) = world.ask(Ask::Status).await else { panic!("no status") };
    assert_ne!(status.in_force.unwrap().digest, done.digest);
    assert_eq!(world.apply_told(1, wanted("m"), secrets("m"), Some(hostile)).await.unwrap().digest, done.digest);
    // A start lays it anew from what is sealed.
    fs::remove_file(&file).unwrap();
    guest::unseal::unseal(&world.paths).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), hostile);
    // A refused configuration leaves the old words with the old document.
    let mut bad = wanted("m");
    bad["nonsense"] = json!(1);
    world.apply_told(2, bad, secrets("m"), Some("new words\n")).await.unwrap_err();
    assert_eq!(fs::read_to_string(&file).unwrap(), hostile);
    let none = world.apply(3, "m").await.unwrap();
    assert_eq!(none.digest, digest(&wanted("m"), None));
    assert!(!file.exists());
    for wrong in [String::new(), "x".repeat(33 * 1024 + 1)] {
        let refused = world.apply_told(4, wanted("m"), secrets("m"), Some(&wrong)).await;
        assert!(matches!(refused, Err(Refusal::Malformed { .. })), "{refused:?}");
    }
}
