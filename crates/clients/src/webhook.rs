//! Telling the operator's own program something, by HTTP and signed as Standard Webhooks.
//!
//! The identity of a message is the caller's: it is the same at every try, so
//! the other side can drop a repetition. Nothing of an answer but its status is
//! read, and no error repeats the address, whose path may hold a token.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use reqwest::Client;
use url::Url;
use vault::WebhookSecret;

use crate::outgoing;

/// From the first byte to the answer's head.
const CALL_MAX: Duration = Duration::from_secs(10);
/// For the connection alone.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// A program that is told something.
#[async_trait]
pub trait Webhook: Send + Sync + 'static {
    /// Delivers a message. May be called again with the same one: the other side knows it by its id.
    async fn post(&self, message: &Message) -> Result<Taken, PostError>;
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The header `webhook-id`: the same at every try. Visible ASCII without a dot.
    pub id: String,
    /// The header `webhook-timestamp`: when it is sent, at this try.
    pub at: DateTime<Utc>,
    /// JSON.
    pub body: Vec<u8>,
}

/// The other side took it, with this status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken(pub u16);

/// Why it was not taken. Every one may pass by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// It answered with something else than 2xx; a redirect is not followed.
    #[error("it answered {0}")]
    Status(u16),
    /// It did not answer in time.
    #[error("it did not answer within {} s", CALL_MAX.as_secs())]
    Slow,
    /// There is no connection, or TLS does not agree.
    #[error("it cannot be reached")]
    Unreachable,
    /// The connection broke before an answer came; it may have been taken.
    #[error("the connection broke before it answered")]
    Broken,
}

/// The real one.
pub struct HttpWebhook {
    client: Client,
    url: Url,
    secret: WebhookSecret,
}

/// The client could not be made: the system's certificates cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("no HTTP client can be made on this system")]
pub struct NoClient(#[source] reqwest::Error);

impl HttpWebhook {
    /// Posts to this address, signed with this secret.
    ///
    /// # Errors
    /// [`NoClient`].
    pub fn new(url: Url, secret: WebhookSecret) -> Result<Self, NoClient> {
        let client = outgoing::builder(CONNECT_MAX)
            .timeout(CALL_MAX)
            .pool_idle_timeout(Duration::from_secs(30))
            .build()
            .map_err(NoClient)?;
        Ok(Self { client, url, secret })
    }
}

#[async_trait]
impl Webhook for HttpWebhook {
    async fn post(&self, message: &Message) -> Result<Taken, PostError> {
        let seconds = message.at.timestamp();
        let request = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", self.secret.sign(&message.id, seconds, &message.body))
            .body(message.body.clone());
        let status = request.send().await.map_err(|error| why(&error))?.status();
        if status.is_success() { Ok(Taken(status.as_u16())) } else { Err(PostError::Status(status.as_u16())) }
    }
}

fn why(error: &reqwest::Error) -> PostError {
    tracing::debug!(connect = error.is_connect(), timeout = error.is_timeout(), "a webhook was not taken");
    match () {
        () if error.is_timeout() => PostError::Slow,
        () if error.is_connect() || error.is_builder() => PostError::Unreachable,
        () => PostError::Broken,
    }
}
