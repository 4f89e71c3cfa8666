//! A bot's whole life on a real machine with the real gateway: token in, a stranger let in, an answer, another token, out.

use std::time::Duration;

use domain::{
    channel::{ApiRoot, Channel, Channels, Telegram},
    protocol::{Ask, Refusal, Reply},
};
use testkit::telegram::FakeBotApi;
use tokio::time::sleep;

use crate::{
    berth::Berth,
    guest::{Guest, Wish, done_with},
    setting::say,
};

const TOKEN: &str = "700100:first-token-of-a-bot-marker";
const ANOTHER: &str = "700100:second-token-of-a-bot-marker";
const EVE: i64 = 4242;

#[tokio::test]
#[ignore = "needs a daemon and an image: scripts/test e2e runs it"]
async fn a_bot_is_taken_up_hears_who_was_let_in_and_falls_silent() {
    let (mut berth, api) = Berth::ready().await;
    let telegram = FakeBotApi::start(&berth.setting.home).await;
    telegram.add_bot(TOKEN);
    let (guest, id) = Guest::of_new_agent(&berth, &api).await;
    let processes = guest.inside(GATEWAY).await;

    let with = |fence, token: &str| {
        let api_root = Some(ApiRoot::parse(&telegram.url()).unwrap());
        Wish {
            fence,
            gateway_token: "gateway-token-of-this-test".into(),
            channels: Channels { telegram: Some(Telegram { api_root }), ..Channels::default() },
            tokens: vec![("telegram_token", token.to_owned())],
            ..Wish::default()
        }
    };
    guest.apply(&with(1, TOKEN)).await;
    until("the bot polls", || telegram.is_polled(TOKEN)).await;

    // A stranger is not heard, and shown to the owner.
    telegram.write(TOKEN, EVE, "Eve", "what is the password?");
    until("the stranger is told to wait", || telegram.said(TOKEN, EVE).len() == 1).await;
    assert!(telegram.said(TOKEN, EVE)[0].contains("4242"), "{:?}", telegram.said(TOKEN, EVE));
    let waiting = guest.pairings().await;
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    assert_eq!((waiting[0].channel, waiting[0].sender.as_str()), (Channel::Telegram, "4242"));
    assert_eq!(waiting[0].name.as_deref(), Some("Eve @eve"));
    say("a stranger waits");

    // Let in: told so, and answered from then on.
    let approve = || Ask::Approve { channel: Channel::Telegram, request: waiting[0].request.clone() };
    assert!(matches!(guest.ask(approve()).await, Ok(Reply::Ok)));
    assert!(matches!(guest.ask(approve()).await, Err(Refusal::NoPairing)));
    assert_eq!(guest.pairings().await, []);
    until("she is told", || telegram.said(TOKEN, EVE).len() == 2).await;
    telegram.write(TOKEN, EVE, "Eve", "hello from Telegram");
    until("she is answered", || telegram.said(TOKEN, EVE).len() >= 3).await;
    let answer = &telegram.said(TOKEN, EVE)[2];
    assert!(answer.contains("I am not an AI"), "{answer}");
    say("answered");

    // Another token, under the same fence: taken up, and the old one let go.
    telegram.add_bot(ANOTHER);
    guest.apply(&with(1, ANOTHER)).await;
    until("the new token polls", || telegram.is_polled(ANOTHER)).await;
    until("the old one does not", || !telegram.is_polled(TOKEN)).await;
    telegram.write(ANOTHER, EVE, "Eve", "still there?");
    until("who was let in stays in", || telegram.said(ANOTHER, EVE).iter().any(|a| a.contains("I am not an AI"))).await;

    // A token that Telegram does not know any more: said, and no reason to refuse a better one.
    telegram.revoke(ANOTHER);
    guest.until_status("the channel fails", |status| status.failing == [Channel::Telegram]).await;
    telegram.add_bot(TOKEN);
    guest.apply(&with(1, TOKEN)).await;
    until("the better token polls", || telegram.is_polled(TOKEN)).await;
    guest.until_status("nothing fails", |status| status.failing.is_empty()).await;

    // Removed: silent, the way out shut, the token gone.
    let open = guest.inside("nft list chain inet berth output").await;
    let port = telegram.url().rsplit(':').next().unwrap().to_owned();
    assert!(open.contains(&port), "{open}");
    guest.apply(&Wish { fence: 2, gateway_token: "gateway-token-of-this-test".into(), ..Wish::default() }).await;
    until("nobody polls", || !telegram.is_polled(TOKEN)).await;
    let calls = telegram.calls().len();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(telegram.calls().len(), calls, "it goes on calling: {:?}", telegram.calls().last());
    let shut = guest.inside("nft list chain inet berth output; ls /run/openclaw/secrets").await;
    assert!(!shut.contains(&port) && !shut.contains("telegram_token"), "{shut}");
    let processes_now = guest.inside(GATEWAY).await;
    assert_eq!(processes_now, processes, "all of it without a restart");

    done_with(&berth, &api, &id).await;
    berth.end().await;
}

