//! Requests and answers, and everything that can stand in their way.

use std::{
    io::Write as _,
    net::{Ipv4Addr, TcpListener},
    time::{Duration, Instant},
};

use domain::protocol::{Answer, Ask, BYTES_MAX, Gateway, Outcome, Reply, Request, SecretFile, SecretText};
use ssh::{HostKey, Reach, SshError};

use crate::{
    setup::{PATIENCE, Random, client, hello, machine, now, target},
    sshd::{Sshd, account},
};

/// A status of a gateway that is ready, as the guest writes it.
const READY: &str = r#"{"version":1,"outcome":{"done":{"reply":"status","boot":"b","gateway":"ready","in_force":null,"memory_bytes":null,"disk_free_bytes":null}}}"#;

async fn ask(sshd: &Sshd, request: &Request, limit: Duration) -> Result<Answer, SshError> {
    client().ask(&target(sshd, &sshd.host_key.pinned(), &sshd.authority), request, limit).await
}

#[tokio::test]
async fn a_request_arrives_whole_and_its_answer_comes_back() {
    let sshd = Sshd::start(&format!("cat > \"$(dirname \"$0\")\"/request\nprintf '%s' '{READY}'"));
    let secret = SecretFile { name: "model_key".into(), value: SecretText::new("k".repeat(300_000)) };
    let document = serde_json::json!({"agents": {"list": [{"id": "scout"}]}});
    let request = Request::new(Ask::Apply {
        fence: 7,
        document,
        secrets: vec![secret],
        instructions: None,
        variables: Vec::new(),
        reach: Vec::new(),
    });

    let answer = ask(&sshd, &request, PATIENCE).await.unwrap();
    let Outcome::Done(Reply::Status(status)) = answer.outcome else { panic!("{answer:?}") };
    assert_eq!(status.gateway, Gateway::Ready);
    let arrived = std::fs::read(sshd.folder().join("request")).unwrap();
    assert_eq!(arrived, serde_json::to_vec(&request).unwrap());

    let log = sshd.await_log("Received disconnect").await;
    let key_id = format!("ID \"ins_{} asks {}\"", "0".repeat(32), sshd.machine);
    assert!(log.contains(&key_id), "{log}");
    assert!(!log.contains("kkkk"), "a secret is in sshd's log");
}

/// INP-09: words that a shell or ssh itself would act on arrive as words. There is no command line to break out of.
#[tokio::test]
async fn hostile_words_arrive_as_they_are_and_run_nothing() {
    let sshd = Sshd::start(&format!("cat > \"$(dirname \"$0\")\"/request\nprintf '%s' '{READY}'"));
    let planted = sshd.folder().join("planted");
    let touch = format!("touch {}", planted.display());
    for words in [
        format!(";{touch}"),
        format!("$({touch})"),
        format!("`{touch}`"),
        format!("\n{touch}\n"),
        format!("'; {touch}; '"),
        format!("\"; {touch}; \""),
        format!("| {touch} &"),
        format!("-oProxyCommand={touch}"),
        format!("--\0{touch}"),
        format!("\u{1b}]0;{touch}\u{7}"),
        "../../etc/passwd".to_owned(),
        "\u{202e}gnp.exe\u{feff}".to_owned(),
    ] {
        let text = SecretText::new(words.clone());
        let request = Request::new(Ask::Turn { text, session: words.clone(), timeout_ms: 1000 });
        ask(&sshd, &request, PATIENCE).await.unwrap();
        let arrived = std::fs::read(sshd.folder().join("request")).unwrap();
        let arrived: serde_json::Value = serde_json::from_slice(&arrived).unwrap();
        assert_eq!((arrived["text"].as_str(), arrived["session"].as_str()), (Some(&*words), Some(&*words)));
        assert!(!planted.exists(), "{words:?} was run");
    }
}

