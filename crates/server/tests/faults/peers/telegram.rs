//! The Bot API that stands in Telegram's place, as grammY meets it: others wrote that for the real one.

use std::{process::Stdio, time::Duration};

use testkit::telegram::{BotMood, FakeBotApi};
use tokio::{process::Command, time::sleep};

const TOKEN: &str = "7001:grammys-bot";
const PERSON: i64 = 42;

#[tokio::test]
#[ignore = "needs grammY: scripts/test installs it into crates/server/tests/peers first"]
async fn grammys_own_client_takes_the_fake_bot_api_for_the_real_one() {
    let api = FakeBotApi::start("127.0.0.1").await;
    api.add_bot(TOKEN);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers");
    let running = Command::new("node")
        .args(["telegram.mjs", &api.url(), TOKEN, "7002:nobodys"])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node is installed");
    until("it polls", || api.is_polled(TOKEN)).await;
    api.write(TOKEN, PERSON, "Ada", "hello");
    until("it answers", || api.said(TOKEN, PERSON) == ["Ada said: hello"]).await;
    // A trouble of the moment is no reason to end: it waits as it was told, and goes on.
    api.set_mood(BotMood::Limited);
    api.write(TOKEN, PERSON, "Ada", "are you there?");
    until("it is told to wait", || api.calls().iter().any(|call| call.status == 429)).await;
    api.set_mood(BotMood::Well);
    until("it goes on", || api.said(TOKEN, PERSON).len() == 2).await;
    api.write(TOKEN, PERSON, "Ada", "/stop");
    let output = tokio::time::timeout(Duration::from_secs(30), running.wait_with_output()).await;
    let output = output.expect("it ends").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("ended"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!api.is_polled(TOKEN));
}

pub(super) async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..600 {
        if is_so() {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("not so in 30 s: {what}");
}