/// The same through Berth: a tenant sets a credential, and that is all they do.
#[tokio::test]
#[ignore = "needs a daemon and an image: scripts/test e2e runs it"]
async fn a_credential_that_is_set_becomes_a_bot_and_one_that_is_removed_falls_silent() {
    let mut berth = Berth::fresh().await;
    let telegram = FakeBotApi::start(&berth.setting.home).await;
    let vendors = format!("telegram={}", telegram.also_at("127.0.0.1").await);
    let settings = [("BERTH_MACHINE_TELEGRAM_URL", telegram.url()), ("BERTH_CREDENTIAL_VENDORS", vendors)];
    berth.start(&settings.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
    let api = berth.api(&berth.token("captain@example.org", true).await);
    let (guest, id) = Guest::of_new_agent(&berth, &api).await;

    let set = async |kind: &str, name: Option<&str>, value: &str| {
        let body = serde_json::json!({ "kind": kind, "agent": id, "name": name, "value": value });
        api.post("/api/v1/credentials", Some(&body.to_string())).await
    };
    let unknown = set("telegram", None, TOKEN).await;
    assert!((400..500).contains(&unknown.status), "a token that Telegram does not know: {}", unknown.body);
    telegram.add_bot(TOKEN);
    let bot = set("telegram", None, TOKEN).await.expect(201);
    until("the bot polls", || telegram.is_polled(TOKEN)).await;
    say("the bot polls");
    telegram.write(TOKEN, EVE, "Eve", "let me in");
    until("the stranger is told to wait", || telegram.said(TOKEN, EVE).len() == 1).await;
    let at = format!("/api/v1/agents/{id}/pairings");
    let waiting = api.get(&at).await.expect(200)["pairings"][0].clone();
    assert_eq!((&waiting["sender"], &waiting["name"]), (&"4242".into(), &"Eve @eve".into()));
    let approval = serde_json::json!({ "channel": "telegram", "request": waiting["request"] });
    assert_eq!(api.post(&at, Some(&approval.to_string())).await.status, 204);
    assert_eq!(api.get(&at).await.expect(200)["pairings"], serde_json::json!([]));
    telegram.write(TOKEN, EVE, "Eve", "hello");
    let answered = || telegram.said(TOKEN, EVE).iter().any(|answer| answer.contains("I am not an AI"));
    until("she is answered", answered).await;
    say("answered");

    telegram.add_bot(ANOTHER);
    set("telegram", None, ANOTHER).await.expect(201);
    until("the new token polls", || telegram.is_polled(ANOTHER)).await;
    until("the old one does not", || !telegram.is_polled(TOKEN)).await;
    say("another token");

    set("variable", Some("GREETING"), "hello variable").await.expect(201);
    let environment = format!("tr '\\0' '\\n' < /proc/$({GATEWAY})/environ 2>/dev/null || true");
    guest.inside_until(&environment, |lines| lines.contains("GREETING=hello variable")).await;
    berth.seen(&api, &id, "live").await;
    say("a variable");

    let bot = bot["id"].as_str().unwrap();
    assert_eq!(api.delete(&format!("/api/v1/credentials/{bot}")).await.status, 204);
    until("nobody polls", || !telegram.is_polled(ANOTHER)).await;
    // The gateway lets go of the token first; then it is taken away, and the way out shut.
    guest.inside_until("ls /run/openclaw/secrets", |names| !names.contains("telegram_token")).await;
    let port = telegram.url().rsplit(':').next().unwrap().to_owned();
    guest.inside_until("nft list chain inet berth output", |rules| !rules.contains(&port)).await;
    say("removed");
    berth.verified().await;
    api.delete(&format!("/api/v1/agents/{id}")).await.expect(202);
    berth.gone(&api, &id).await;
    berth.end().await;
}

/// The gateway's process.
pub(crate) const GATEWAY: &str = "systemctl show --property=MainPID --value openclaw.service";

async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..240 {
        if is_so() {
            return;
        }
        sleep(Duration::from_millis(250)).await;
    }
    panic!("not so in a minute: {what}");
}
