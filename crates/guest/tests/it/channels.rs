//! What channels and variables need beside the configuration: secrets that arrived, ways out, a start, and pairing.

use std::fs;

use domain::{
    channel::Channel,
    protocol::{Ask, Gateway, Refusal, Reply, SecretText, Variable, delivered},
};
use serde_json::{Value, json};

use crate::world::{MARKER, Wish, World, secrets, token, wanted};

const VARIABLES: [(&str, &str); 2] =
    [("API_URL", "https://example.org/?a=$b"), ("CERTIFICATE", "one\ntwo \"MARKER\"\n")];

fn starts(world: &World) -> usize {
    fs::read_to_string(world.root().join("starts")).unwrap().lines().count()
}

fn digest(name: &str, variables: &[(&str, &str)]) -> String {
    let variable = |(name, value): &(&str, &str)| Variable {
        name: (*name).to_owned(),
        value: SecretText::new((*value).to_owned()),
    };
    let variables: Vec<Variable> = variables.iter().map(variable).collect();
    vault::digest(&delivered(&secrets(name), &variables)).to_string()
}

#[tokio::test]
async fn what_arrived_is_told_by_digest() {
    let world = World::new().await;
    assert_eq!(world.apply(1, "m").await.unwrap().secrets_digest, Some(digest("m", &[])));
    assert_eq!(world.apply(1, "m").await.unwrap().secrets_digest, Some(digest("m", &[])), "a repetition says it too");
    let status = async || match world.ask(Ask::Status).await {
        Ok(Reply::Status(status)) => status.in_force.unwrap().secrets_digest,
        other => panic!("no status: {other:?}"),
    };
    assert_eq!(status().await, Some(digest("m", &[])));
    let file = world.paths.secrets.join("model_key");
    fs::remove_file(&file).unwrap();
    fs::write(&file, "another").unwrap();
    assert!(status().await.is_some_and(|found| found != digest("m", &[])), "it is read, not remembered");
    assert_eq!(world.apply(1, "m").await.unwrap().secrets_digest, Some(digest("m", &[])), "and put right");
    world.ask(Ask::Stop).await.unwrap();
    let kept = world.apply(2, "n").await.unwrap();
    assert_eq!((kept.applied, kept.secrets_digest), (false, Some(digest("n", &[]))));
}

#[tokio::test]
async fn a_secret_that_is_needed_no_more_is_gone_from_what_lies_there() {
    let world = World::new().await;
    let with = || {
        let mut all = secrets("m");
        let value = SecretText::new(format!("111:{MARKER}"));
        all.push(domain::protocol::SecretFile { name: "telegram_token".into(), value });
        all
    };
    let done = world.apply_with(1, wanted("m"), with()).await.unwrap();
    assert_eq!(done.secrets_digest, Some(vault::digest(&delivered(&with(), &[])).to_string()));
    let done = world.apply(2, "m").await.unwrap();
    assert_eq!(done.secrets_digest, Some(digest("m", &[])));
    assert!(!world.paths.secrets.join("telegram_token").exists());
}

#[tokio::test]
async fn variables_come_with_a_start_and_only_when_they_are_others() {
    let world = World::new().await;
    let apply = async |fence, variables: &[(&str, &str)]| {
        let wish = Wish { fence, document: wanted("m"), secrets: secrets("m"), variables, ..Wish::default() };
        world.apply_whole(wish).await
    };
    apply(1, &[]).await.unwrap();
    assert_eq!(starts(&world), 1, "without variables nothing is started anew");
    let done = apply(1, &VARIABLES).await.unwrap();
    assert_eq!((starts(&world), done.applied), (2, true));
    assert_eq!(done.secrets_digest, Some(digest("m", &VARIABLES)));
    let file = world.paths.variables.join("variables");
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text, "API_URL=\"https://example.org/?a=\\$b\"\nCERTIFICATE=\"one\ntwo \\\"MARKER\\\"\n\"\n");
    apply(1, &VARIABLES).await.unwrap();
    assert_eq!(starts(&world), 2, "a repetition starts nothing");
    let [first, _] = VARIABLES;
    assert_eq!(apply(2, &[first]).await.unwrap().secrets_digest, Some(digest("m", &[first])));
    assert_eq!(starts(&world), 3);
    assert_eq!(apply(2, &[]).await.unwrap().secrets_digest, Some(digest("m", &[])));
    assert!(starts(&world) == 4 && !file.exists());
    let refused = apply(3, &[("LD_PRELOAD", "x")]).await;
    assert!(matches!(refused, Err(Refusal::Malformed { .. })), "{refused:?}");
}

#[tokio::test]
async fn after_a_stop_nothing_opened_is_left_and_a_start_brings_it_back() {
    let world = World::new().await;
    let wish =
        Wish { fence: 1, document: wanted("m"), secrets: secrets("m"), variables: &VARIABLES, ..Wish::default() };
    world.apply_whole(wish).await.unwrap();
    world.ask(Ask::Stop).await.unwrap();
    assert!(!world.paths.variables.exists() && !world.paths.secrets.exists());
    world.ask(Ask::Start).await.unwrap();
    world.until(|world| world.paths.variables.join("variables").exists()).await;
    assert_eq!(fs::read_to_string(world.paths.secrets.join("gateway_token")).unwrap(), token("m"));
}

