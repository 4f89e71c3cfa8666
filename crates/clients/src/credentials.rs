//! Asking a vendor whether a credential is good.
//!
//! [`CredentialVendors`] is the trait, [`HttpCredentialVendors`] the real thing.
//! Each kind of credential has one cheap call that costs nothing and changes
//! nothing: [`models`] for keys of models, [`bots`] for Telegram and Discord,
//! [`slack`] for Slack. `testkit::vendor` stands for all of them in tests.
//!
//! Invariants: a check ends within [`CHECK_MAX`]; at most [`ANSWER_MAX`] bytes of an
//! answer are read; no redirect is followed. A credential is in one request to its
//! own vendor and nowhere else: no error, no log, no `Debug`. Telegram's stands in
//! the path, so no address is ever told. "Refused" is said only when the vendor said so.

mod bots;
mod models;
mod slack;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    credential::{BaseUrl, Kind, Verdict},
    reachable::{NamedHosts, Reachable},
};
use http::HeaderValue;
use reqwest::{Client, ClientBuilder, RequestBuilder};
use tokio::time::timeout;
use vault::Secret;

use crate::{
    outgoing::{self, NoAnswer},
    reach::{Lookup, Reach, SystemLookup},
    vendors::VendorAddresses,
};

/// How long a check may take in all.
pub const CHECK_MAX: Duration = Duration::from_secs(10);
/// Most bytes of an answer that are read.
pub const ANSWER_MAX: usize = 64 << 10;
/// Most characters of a name that a vendor tells.
pub const WHO_CHARS_MAX: usize = 64;

const CONNECT_MAX: Duration = Duration::from_secs(4);

/// Whoever knows whether credentials are good.
#[async_trait]
pub trait CredentialVendors: Send + Sync + 'static {
    /// Asks the vendor of this kind. `base_url` is for [`Kind::Compatible`], and needed there. A variable has no vendor: it
    /// is accepted as it is.
    ///
    /// Every reason is a sentence of Berth's for the person who gave the credential. Whose it is, is a stranger's word,
    /// cleaned and at most [`WHO_CHARS_MAX`] characters: `@scout_bot`, `scout in Harbour`.
    async fn check(&self, kind: Kind, base_url: Option<&BaseUrl>, secret: &Secret) -> Verdict;
}

/// The clients could not be made: TLS or the resolver cannot be set up on this system.
#[derive(Debug, thiserror::Error)]
#[error("the clients for the vendors of credentials could not be made")]
pub struct NoClients(#[source] reqwest::Error);

impl NoClients {
    pub(crate) const fn of(error: reqwest::Error) -> Self {
        Self(error)
    }
}

/// The vendors themselves.
pub struct HttpCredentialVendors {
    http: Client,
    reach: Reach,
    addresses: VendorAddresses,
    named: NamedHosts,
}

impl HttpCredentialVendors {
    /// The vendors at these addresses; compatible ones on the public internet, or where an operator named them.
    ///
    /// # Errors
    /// [`NoClients`]
    pub fn new(addresses: VendorAddresses, named: NamedHosts) -> Result<Self, NoClients> {
        Self::with_lookup(addresses, named, Arc::new(SystemLookup))
    }

    /// The same, with names looked up in another way: for tests.
    ///
    /// # Errors
    /// [`NoClients`]
    pub fn with_lookup(
        addresses: VendorAddresses,
        named: NamedHosts,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Self, NoClients> {
        let http = builder().build().map_err(NoClients)?;
        let reach = Reach::new(builder, lookup).map_err(NoClients)?;
        Ok(Self { http, reach, addresses, named })
    }

    async fn ask(&self, kind: Kind, base_url: Option<&BaseUrl>, secret: &Secret) -> Verdict {
        let at = &self.addresses;
        match (kind, base_url) {
            (Kind::Anthropic, _) => models::anthropic(&self.http, &at.anthropic, secret).await,
            (Kind::OpenAi, _) => models::openai(&self.http, &at.openai, secret).await,
            (Kind::OpenRouter, _) => models::openrouter(&self.http, &at.openrouter, secret).await,
            (Kind::Compatible, Some(base)) => match Reachable::judge(base.as_str(), &self.named) {
                Ok(base) => models::compatible(self.reach.client(&base), &base, secret).await,
                Err(why) => refused(format!("That address cannot be used: {why}.")),
            },
            (Kind::Compatible, None) => refused("This key needs the address of its vendor beside it."),
            (Kind::Telegram, _) => bots::telegram(&self.http, &at.telegram, secret).await,
            (Kind::Slack, _) => slack::check(&self.http, &at.slack, secret).await,
            (Kind::Discord, _) => bots::discord(&self.http, &at.discord, secret).await,
            (Kind::Variable, _) => Verdict::Accepted { who: None },
        }
    }
}

#[async_trait]
impl CredentialVendors for HttpCredentialVendors {
    async fn check(&self, kind: Kind, base_url: Option<&BaseUrl>, secret: &Secret) -> Verdict {
        let asked = timeout(CHECK_MAX, self.ask(kind, base_url, secret)).await;
        let verdict = asked
            .unwrap_or_else(|_| unknown(format!("{} did not answer within {} s.", vendor(kind), CHECK_MAX.as_secs())));
        tracing::info!(kind = kind.name(), verdict = word(&verdict), "a credential was checked with its vendor");
        verdict
    }
}

fn refused(why: impl Into<String>) -> Verdict {
    Verdict::Refused { why: why.into() }
}

fn unknown(why: impl Into<String>) -> Verdict {
    Verdict::Unknown { why: why.into() }
}

const fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Accepted { .. } => "accepted",
        Verdict::Refused { .. } => "refused",
        Verdict::Unknown { .. } => "unknown",
    }
}

