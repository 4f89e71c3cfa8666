//! Mail: one text to one address, plain, or plain and HTML (RFC 2046, 5.1.4).
//!
//! [`Mailer`] is all that the rest of Berth knows. [`smtp::Smtp`] hands mails to
//! a server, [`folder::Folder`] puts them into a folder, for development.
//!
//! Invariants: no header can be injected, because addresses and subjects are
//! types that hold no line break; a mail has an identity (its `Message-ID`) that
//! is the caller's and the same at every try; no error repeats words of a mail.

use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::names::Email;
use lettre::{
    Message,
    message::{Mailbox, MultiPart, header::ContentType},
};

pub mod folder;
pub mod smtp;

/// What sends mails.
#[async_trait]
pub trait Mailer: Send + Sync + 'static {
    /// Hands a mail over. May be called again with the same one: it carries the same `Message-ID`.
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;
}

/// One text to one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The left half of its `Message-ID`: visible ASCII without `@ < >`, such as an id of ours.
    pub id: String,
    /// The time that it shows.
    pub at: DateTime<Utc>,
    /// To whom.
    pub to: Email,
    /// What it is about.
    pub subject: Subject,
    /// Plain text, `\n` between lines.
    pub text: String,
    /// The same as an HTML document, for who prefers that. It fetches nothing.
    pub html: Option<String>,
}

/// One line of at most 200 characters: no control character, so no second header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject(String);

impl Subject {
    /// Most characters.
    pub const CHARS_MAX: usize = 200;

    /// Takes the words as they are, but for control characters, which become spaces, and what is too long.
    #[must_use]
    pub fn of(words: &str) -> Self {
        let plain = words.chars().map(|c| if c.is_control() { ' ' } else { c });
        Self(plain.take(Self::CHARS_MAX).collect::<String>().trim().to_owned())
    }

    /// The line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a mail was not handed over. Nothing in it comes from the mail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// The server is not there, is slow, or said "later" (4xx).
    #[error("the mail server does not take it now{}", code(*.0))]
    Later(Option<u16>),
    /// The server will not take it (5xx): a wrong address, a wrong password.
    #[error("the mail server refused it{}", code(*.0))]
    Refused(Option<u16>),
    /// An address or an id that no mail can carry.
    #[error("its address cannot stand in a mail")]
    Unfit,
    /// The folder cannot be written.
    #[error("the folder for mails cannot be written")]
    Folder,
}

fn code(code: Option<u16>) -> String {
    code.map(|code| format!(": it answered {code}")).unwrap_or_default()
}

/// The mail as it goes over the line.
fn message(mail: &Mail, from: &Email) -> Result<Message, MailError> {
    let fits = |c: u8| c.is_ascii_graphic() && !b"@<>".contains(&c);
    if mail.id.is_empty() || !mail.id.bytes().all(fits) {
        return Err(MailError::Unfit);
    }
    let mailbox = |name: Option<&str>, address: &Email| {
        let address = address.as_str().parse().map_err(|_| MailError::Unfit)?;
        Ok(Mailbox::new(name.map(str::to_owned), address))
    };
    let host = from.as_str().split_once('@').map_or("localhost", |(_, host)| host);
    let builder = Message::builder()
        .date(mail.at.into())
        .message_id(Some(format!("<{}@{host}>", mail.id)))
        .from(mailbox(Some("Berth"), from)?)
        .to(mailbox(None, &mail.to)?)
        .subject(mail.subject.as_str());
    let message = match &mail.html {
        None => builder.header(ContentType::TEXT_PLAIN).body(mail.text.clone()),
        // The last one is the one preferred, by the standard: who cannot show it shows the one before.
        Some(html) => builder.multipart(MultiPart::alternative_plain_html(mail.text.clone(), html.clone())),
    };
    message.map_err(|_| MailError::Unfit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(subject: &str) -> Mail {
        Mail {
            id: "dlv_1".to_owned(),
            at: DateTime::from_timestamp(1_795_000_000, 0).unwrap(),
            to: Email::parse("ada@harbour.example").unwrap(),
            subject: Subject::of(subject),
            text: "Two lines,\nthe second with ümlauts.\n.\nBcc: not-a-header@x.example".to_owned(),
            html: None,
        }
    }

    #[test]
    fn no_words_become_a_header() {
        let from = Email::parse("berth@harbour.example").unwrap();
        let sent = message(&mail("A\r\nBcc: eve@evil.example\r\n\r\nhello"), &from).unwrap().formatted();
        let text = String::from_utf8(sent).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let names: Vec<&str> = head
            .lines()
            .filter(|l| !l.starts_with([' ', '\t']))
            .filter_map(|l| l.split_once(':'))
            .map(|l| l.0)
            .collect();
        assert!(!names.iter().any(|name| name.eq_ignore_ascii_case("bcc")), "{head}");
        assert!(head.contains("Message-ID: <dlv_1@harbour.example>") && head.contains("Wed, 18 Nov 2026"), "{head}");
        assert!(!body.is_empty());
        for id in ["", "a b", "a>\r\nBcc: x@y.z", "a@b"] {
            assert_eq!(
                message(&Mail { id: id.to_owned(), ..mail("x") }, &from).err(),
                Some(MailError::Unfit),
                "{id:?}"
            );
        }
    }

    #[test]
    fn two_dresses_are_two_parts_of_one_mail_the_plain_one_first() {
        let from = Email::parse("berth@harbour.example").unwrap();
        let html = Some("<!doctype html><p>Two lines</p>".to_owned());
        let sent = message(&Mail { html, ..mail("x") }, &from).unwrap().formatted();
        let text = String::from_utf8(sent).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("Content-Type: multipart/alternative;"), "{head}");
        let (plain, rich) = (body.find("text/plain; charset=utf-8"), body.find("text/html; charset=utf-8"));
        assert!(plain.is_some() && plain < rich, "{body}");
        let alone = String::from_utf8(message(&mail("x"), &from).unwrap().formatted()).unwrap();
        assert!(alone.contains("Content-Type: text/plain") && !alone.contains("multipart"), "{alone}");
    }

    #[test]
    fn a_subject_is_one_bounded_line() {
        assert_eq!(Subject::of(" a\r\nb\0 ").as_str(), "a  b");
        assert_eq!(Subject::of(&"ä".repeat(500)).as_str().chars().count(), Subject::CHARS_MAX);
    }
}