#[tokio::test]
async fn ways_out_are_opened_before_and_shut_after() {
    let world = World::new().await;
    let apply = async |fence, reach: &[&str]| {
        let wish = Wish { fence, document: wanted("m"), secrets: secrets("m"), reach, ..Wish::default() };
        world.apply_whole(wish).await
    };
    let list = || fs::read_to_string(world.root().join("state/reach")).unwrap_or_default();
    let reloads = || fs::read_to_string(world.root().join("reloads")).unwrap_or_default();
    apply(1, &[]).await.unwrap();
    assert_eq!(reloads(), "", "nothing to open, nothing to load");
    apply(2, &["api.telegram.org:443"]).await.unwrap();
    assert_eq!(list(), "api.telegram.org:443\n");
    apply(2, &["api.telegram.org:443"]).await.unwrap();
    assert_eq!(reloads().matches("reloaded berth-firewall.service").count(), 1, "{}", reloads());
    // Another host under the same fence and document: the list of a newer Berth.
    apply(2, &["slack.com:443"]).await.unwrap();
    let firewall = "reloaded berth-firewall.service\n";
    let both = format!("api.telegram.org:443\nslack.com:443\n{firewall}slack.com:443\n{firewall}");
    assert!(reloads().ends_with(&both), "both while it changes, one afterwards: {}", reloads());
    // A refused configuration leaves the ways out of the one that runs.
    let mut bad = wanted("m");
    bad["nonsense"] = json!(1);
    let wish = Wish { fence: 3, document: bad, secrets: secrets("m"), reach: &["discord.com:443"], ..Wish::default() };
    world.apply_whole(wish).await.unwrap_err();
    assert_eq!(list(), "slack.com:443\n");
    // Changed behind our back, a start puts it right.
    fs::write(world.root().join("state/reach"), "evil.example.org:443\n").unwrap();
    guest::unseal::unseal(&world.paths).unwrap();
    assert!(list() == "slack.com:443\n" && reloads().ends_with(&format!("slack.com:443\n{firewall}")));
    for bad in ["169.254.169.254:80", "slack.com", "x; drop:1"] {
        let refused = apply(4, &[bad]).await;
        assert!(matches!(refused, Err(Refusal::Malformed { .. })), "{bad}: {refused:?}");
    }
}

/// A token that was revoked must not keep its successor out.
#[tokio::test]
async fn a_gateway_whose_channel_does_not_run_is_told_of_a_better_token() {
    let world = World::new().await;
    world.apply(1, "m").await.unwrap();
    world.gateway.inner().failing = vec!["telegram"];
    let Ok(Reply::Status(status)) = world.ask(Ask::Status).await else { panic!("no status") };
    assert_eq!((status.gateway, status.failing), (Gateway::Ready, vec![Channel::Telegram]));
    assert!(world.apply(2, "n").await.unwrap().applied);
    assert_eq!(world.turn("hi").await.unwrap(), "you said hi");
    world.gateway.inner().failing = vec!["startup-sidecars"];
    let Ok(Reply::Status(status)) = world.ask(Ask::Status).await else { panic!("no status") };
    assert_eq!((status.gateway, status.failing), (Gateway::Starting, vec![]));
}

fn waiting(request: &str, sender: &str, at: &str) -> Value {
    json!({
        "requestId": request, "channel": "telegram", "accountId": "default", "senderId": sender,
        "metadata": { "firstName": "Eve", "username": "eve_s" }, "createdAt": at, "lastSeenAt": at,
        "expiresAt": "2026-11-22T00:47:15.635Z"
    })
}

#[tokio::test]
async fn who_waits_is_shown_and_let_in_once() {
    let world = World::new().await;
    world.apply(1, "m").await.unwrap();
    let later = waiting("later", "43", "2026-11-21T23:48:00.000Z");
    world.gateway.inner().waiting = vec![later, waiting("first", "42", "2026-11-21T23:47:15.635Z")];
    let Ok(Reply::Pairings { pairings }) = world.ask(Ask::Pairings).await else { panic!("no pairings") };
    let seen: Vec<_> = pairings.iter().map(|p| (p.request.as_str(), p.sender.as_str(), p.name.as_deref())).collect();
    assert_eq!(seen, [("first", "42", Some("Eve @eve_s")), ("later", "43", Some("Eve @eve_s"))]);
    let approve = async |request: &str| {
        world.ask(Ask::Approve { channel: Channel::Telegram, request: request.to_owned() }).await.map(drop)
    };
    assert_eq!(approve("first").await, Ok(()));
    assert_eq!(approve("first").await, Err(Refusal::NoPairing));
    assert!(matches!(approve("a b").await, Err(Refusal::Malformed { .. })));
    let let_in = world.gateway.inner().let_in.clone();
    assert_eq!(let_in.len(), 1);
    // Being heard is one thing; commanding the gateway is another, and would change its configuration.
    assert_eq!((&let_in[0]["notify"], &let_in[0]["bootstrapCommandOwner"]), (&json!(true), &json!(false)));
    world.ask(Ask::Stop).await.unwrap();
    assert!(matches!(world.ask(Ask::Pairings).await, Err(Refusal::NotReady { .. })));
}