/// One request at a time, over HTTP/1.1: an HTTP/2 library has tables of headers, and a log of its own.
fn builder() -> ClientBuilder {
    outgoing::builder(CONNECT_MAX).http1_only().pool_max_idle_per_host(0)
}

/// How a vendor is called where a person reads it.
const fn vendor(kind: Kind) -> &'static str {
    match kind {
        Kind::Anthropic => "Anthropic",
        Kind::OpenAi => "OpenAI",
        Kind::OpenRouter => "OpenRouter",
        Kind::Compatible => "The vendor at this address",
        Kind::Telegram => "Telegram",
        Kind::Slack => "Slack",
        Kind::Discord => "Discord",
        Kind::Variable => "Nobody",
    }
}

/// What a vendor answered.
struct Said {
    status: u16,
    is_json: bool,
    body: Vec<u8>,
    is_whole: bool,
}

impl Said {
    fn json<'b, T: serde::Deserialize<'b>>(&'b self) -> Option<T> {
        if self.is_whole { serde_json::from_slice(&self.body).ok() } else { None }
    }
}

/// Sends one request and reads what is needed of its answer.
async fn ask(kind: Kind, request: RequestBuilder) -> Result<Said, Verdict> {
    let heard = async {
        let response = outgoing::send(request.header("accept", "application/json")).await?;
        let status = response.status().as_u16();
        let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
        let is_json = content_type.is_some_and(|kind| kind.trim_start().starts_with("application/json"));
        let heard = outgoing::read(response, ANSWER_MAX).await?;
        Ok(Said { status, is_json, body: heard.body, is_whole: heard.is_whole })
    };
    let name = vendor(kind);
    heard.await.map_err(|none| match none {
        NoAnswer::NotPublic => refused("That host is not on the public internet, so Berth does not call it."),
        NoAnswer::Unreachable => unknown(format!("{name} cannot be reached right now.")),
        NoAnswer::Broken => unknown(format!("The connection to {name} broke before it answered.")),
    })
}

/// A vendor's answer that says nothing of the credential, by its status.
fn unclear(kind: Kind, status: u16) -> Verdict {
    let name = vendor(kind);
    unknown(match status {
        429 => format!("{name} takes no more questions right now."),
        300..400 => format!("{name} points to another address, and Berth follows none with a key."),
        500.. => format!("{name} has a fault of its own right now."),
        200..300 => format!("{name} answered with something else than what was asked."),
        _ => format!("{name} answered {status}, which says nothing about this credential."),
    })
}

/// A header that holds a credential.
fn header(kind: Kind, parts: &[&[u8]]) -> Result<HeaderValue, Verdict> {
    let text = zeroize::Zeroizing::new(parts.concat());
    let is_plain = text.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') && text.len() <= 4096;
    let value = if is_plain { outgoing::sensitive(&text).ok() } else { None };
    value.ok_or_else(|| {
        refused(format!(
            "{} has no such credentials: this one holds characters that none has, or is too long.",
            vendor(kind)
        ))
    })
}

/// A stranger's words, as one line that hides nothing and ends.
fn clean(words: &str) -> Option<String> {
    // Marks that turn the direction of what follows, or take no room, make one name look like another.
    let is_hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
    };
    let spaced = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let plain: String = spaced.chars().filter(|c| !is_hidden(*c)).take(WHO_CHARS_MAX).collect();
    let plain = plain.trim();
    (!plain.is_empty()).then(|| plain.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_name_is_one_short_line_that_hides_nothing() {
        let table = [
            ("scout", Some("scout")),
            ("  a \t b\r\nc ", Some("a b c")),
            ("bot\u{202e}tob \u{200b}\u{feff}", Some("bottob")),
            ("\u{1b}[31mred\u{0}", Some("[31mred")),
            ("<b>ü 🤖</b>", Some("<b>ü 🤖</b>")),
            ("\u{200b} \u{2028}", None),
            ("", None),
        ];
        for (words, cleaned) in table {
            assert_eq!(clean(words).as_deref(), cleaned, "{words:?}");
        }
        assert_eq!(clean(&"ä".repeat(10_000)).map(|name| name.chars().count()), Some(WHO_CHARS_MAX));
    }

    #[test]
    fn what_no_header_can_hold_is_refused_without_a_word_of_it() {
        for secret in ["hunter2\r\nx: y", "hunter2\0", "hunter2ä", &"hunter2".repeat(1000)] {
            let told = format!("{:?}", header(Kind::OpenAi, &[b"Bearer ", secret.as_bytes()]));
            assert!(told.contains("Refused") && !told.contains("hunter2"), "{told}");
        }
        let value = header(Kind::OpenAi, &[b"Bearer ", b"hunter2"]).unwrap();
        assert!(value.is_sensitive() && !format!("{value:?}").contains("hunter2"));
    }
}
