//! Questions, good and bad, and what is answered.

use std::io::Cursor;

use domain::protocol::{Ask, BYTES_MAX, Gateway, Outcome, Refusal, Reply, SecretText, VERSION};
use serde_json::json;

use crate::world::{MACHINE, MARKER, World};

#[tokio::test]
async fn a_fresh_machine_says_who_it_is_and_calls_home() {
    let world = World::new().await;
    let Ok(Reply::Hello(hello)) = world.ask(Ask::Hello).await else { panic!("no hello") };
    assert_eq!(hello.machine.to_string(), MACHINE);
    assert_eq!((hello.image.as_str(), hello.openclaw.as_str(), hello.boot.as_str()), ("image-7", "2026.9.6", "boot-1"));
    assert_eq!((hello.gateway, hello.fence), (Gateway::Ready, 0));
    world.until(|world| world.gateway.inner().events.len() >= 2).await;
    let events = world.gateway.inner().events.clone();
    let bearer = format!("Bearer berth_mch_{MARKER}");
    let said: Vec<_> = events.iter().map(|(_, event)| event.clone()).collect();
    assert_eq!(said, [json!({ "event": "up" }), json!({ "event": "gateway_ready" })]);
    assert!(events.iter().all(|(seen, _)| *seen == bearer));
}

#[tokio::test]
async fn a_gateway_that_is_lost_unasked_is_told_and_one_that_was_stopped_is_not() {
    let world = World::new().await;
    world.until(|world| world.gateway.inner().events.len() >= 2).await;
    world.ask(Ask::Restart).await.unwrap();
    std::fs::write(world.root().join("unit"), "failed\n").unwrap();
    world.until(|world| world.gateway.inner().events.iter().any(|(_, event)| event["event"] == "gateway_lost")).await;
    let Ok(Reply::Status(status)) = world.ask(Ask::Status).await else { panic!("no status") };
    assert_eq!((status.gateway, status.in_force), (Gateway::Failed, None));
    world.ask(Ask::Start).await.unwrap();
    let Ok(Reply::Status(status)) = world.ask(Ask::Status).await else { panic!("no status") };
    assert_eq!(status.gateway, Gateway::Ready);
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_service_goes_on() {
    let world = World::new().await;
    let oversized = format!(r#"{{"version":1,"verb":"hello","x":"{}"}}"#, "x".repeat(BYTES_MAX));
    for bad in ["", "\n", "{", "[]", r#"{"version":1,"verb":"shell"}"#, r#"{"version":1,"verb":"logs"}"#, &oversized] {
        let outcome = world.send(bad.as_bytes().to_vec()).await.outcome;
        assert!(matches!(outcome, Outcome::Refused(Refusal::Malformed { .. })), "{outcome:?}");
    }
    let outcome = world.send(br#"{"version":2,"verb":"hello","new":true}"#.to_vec()).await.outcome;
    assert!(matches!(outcome, Outcome::Refused(Refusal::Version { guest: VERSION })), "{outcome:?}");
    assert!(world.ask(Ask::Hello).await.is_ok());
}

#[tokio::test]
async fn the_service_bounds_what_it_reads_by_itself() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let world = World::new().await;
    let mut stream = tokio::net::UnixStream::connect(&world.paths.socket).await.unwrap();
    // It may hang up before it has heard all of it.
    let _ = stream.write_all(&vec![b'x'; BYTES_MAX + 1]).await;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("larger than allowed"));
}

#[test]
fn without_a_service_the_shim_still_answers() {
    let mut out = Vec::new();
    let passed = guest::shim::pass("/nowhere/guest.sock".as_ref(), Cursor::new(b"{}"), &mut out).unwrap();
    let answer: domain::protocol::Answer = serde_json::from_slice(&out).unwrap();
    assert!(!passed && matches!(answer.outcome, Outcome::Refused(Refusal::Broken { .. })));
}

#[tokio::test]
async fn a_turn_is_answered_bounded_and_its_failure_is_redacted() {
    let world = World::new().await;
    world.apply(1, "m").await.unwrap();
    assert_eq!(world.turn("hello").await.unwrap(), "you said hello");
    assert_eq!(world.gateway.inner().turns.last().unwrap()["user"], "s");
    let failed = world.turn("fail").await.unwrap_err();
    assert!(matches!(&failed, Refusal::TurnFailed { why } if why.contains("[redacted]")), "{failed}");
    assert!(matches!(world.turn("endless").await, Err(Refusal::TurnFailed { .. })));
    let late = Ask::Turn { text: SecretText::new("slow".into()), session: "s".into(), timeout_ms: 1_000 };
    assert!(matches!(world.ask(late).await, Err(Refusal::TurnFailed { .. })));
    let unnamed = Ask::Turn { text: SecretText::new("hi".into()), session: String::new(), timeout_ms: 1_000 };
    assert!(matches!(world.ask(unnamed).await, Err(Refusal::Malformed { .. })));
}

/// INP-09, on the machine: words reach the gateway as words, whatever a shell would make of them.
#[tokio::test]
async fn hostile_words_reach_the_gateway_as_they_are() {
    let world = World::new().await;
    world.apply(1, "m").await.unwrap();
    let planted = world.root().join("planted");
    for words in
        ["; touch PLANTED", "$(touch PLANTED)", "`touch PLANTED`", "a\ntouch PLANTED\n", "'\"; touch PLANTED #"]
    {
        let words = words.replace("PLANTED", &planted.to_string_lossy());
        assert_eq!(world.turn(&words).await.unwrap(), format!("you said {words}"));
        assert!(!planted.exists(), "{words:?} was run");
    }
}

#[tokio::test]
async fn neither_logs_nor_the_journal_hold_a_secret_or_a_word() {
    let mut world = World::new().await;
    world.apply(1, "m").await.unwrap();
    world.turn(MARKER).await.unwrap();
    let _ = world.send(format!(r#"{{"version":1,"verb":"turn","text":{{"x":"{MARKER}"}}}}"#).into_bytes()).await;
    let entry = |message: &str| {
        let unit = "openclaw.service";
        json!({ "__REALTIME_TIMESTAMP": "1", "_SYSTEMD_UNIT": unit, "_PID": "9", "MESSAGE": message }).to_string()
    };
    let own = json!({ "level": "warn", "subsystem": "x", "message": format!("token token-{MARKER}-m and {}", crate::world::key("m")) });
    let journal = [entry(&own.to_string()), entry(&format!("my words {MARKER}"))].join("\n");
    std::fs::write(world.root().join("journal"), journal).unwrap();
    let Ok(Reply::Logs { lines }) = world.ask(Ask::Logs { lines: 10 }).await else { panic!("no logs") };
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| !line.text.contains(MARKER)), "{lines:?}");
    world.kill_service().await;
    assert!(world.service_log().contains("done verb=\"turn\""));
    assert!(!world.service_log().contains(MARKER), "{}", world.service_log());
}
