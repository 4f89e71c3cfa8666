//! The vendor of models, as Berth knows it: one call, answered by a stream of bytes.
//!
//! [`ModelVendor`] is the trait for calls with the house's key; [`anthropic`] the real
//! one, for the Messages API. [`own`] makes calls with a tenant's own key, to any of
//! the vendors that tenants bring. [`usage`] and [`chat_usage`] read from an answer
//! what it used. `testkit::vendor` is an HTTP server in the vendors' place.
//!
//! Invariants: a key is in this folder's requests and nowhere else: no
//! error, no `Debug`, no log holds it, nor a word of a call or an answer. Nothing
//! is sent twice by itself. Every wait has an end.

pub mod anthropic;
pub mod chat_usage;
mod lines;
pub mod own;
pub mod usage;
mod wire;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

/// One call. Its body goes out as it is: whoever makes it has judged it.
#[derive(Clone)]
pub struct ModelCall {
    /// A request of the vendor's API, in JSON.
    pub body: Bytes,
    /// Whether it asks for events, which begin sooner than a whole answer.
    pub is_stream: bool,
    /// Which form of the Messages API it is written for, and its answer comes in. Other APIs have one form.
    pub version: ApiVersion,
    /// Beta features of the Messages API to ask for; empty for none.
    pub beta: &'static [&'static str],
}

/// The forms of the Messages API that are known here: the counts of an answer read the same in both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ApiVersion {
    /// What OpenClaw 2026.9 speaks.
    #[default]
    V2023June,
    /// What the vendor's own clients speak since November 2026.
    V2026October,
}

impl ApiVersion {
    /// As in the header `anthropic-version`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V2023June => "2023-06-01",
            Self::V2026October => "2026-10-21",
        }
    }

    /// The version of this name, if it is known.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::V2023June, Self::V2026October].into_iter().find(|version| version.name() == name)
    }
}

/// The beginning of an answer, and the rest of it as it comes.
pub struct ModelAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The vendor's name for this call.
    pub request_id: Option<String>,
    /// When the vendor wants to be asked again.
    pub retry_after_seconds: Option<u32>,
    /// Whether the body is a stream of events.
    pub is_events: bool,
    /// The body. Dropping it ends the call.
    pub body: BoxStream<'static, Result<Bytes, ModelError>>,
}

/// Why there is no answer, or no more of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// No connection: the vendor has heard nothing.
    #[error("the model vendor cannot be reached: {0}")]
    Unreachable(&'static str),
    /// The connection broke after the call was sent.
    #[error("the connection to the model vendor broke")]
    Lost,
    /// The vendor was silent for too long.
    #[error("the model vendor was silent for {} s", .0.as_secs())]
    Silent(Duration),
    /// The call as a whole took too long.
    #[error("the model vendor's answer took more than {} s", .0.as_secs())]
    TooLong(Duration),
    /// More bytes than any answer has.
    #[error("the model vendor's answer is larger than {0} bytes")]
    TooLarge(usize),
}

impl ModelError {
    /// Whether the vendor cannot have begun to work.
    #[must_use]
    pub const fn is_unsent(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}

/// Whoever answers a call with a model.
#[async_trait]
pub trait ModelVendor: Send + Sync {
    /// Sends one call and waits for the beginning of its answer. Dropping the future ends the call.
    async fn send(&self, call: ModelCall) -> Result<ModelAnswer, ModelError>;
}
