//! Anthropic's Messages API over HTTPS.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, header};
use reqwest::{Client, Response, redirect::Policy};
use tokio::time::{Instant, timeout, timeout_at};

use super::{ApiVersion, ModelAnswer, ModelCall, ModelError, ModelVendor};

/// Where the vendor is.
pub const ADDRESS: &str = "https://api.anthropic.com";

/// How long each part of a call may take, and how large an answer may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// To a connection.
    pub connect: Duration,
    /// To the beginning of a stream of events.
    pub first_event: Duration,
    /// To the beginning of an answer in one piece, which comes when the model has ended.
    pub whole: Duration,
    /// Between two pieces of an answer; the vendor sends a ping more often.
    pub idle: Duration,
    /// From the call to its last byte.
    pub total: Duration,
    /// Most bytes of an answer.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_event: Duration::from_mins(1),
            whole: Duration::from_mins(5),
            idle: Duration::from_mins(1),
            total: Duration::from_mins(10),
            bytes: 32 << 20,
        }
    }
}

/// The vendor's API.
pub struct Anthropic {
    http: Client,
    address: String,
    key: HeaderValue,
    bearer: HeaderValue,
    limits: Limits,
}

/// Why the client cannot be made. None of them repeats the key.
#[derive(Debug, thiserror::Error)]
pub enum BadVendor {
    /// It cannot stand in a header.
    #[error("ANTHROPIC_API_KEY holds characters that no key has")]
    Key,
    /// TLS or the resolver could not be set up.
    #[error("the client for the model vendor could not be made")]
    Client(#[source] reqwest::Error),
}

impl Anthropic {
    /// A client for the API at this address (without a slash at its end), with this key.
    ///
    /// No redirect is followed and no proxy taken from the environment: the key goes to this address only.
    ///
    /// # Errors
    /// [`BadVendor`]
    pub fn new(address: &str, key: &[u8], limits: Limits) -> Result<Self, BadVendor> {
        let sensitive = |text: &[u8]| {
            let mut value = HeaderValue::from_bytes(text).map_err(|_| BadVendor::Key)?;
            value.set_sensitive(true);
            Ok::<_, BadVendor>(value)
        };
        let bearer = sensitive(&[b"Bearer ", key].concat())?;
        let key = sensitive(key)?;
        let http = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .https_only(address.starts_with("https://"))
            .connect_timeout(limits.connect)
            .pool_idle_timeout(Duration::from_secs(50))
            .user_agent(concat!("berth/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(BadVendor::Client)?;
        Ok(Self { http, address: address.trim_end_matches('/').to_owned(), key, bearer, limits })
    }

    fn headers(&self, call: &ModelCall) -> HeaderMap {
        let mut headers = HeaderMap::new();
        // As the vendor's own clients do it for each version.
        match call.version {
            ApiVersion::V2023June => headers.insert("x-api-key", self.key.clone()),
            ApiVersion::V2026October => headers.insert(header::AUTHORIZATION, self.bearer.clone()),
        };
        headers.insert("anthropic-version", HeaderValue::from_static(call.version.name()));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(beta) = HeaderValue::from_str(&call.beta.join(","))
            && !beta.is_empty()
        {
            headers.insert("anthropic-beta", beta);
        }
        headers
    }
}

#[async_trait]
impl ModelVendor for Anthropic {
    async fn send(&self, call: ModelCall) -> Result<ModelAnswer, ModelError> {
        let ends = Instant::now() + self.limits.total;
        let longest = if call.is_stream { self.limits.first_event } else { self.limits.whole };
        let request = self.http.post(format!("{}/v1/messages", self.address));
        let sent = request.headers(self.headers(&call)).body(call.body).send();
        let response = timeout(longest, sent).await.map_err(|_| ModelError::Silent(longest))?;
        let response = response.map_err(|error| why(&error))?;
        tracing::debug!(status = response.status().as_u16(), "the model vendor answered");
        Ok(ModelAnswer {
            status: response.status().as_u16(),
            request_id: header_text(&response, "request-id"),
            retry_after_seconds: header_text(&response, "retry-after").and_then(|text| text.parse().ok()),
            is_events: header_text(&response, "content-type").is_some_and(|kind| kind.starts_with("text/event-stream")),
            body: pieces(response, self.limits, ends),
        })
    }
}

/// What is left of an answer: each piece within its time, all of them within theirs and within the size.
fn pieces(response: Response, limits: Limits, ends: Instant) -> stream::BoxStream<'static, Result<Bytes, ModelError>> {
    let state = Some((response.bytes_stream(), limits.bytes));
    stream::unfold(state, move |state| async move {
        let (mut pieces, left) = state?;
        let next = timeout(limits.idle, pieces.next());
        let piece = match timeout_at(ends, next).await {
            Err(_) => Err(ModelError::TooLong(limits.total)),
            Ok(Err(_)) => Err(ModelError::Silent(limits.idle)),
            Ok(Ok(None)) => return None,
            Ok(Ok(Some(Err(_)))) => Err(ModelError::Lost),
            Ok(Ok(Some(Ok(piece)))) if piece.len() > left => Err(ModelError::TooLarge(limits.bytes)),
            Ok(Ok(Some(Ok(piece)))) => Ok(piece),
        };
        let rest = piece.as_ref().ok().map(|piece| (pieces, left - piece.len()));
        Some((piece, rest))
    })
    .boxed()
}

fn header_text(response: &Response, name: &str) -> Option<String> {
    let text = response.headers().get(name)?.to_str().ok()?;
    (text.len() <= 200).then(|| text.to_owned())
}

/// Only what Berth itself says: the library's own text would hold the address, and may hold more.
fn why(error: &reqwest::Error) -> ModelError {
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => ModelError::Unreachable("no connection in time"),
        (true, false) => ModelError::Unreachable("no connection"),
        (false, _) if error.is_builder() => ModelError::Unreachable("its address cannot be used"),
        (false, _) => ModelError::Lost,
    }
}
