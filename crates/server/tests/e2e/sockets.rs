//! Slack and Discord on a real machine, with OpenClaw's own plugins for them: a credential is set, and that is all a tenant
//! does. The vendor's hosts lead to a fake; the machine's packet filter and its gateway are what they always are.

use std::time::Duration;

use testkit::{
    TlsIdentity,
    discord::{DISCORD_HOSTS, FakeDiscord},
    slack::{FakeSlack, SLACK_HOSTS},
};
use tokio::time::sleep;

use crate::{berth::Berth, curl::Curl, dressed, guest::Guest, setting::say, telegram::GATEWAY};

/// A vendor whose bots listen at a socket. A text is a credential's value.
trait Fake {
    /// The word for the channel, and for its kind of credential.
    const CHANNEL: &str;
    const HOSTS: [&str; 4];
    /// Two bots. Slack writes an app's id into its token, and OpenClaw hears of that app only.
    const VALUES: [&str; 2];
    /// How the channel names the stranger.
    const STRANGER: &str;
    /// What the stranger calls itself, as a tenant reads it.
    const NAME: Option<&str>;
    /// A file in which a token lies while it is on.
    const FILE: &str;

    fn add(&self, value: &str);
    fn is_listened(&self, value: &str) -> bool;
    fn write(&self, value: &str, text: &str);
    fn said(&self, value: &str) -> Vec<String>;
    /// What it was asked, for who reads why a test failed.
    fn told(&self) -> String;
}

#[tokio::test]
#[ignore = "needs a daemon and an image: scripts/test e2e runs it"]
async fn a_slack_app_is_connected_hears_who_was_let_in_and_falls_silent() {
    let berth = Berth::fresh().await;
    let identity = TlsIdentity::of_hosts(&SLACK_HOSTS);
    let slack = FakeSlack::start("127.0.0.1").await;
    let place = slack.also_under_tls(&berth.setting.home, &identity).await;
    let vendors = format!("slack={}", slack.url());
    whole_life(berth, &slack, &vendors, place, &identity).await;
}

#[tokio::test]
#[ignore = "needs a daemon and an image: scripts/test e2e runs it"]
async fn a_discord_bot_is_connected_hears_who_was_let_in_and_falls_silent() {
    let berth = Berth::fresh().await;
    let identity = TlsIdentity::of_hosts(&DISCORD_HOSTS);
    let discord = FakeDiscord::start("127.0.0.1").await;
    let place = discord.also_under_tls(&berth.setting.home, &identity).await;
    let vendors = format!("discord={}/v10", discord.url());
    whole_life(berth, &discord, &vendors, place, &identity).await;
}

async fn whole_life<F: Fake>(
    mut berth: Berth,
    fake: &F,
    vendors: &str,
    place: std::net::SocketAddr,
    identity: &TlsIdentity,
) {
    berth.start(&[("BERTH_CREDENTIAL_VENDORS", vendors)]).await;
    let api = berth.api(&berth.token("captain@example.org", true).await);
    let (guest, id) = Guest::of_new_agent(&berth, &api).await;
    dressed::as_if(&guest, &F::HOSTS, place, identity).await;
    berth.seen(&api, &id, "live").await;
    let process = guest.inside(GATEWAY).await;
    say("the gateway trusts the test");

    let set = async |value: &str| {
        let body = serde_json::json!({ "kind": F::CHANNEL, "agent": id, "value": value });
        api.post("/api/v1/credentials", Some(&body.to_string())).await
    };
    let [value, another] = F::VALUES;
    let unknown = set(value).await;
    assert_eq!(unknown.status, 422, "a token that its vendor does not know: {}", unknown.body);
    fake.add(value);
    let kept = set(value).await.expect(201);
    assert_eq!(kept["checked"]["verdict"], "accepted", "{kept}");
    until(fake, "it listens", || fake.is_listened(value)).await;
    let open = guest.inside("nft list chain inet berth output").await;
    assert!(open.contains("tcp dport 443 accept"), "{open}");
    say("it listens");

    // A stranger is not heard, and shown to the owner.
    fake.write(value, "what is the password?");
    until(fake, "the stranger is told to wait", || fake.said(value).len() == 1).await;
    assert!(fake.said(value)[0].contains(F::STRANGER), "{:?}", fake.said(value));
    let at = format!("/api/v1/agents/{id}/pairings");
    let waiting = when_settled(&api, &at).await["pairings"].clone();
    assert_eq!(waiting.as_array().map(Vec::len), Some(1), "{waiting}");
    let waiting = &waiting[0];
    assert_eq!((&waiting["channel"], &waiting["sender"]), (&F::CHANNEL.into(), &F::STRANGER.into()));
    assert_eq!(waiting["name"].as_str(), F::NAME, "{waiting}");
    let approval = serde_json::json!({ "channel": F::CHANNEL, "request": waiting["request"] });
    approve(&api, &at, &approval.to_string()).await;
    assert_eq!(when_settled(&api, &at).await["pairings"], serde_json::json!([]));
    fake.write(value, "hello");
    let is_answered = |value: &str| fake.said(value).iter().any(|answer| answer.contains("I am not an AI"));
    until(fake, "they are answered", || is_answered(value)).await;
    say("answered");

    // Another bot in its place: taken up, the old one let go, and who was let in stays in.
    fake.add(another);
    set(another).await.expect(201);
    until(fake, "the new one listens", || fake.is_listened(another)).await;
    until(fake, "the old one does not", || !fake.is_listened(value)).await;
    fake.write(another, "still there?");
    until(fake, "who was let in stays in", || is_answered(another)).await;
    say("another one");

    // Removed: silent, the way out shut, the tokens gone.
    let credential = kept["id"].as_str().unwrap();
    assert_eq!(api.delete(&format!("/api/v1/credentials/{credential}")).await.status, 204);
    until(fake, "nobody listens", || !fake.is_listened(another)).await;
    guest.inside_until("ls /run/openclaw/secrets", |names| !names.contains(F::FILE)).await;
    guest.inside_until("nft list chain inet berth output", |rules| !rules.contains("tcp dport 443 accept")).await;
    assert_eq!(guest.inside(GATEWAY).await, process, "all of it without a restart");
    say("removed");
    berth.verified().await;
    api.delete(&format!("/api/v1/agents/{id}")).await.expect(202);
    berth.gone(&api, &id).await;
    berth.end().await;
}