#[tokio::test]
async fn an_exchange_is_fast() {
    let sshd = Sshd::start(&format!("cat >/dev/null; printf '%s' '{READY}'"));
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..20 {
        let begun = Instant::now();
        ask(&sshd, &hello(), PATIENCE).await.unwrap();
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    println!(
        "fresh connection, exchange, close: fastest {:?}, median {:?}, slowest {:?}",
        times[0], times[10], times[19]
    );
    // Loose, because other programs run beside a test; what makes it fast is held by a test of `line`.
    assert!(times[0] < Duration::from_secs(1), "{times:?}");
}

#[tokio::test]
async fn another_host_key_gets_nothing_at_all() {
    let sshd = Sshd::start(&format!("printf '%s' '{READY}'"));
    let pinned = HostKey::generate(&Random).pinned();
    let error = client().ask(&target(&sshd, &pinned, &sshd.authority), &hello(), PATIENCE).await.unwrap_err();
    let expected =
        SshError::HostKeyChanged { expected: pinned.fingerprint(), shown: sshd.host_key.pinned().fingerprint() };
    assert_eq!(error, expected);
    assert!(!error.is_transient());

    // The server saw a connection come and go; nobody tried to sign in, under any name.
    let log = sshd.await_log("Connection closed by").await;
    assert!(log.contains("[preauth]"), "{log}");
    for trace in ["Accepted", "Failed", "Invalid user", "authenticating user", "Postponed", &account()] {
        assert!(!log.contains(&format!(" {trace} ")), "{trace} in\n{log}");
    }
}

#[tokio::test]
async fn a_key_of_another_kind_is_a_changed_key() {
    let sshd = Sshd::start_with_ecdsa_host_key(&format!("printf '%s' '{READY}'"));
    let error = ask(&sshd, &hello(), PATIENCE).await.unwrap_err();
    assert!(matches!(error, SshError::HostKeyChanged { .. }), "{error}");
}

#[tokio::test]
async fn an_answer_has_a_size() {
    let sshd = Sshd::start("head -c 3000000 /dev/zero | tr '\\0' x");
    let error = ask(&sshd, &hello(), PATIENCE).await.unwrap_err();
    assert_eq!(error, SshError::Garbled { why: format!("it is longer than {BYTES_MAX} bytes") });
}

#[tokio::test]
async fn an_answer_of_the_largest_size_is_read() {
    let padding = BYTES_MAX - READY.len();
    let sshd =
        Sshd::start(&format!("cat >/dev/null; printf '%s' '{READY}'; head -c {padding} /dev/zero | tr '\\0' ' '"));
    ask(&sshd, &hello(), PATIENCE).await.unwrap();
}

#[tokio::test]
async fn what_is_no_answer_is_garbled_and_not_repeated() {
    for (script, why) in [
        ("echo 'hush, a secret'", "not JSON"),
        (r#"printf '{"version":1,"outcome":{"do'"#, "cut off"),
        (r#"printf '{"version":1,"outcome":{"hush":1}}'"#, "not an answer of the protocol"),
        ("echo hush >&2; exit 3", "it is empty, and the program ended with 3"),
        ("kill -9 $$", "its program was killed"),
    ] {
        let sshd = Sshd::start(script);
        let error = ask(&sshd, &hello(), PATIENCE).await.unwrap_err();
        assert!(error.to_string().contains(why), "{script}: {error}");
        assert!(!error.to_string().contains("hush"), "{error}");
    }
}

#[tokio::test]
async fn a_guest_that_says_nothing_runs_into_the_limit_and_is_let_go() {
    let sshd = Sshd::start("sleep 60");
    let limit = Duration::from_millis(700);
    let begun = Instant::now();
    assert_eq!(ask(&sshd, &hello(), limit).await.unwrap_err(), SshError::TimedOut { limit });
    assert!(begun.elapsed() < Duration::from_secs(2));
    sshd.await_log("Connection closed by").await;
}

#[tokio::test]
async fn a_server_that_says_nothing_runs_into_the_limit_and_is_let_go() {
    // It takes the connection, says that it is an SSH server, and falls silent in the key exchange.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let peer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"SSH-2.0-Silent\r\n").unwrap();
        std::io::copy(&mut stream, &mut std::io::sink()).unwrap()
    });
    let (host_key, authority) = (HostKey::generate(&Random), ssh::Authority::generate(&Random));
    let pinned = host_key.pinned();
    let target = ssh::Target { address, machine: machine(), host_key: &pinned, authority: &authority, now: now() };
    let limit = Duration::from_millis(300);
    let error = client().ask(&target, &hello(), limit).await.unwrap_err();
    assert_eq!(error, SshError::TimedOut { limit });
    // The end of the connection reaches the peer although russh's own task was still waiting for an answer.
    tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(|| peer.join())).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let (host_key, authority) = (HostKey::generate(&Random), ssh::Authority::generate(&Random));
    let pinned = host_key.pinned();
    let target = ssh::Target { address, machine: machine(), host_key: &pinned, authority: &authority, now: now() };
    let error = client().ask(&target, &hello(), PATIENCE).await.unwrap_err();
    assert!(matches!(error, SshError::Unreachable { .. }) && error.is_transient(), "{error}");
}
