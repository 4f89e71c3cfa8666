//! Anthropic's Messages API over HTTPS.

use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, header, header::InvalidHeaderValue};
use reqwest::Client;

use super::{ApiVersion, ModelAnswer, ModelCall, ModelError, ModelVendor, wire};
use crate::outgoing;

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

/// The vendor's API, with the house's key.
pub struct Anthropic {
    http: Client,
    address: String,
    key: ApiKey,
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
        let key = ApiKey::new(key).map_err(|_| BadVendor::Key)?;
        let builder = outgoing::builder(limits.connect)
            .https_only(address.starts_with("https://"))
            .pool_idle_timeout(Duration::from_secs(50));
        let http = builder.build().map_err(BadVendor::Client)?;
        Ok(Self { http, address: address.trim_end_matches('/').to_owned(), key, limits })
    }
}

#[async_trait]
impl ModelVendor for Anthropic {
    async fn send(&self, call: ModelCall) -> Result<ModelAnswer, ModelError> {
        let is_stream = call.is_stream;
        let request = self.http.post(format!("{}/v1/messages", self.address)).headers(self.key.headers(&call));
        wire::send(request.body(call.body), is_stream, self.limits).await
    }
}

/// A key in the two headers in which it may stand.
pub(super) struct ApiKey {
    plain: HeaderValue,
    bearer: HeaderValue,
}

impl ApiKey {
    pub(super) fn new(key: &[u8]) -> Result<Self, InvalidHeaderValue> {
        let bearer = zeroize::Zeroizing::new([b"Bearer ", key].concat());
        Ok(Self { plain: outgoing::sensitive(key)?, bearer: outgoing::sensitive(&bearer)? })
    }

    /// The headers of a call, as the vendor's own clients set them for each version.
    pub(super) fn headers(&self, call: &ModelCall) -> HeaderMap {
        let mut headers = HeaderMap::new();
        match call.version {
            ApiVersion::V2023June => headers.insert("x-api-key", self.plain.clone()),
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
