//! Mails and webhooks as servers understand them that nobody here wrote: aiosmtpd and the standardwebhooks library; and
//! Slack's own client before the fake that stands for Slack. Stripe's are in a file of their own.

mod stripe;
mod stripe_signatures;

use std::process::Stdio;

use chrono::{DateTime, Utc};
use clients::{
    mail::{
        Mail, MailError, Mailer as _, Subject,
        smtp::{Server, Smtp},
    },
    webhook::{HttpWebhook, Message, PostError, Webhook as _},
};
use domain::{credential::Kind, names::Email};
use serde_json::Value;
use testkit::vendor::{FakeVendor, own_secret};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};
use vault::WebhookSecret;

const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The other side, in a process of its own.
struct Receiver {
    said: Lines<BufReader<ChildStdout>>,
    smtp: String,
    http: String,
    _child: Child,
}

impl Receiver {
    async fn start() -> Self {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let python = format!("{root}/target/peers/bin/python");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/receiver.py");
        let mut child = Command::new(&python)
            .args([script, SECRET])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{python}: {error}; scripts/test integration makes it"));
        let mut said = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let ports = said.next_line().await.expect("a line").expect("it started");
        let mut words = ports.split(' ').skip(1);
        let mut port = || words.next().expect("a port").to_owned();
        let (smtp, http) = (port(), port());
        Self {
            said,
            smtp: format!("smtp://127.0.0.1:{smtp}"),
            http: format!("http://127.0.0.1:{http}/hook?a=b"),
            _child: child,
        }
    }

    async fn took(&mut self) -> Value {
        let line = self.said.next_line().await.expect("a line").expect("it goes on");
        serde_json::from_str(&line).expect("JSON")
    }
}

fn now() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}

fn email(text: &str) -> Email {
    Email::parse(text).expect("an address")
}

#[tokio::test]
#[ignore = "needs aiosmtpd: scripts/test integration installs it first"]
async fn a_mail_arrives_whole_at_a_server_of_somebody_else() {
    let mut receiver = Receiver::start().await;
    let server = Server::parse(&receiver.smtp).expect("a server");
    let smtp = Smtp::new(&server, email("berth@harbour.example")).expect("an address");
    let mail = Mail {
        id: "dlv_1".to_owned(),
        at: DateTime::from_timestamp(1_795_000_000, 0).expect("a time"),
        to: email("ada@harbour.example"),
        subject: Subject::of("Überfällig\r\nBcc: eve@evil.example"),
        text: format!("Grüße,\n.\n..\nFrom here {}\nBcc: eve@evil.example\n", "a long line ".repeat(200)),
        html: Some(format!("<!doctype html>\n<p>Grüße,</p>\n.\n{}\n", "<p>a long line</p>".repeat(200))),
    };
    smtp.send(&mail).await.expect("it is taken");
    let took = receiver.took().await;
    assert_eq!(took["mail"], "<dlv_1@harbour.example>");
    assert_eq!(
        (&took["sender"], &took["to"]),
        (&"berth@harbour.example".into(), &serde_json::json!(["ada@harbour.example"]))
    );
    assert_eq!(took["subject"], "Überfällig  Bcc: eve@evil.example");
    assert_eq!(took["text"].as_str().expect("text").replace("\r\n", "\n").trim_end(), mail.text.trim_end());
    assert_eq!(
        took["html"].as_str().expect("HTML").replace("\r\n", "\n").trim_end(),
        mail.html.as_deref().map_or("", str::trim_end)
    );
    assert_eq!(
        (&took["type"], &took["parts"]),
        (&"multipart/alternative".into(), &serde_json::json!(["text/plain", "text/html"]))
    );
    assert_eq!(took["defects"], serde_json::json!([]));
    assert!(!took["headers"].as_array().expect("names").contains(&"bcc".into()), "{took}");

    smtp.send(&Mail { html: None, ..mail.clone() }).await.expect("it is taken");
    let plain = receiver.took().await;
    assert_eq!((&plain["type"], &plain["html"]), (&"text/plain".into(), &Value::Null));
    assert_eq!(plain["text"].as_str().map(str::trim_end), took["text"].as_str().map(str::trim_end));

    let to = |address: &str| Mail { to: email(address), ..mail.clone() };
    assert_eq!(smtp.send(&to("nobody@harbour.example")).await, Err(MailError::Refused(Some(550))));
    assert_eq!(smtp.send(&to("later@harbour.example")).await, Err(MailError::Later(Some(451))));
    smtp.send(&mail).await.expect("it goes on after refusals");
}

#[tokio::test]
#[ignore = "needs the standardwebhooks library: scripts/test integration installs it first"]
async fn a_webhook_is_verified_by_the_official_library() {
    let mut receiver = Receiver::start().await;
    let webhook = |secret: &str| {
        HttpWebhook::new(receiver.http.parse().expect("an address"), WebhookSecret::parse(secret).expect("a secret"))
            .expect("a client")
    };
    let (right, wrong) = (webhook(SECRET), webhook("whsec_BBECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="));
    let message = Message { id: "dlv_1".to_owned(), at: now(), body: r#"{"type":"alert.fired","ü":1}"#.into() };
    assert_eq!(right.post(&message).await.map(|taken| taken.0), Ok(204));
    let took = receiver.took().await;
    assert_eq!((&took["webhook"], &took["took"]["type"]), (&"dlv_1".into(), &"alert.fired".into()));
    assert_eq!(took["path"], "/hook?a=b");

    assert_eq!(wrong.post(&message).await, Err(PostError::Status(400)));
    assert_eq!(receiver.took().await["refused"], "No matching signature found");
    let old = Message { at: now() - chrono::TimeDelta::minutes(6), ..message };
    assert_eq!(right.post(&old).await, Err(PostError::Status(400)), "a replay is too old for the library");
}

/// The fake vendor is true to Slack as far as its own client can tell: it speaks to it directly.
#[tokio::test]
#[ignore = "needs slack_sdk: scripts/test integration installs it first"]
async fn slacks_own_client_understands_the_fake_vendor() {
    let vendor = FakeVendor::start().await;
    let (bot, app) = own_secret(Kind::Slack).split_once('\n').expect("two tokens");
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/slack.py");
    let base = format!("{}/", vendor.addresses().slack);
    let ran = Command::new(format!("{root}/target/peers/bin/python")).args([script, &base, bot, app]).output().await;
    let output = ran.expect("scripts/test integration installs Python's packages");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
