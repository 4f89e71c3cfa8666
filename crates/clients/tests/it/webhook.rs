//! The webhook's client against servers that misbehave, and mails in a folder.

use std::{path::PathBuf, time::Duration};

use chrono::DateTime;
use clients::{
    mail::{
        Mail, MailError, Mailer as _, Subject,
        folder::Folder,
        smtp::{Server, Smtp},
    },
    webhook::{HttpWebhook, Message, PostError, Webhook as _},
};
use domain::names::Email;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use vault::WebhookSecret;

fn message() -> Message {
    Message { id: "dlv_1".to_owned(), at: DateTime::UNIX_EPOCH, body: b"{}".to_vec() }
}

fn webhook(address: &str) -> HttpWebhook {
    let secret = WebhookSecret::parse("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").expect("a secret");
    HttpWebhook::new(address.parse().expect("an address"), secret).expect("a client")
}

/// Answers each connection with these bytes, in order, and returns what it was sent.
async fn server(answers: Vec<&'static str>) -> (String, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let task = tokio::spawn(async move {
        let mut heard = Vec::new();
        for answer in answers {
            let (mut connection, _) = listener.accept().await.expect("a connection");
            let mut bytes = [0; 4096];
            let mut text = String::new();
            while !text.ends_with("{}") {
                let read = connection.read(&mut bytes).await.expect("bytes");
                text.push_str(&String::from_utf8_lossy(bytes.get(..read).unwrap_or_default()));
            }
            connection.write_all(answer.as_bytes()).await.ok();
            heard.push(text);
        }
        heard
    });
    (address, task)
}

#[tokio::test]
async fn only_a_2xx_is_taken_and_no_redirect_is_followed() {
    let (address, task) = server(vec![
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:1/\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 503 No\r\nconnection: close\r\ncontent-length: 999999999\r\n\r\nmuch",
        "garbage\r\n\r\n",
        "",
    ])
    .await;
    let webhook = webhook(&address);
    let mut said = Vec::new();
    for _ in 0..5 {
        said.push(webhook.post(&message()).await.map(|taken| taken.0));
    }
    assert_eq!(
        said,
        [
            Ok(200),
            Err(PostError::Status(307)),
            Err(PostError::Status(503)),
            Err(PostError::Broken),
            Err(PostError::Broken)
        ]
    );
    let heard = task.await.expect("the server ends").join("").to_lowercase();
    for head in
        ["webhook-id: dlv_1", "webhook-timestamp: 0", "webhook-signature: v1,", "content-type: application/json"]
    {
        assert_eq!(heard.matches(head).count(), 5, "{head}: {heard}");
    }
}

#[tokio::test]
async fn an_error_tells_nothing_of_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}/hunter2?key=hunter2", listener.local_addr().expect("an address"));
    drop(listener);
    let error = webhook(&address).post(&message()).await.expect_err("nobody listens");
    assert_eq!(error, PostError::Unreachable);
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

fn mail() -> Mail {
    Mail {
        id: "dlv_1".to_owned(),
        at: DateTime::UNIX_EPOCH,
        to: Email::parse("ada@harbour.example").expect("an address"),
        subject: Subject::of("A removal does not end"),
        text: "the machine does not go\n".to_owned(),
        html: None,
    }
}

#[tokio::test]
async fn the_same_mail_twice_is_one_whole_file() {
    let path = std::env::temp_dir().join(format!("berth-mail-{:x}", u128::from_be_bytes(crate::random_bytes())));
    let from = Email::parse("berth@localhost").expect("an address");
    let folder = Folder::new(path.clone(), from.clone());
    folder.send(&mail()).await.expect("written");
    folder.send(&mail()).await.expect("written");
    let names: Vec<_> = std::fs::read_dir(&path).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["dlv_1.eml"]);
    let text = std::fs::read_to_string(path.join("dlv_1.eml")).expect("a file");
    assert!(text.contains("Message-ID: <dlv_1@localhost>") && text.contains("the machine does not go"), "{text}");
    for id in ["../x", "a/b", ".hidden"] {
        let outside = Mail { id: id.to_owned(), ..mail() };
        assert_eq!(folder.send(&outside).await, Err(MailError::Unfit), "{id}");
    }
    std::fs::remove_dir_all(&path).expect("removed");
    let nowhere = Folder::new(PathBuf::from("/proc/nowhere"), from);
    assert_eq!(nowhere.send(&mail()).await, Err(MailError::Folder));
}

#[tokio::test]
async fn a_mail_server_that_is_not_there_is_tried_later() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let server = Server::parse(&format!("smtp://{}", listener.local_addr().expect("an address"))).expect("a server");
    drop(listener);
    let smtp = Smtp::new(&server, Email::parse("berth@harbour.example").expect("an address")).expect("a server");
    let sent = tokio::time::timeout(Duration::from_secs(5), smtp.send(&mail())).await.expect("at once");
    assert_eq!(sent, Err(MailError::Later(None)));
}
