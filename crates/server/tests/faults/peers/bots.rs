//! The fakes of Slack and Discord, as the vendors' own clients meet them.

use std::process::Stdio;

use testkit::{discord::FakeDiscord, slack::FakeSlack};
use tokio::process::{Child, Command};

use super::telegram::until;

const BOT: &str = "xoxb-1-of-the-client";
const APP: &str = "xapp-1-of-the-client";
const TOKEN: &str = "OTAwMDAwMDAwMDAwMDAwMDAx.Gabcde.of-discord-js";
const UNREAD: &str = "OTAwMDAwMDAwMDAwMDAwMDAx.Gabcde.without-the-intent";
const PERSON: u64 = 920_000_000_000_000_001;

#[tokio::test]
#[ignore = "needs Slack's clients: scripts/test installs them into crates/server/tests/peers first"]
async fn slacks_own_clients_take_the_fake_slack_for_the_real_one() {
    let slack = FakeSlack::start("127.0.0.1").await;
    slack.add_app(BOT, APP);
    let running = start(&["slack.mjs", &format!("{}/", slack.url()), BOT, APP]);
    until("its socket is open", || slack.is_listened(APP)).await;
    slack.write(APP, "U0ADA", "hello");
    until("it answers", || slack.said(BOT, "U0ADA") == ["ada said: hello"]).await;
    slack.write(APP, "U0ADA", "stop");
    ended(running).await;
    until("its socket is shut", || !slack.is_listened(APP)).await;
    assert_eq!(slack.said(BOT, "U0ADA").len(), 2, "what was acknowledged does not come again");
}

#[tokio::test]
#[ignore = "needs discord.js: scripts/test installs it into crates/server/tests/peers first"]
async fn discord_js_takes_the_fake_discord_for_the_real_one() {
    let discord = FakeDiscord::start("127.0.0.1").await;
    discord.add_bot(TOKEN);
    discord.add_bot(UNREAD);
    discord.forbid_reading(UNREAD);
    let running = start(&["discord.mjs", &discord.url(), TOKEN, UNREAD]);
    until("it is on the gateway", || discord.is_listened(TOKEN)).await;
    assert!(!discord.is_listened(UNREAD));
    discord.write(TOKEN, PERSON, "Ada", "hello");
    until("it answers", || discord.said(TOKEN, PERSON) == ["Ada said: hello"]).await;
    discord.write(TOKEN, PERSON, "Ada", "stop");
    ended(running).await;
    until("it left", || !discord.is_listened(TOKEN)).await;
}

fn start(arguments: &[&str]) -> Child {
    Command::new("node")
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node is installed")
}

async fn ended(running: Child) {
    let output = tokio::time::timeout(std::time::Duration::from_secs(30), running.wait_with_output()).await;
    let output = output.expect("it ends").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("ended"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