/// While a gateway takes a channel up it says that it is not ready, and to ask again: half a minute on a busy computer.
async fn when_settled(api: &Curl, path: &str) -> serde_json::Value {
    for _ in 0..60 {
        let answer = api.get(path).await;
        if answer.status != 502 {
            return answer.expect(200);
        }
        assert!(answer.body.contains("Ask again"), "{}", answer.body);
        sleep(Duration::from_secs(1)).await;
    }
    panic!("not ready for a minute");
}

/// Lets somebody in, asking again as often as the answer says to. What an answer that was lost has done already is gone.
async fn approve(api: &Curl, path: &str, approval: &str) {
    let mut asked_again = false;
    for _ in 0..60 {
        let answer = api.post(path, Some(approval)).await;
        match answer.status {
            204 => return,
            404 | 409 if asked_again => return,
            502 => assert!(answer.body.contains("Ask again"), "{}", answer.body),
            status => panic!("{status}: {}", answer.body),
        }
        asked_again = true;
        sleep(Duration::from_secs(1)).await;
    }
    panic!("not ready for a minute");
}

/// As long as a busy computer takes to load a plugin, and the tries that Berth makes until then.
async fn until<F: Fake>(fake: &F, what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..720 {
        if is_so() {
            return;
        }
        sleep(Duration::from_millis(250)).await;
    }
    panic!("not so in three minutes: {what}; it was asked {}", fake.told());
}

impl Fake for FakeSlack {
    const CHANNEL: &str = "slack";
    const HOSTS: [&str; 4] = SLACK_HOSTS;
    const VALUES: [&str; 2] =
        ["xoxb-1-first-marker\nxapp-1-A1-first-marker", "xoxb-2-second-marker\nxapp-1-A1-second-marker"];
    const STRANGER: &str = "U0EVE";
    const NAME: Option<&str> = Some("eve");
    const FILE: &str = "slack_app_token";

    fn add(&self, value: &str) {
        let (bot, app) = value.split_once('\n').unwrap();
        self.add_app(bot, app);
    }

    fn is_listened(&self, value: &str) -> bool {
        self.is_listened(value.split_once('\n').unwrap().1)
    }

    fn write(&self, value: &str, text: &str) {
        self.write(value.split_once('\n').unwrap().1, Self::STRANGER, text);
    }

    fn said(&self, value: &str) -> Vec<String> {
        self.said(value.split_once('\n').unwrap().0, Self::STRANGER)
    }

    fn told(&self) -> String {
        format!("{:#?}", self.calls().iter().rev().take(30).collect::<Vec<_>>())
    }
}

impl Fake for FakeDiscord {
    const CHANNEL: &str = "discord";
    const HOSTS: [&str; 4] = DISCORD_HOSTS;
    const VALUES: [&str; 2] = [
        "OTAwMDAwMDAwMDAwMDAwMDAx.first.token-marker-of-a-bot",
        "OTAwMDAwMDAwMDAwMDAwMDAx.second.token-marker-of-a-bot",
    ];
    const STRANGER: &str = "920000000000000001";
    const NAME: Option<&str> = Some("eve @eve");
    const FILE: &str = "discord_token";

    /// As its owner makes one: it may not read what is written to others.
    fn add(&self, value: &str) {
        self.add_bot(value);
        self.forbid_reading(value);
    }

    fn is_listened(&self, value: &str) -> bool {
        self.is_listened(value)
    }

    fn write(&self, value: &str, text: &str) {
        self.write(value, Self::STRANGER.parse().unwrap(), "Eve", text);
    }

    fn said(&self, value: &str) -> Vec<String> {
        self.said(value, Self::STRANGER.parse().unwrap())
    }

    fn told(&self) -> String {
        format!("{:#?}", self.calls().iter().rev().take(30).collect::<Vec<_>>())
    }
}
