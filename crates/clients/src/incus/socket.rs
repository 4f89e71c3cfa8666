//! One HTTP call to the daemon, and the envelope that all its answers come in.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::net::UnixStream;

use crate::provider::ProviderError;

/// Longest call that does not wait for an operation.
const CALL_MAX: Duration = Duration::from_secs(15);

/// Added to an operation's own limit, for the daemon to tell us that it ran out.
const WAIT_MARGIN: Duration = Duration::from_secs(5);

/// Most bytes of one answer. A machine takes about 4 kB of a listing, so this is some 15,000 machines.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most characters of the daemon's own words that we repeat.
const WORDS_MAX: usize = 300;

/// What went wrong between us and the daemon, before anyone said what it means.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It does not answer, or not in time.
    Down(String),
    /// We may not talk to it.
    Forbidden(String),
    /// It answered something that makes no sense.
    Garbled(String),
    /// It refused the call.
    Said { code: u16, words: String },
    /// It took the call, and the operation failed.
    Failed { words: String },
}

impl Trouble {
    /// Whether the daemon says that the thing asked about does not exist.
    pub(super) const fn is_absence(&self) -> bool {
        matches!(self, Self::Said { code: 404, .. })
    }

    /// Whether the daemon's own words have this in them. Words are all it gives where codes do not tell.
    pub(super) fn mentions(&self, part: &str) -> bool {
        match self {
            Self::Said { words, .. } | Self::Failed { words } => words.contains(part),
            Self::Down(_) | Self::Forbidden(_) | Self::Garbled(_) => false,
        }
    }
}

impl From<Trouble> for ProviderError {
    /// A refused call is final, a failed operation may succeed next time (a full disk, a lost race).
    fn from(trouble: Trouble) -> Self {
        if trouble.mentions("Instance is busy") {
            return Self::Busy;
        }
        match trouble {
            Trouble::Down(why) | Trouble::Failed { words: why } => Self::Unavailable { why },
            Trouble::Said { code, words } if code >= 500 => Self::Unavailable { why: words },
            Trouble::Said { words, .. } => Self::Refused { why: words },
            Trouble::Forbidden(why) => Self::Refused { why },
            Trouble::Garbled(why) => Self::Garbled { why },
        }
    }
}

/// Every answer of the daemon.
#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(default)]
    error_code: u16,
    #[serde(default)]
    error: String,
    #[serde(default)]
    operation: String,
    #[serde(default)]
    metadata: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Sync,
    Async,
    Error,
}

/// An operation, as `wait` answers it.
#[derive(Deserialize)]
struct Operation {
    status_code: u16,
    #[serde(default)]
    err: String,
}

/// The daemon's unix socket. A connection lasts for one call: opening one costs microseconds, and dropping a call then cancels it cleanly.
#[derive(Debug)]
pub(super) struct Socket {
    path: PathBuf,
}

/// A call's body and headers.
pub(super) struct Call {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

impl Call {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), headers: Vec::new(), body: Bytes::new() }
    }

    pub(super) fn delete(path: impl Into<String>) -> Self {
        Self { method: Method::DELETE, ..Self::get(path) }
    }

    /// A call with a JSON body.
    pub(super) fn json(method: Method, path: impl Into<String>, body: &Value) -> Self {
        let headers = vec![(header::CONTENT_TYPE.as_str(), "application/json".to_owned())];
        Self { method, path: path.into(), headers, body: Bytes::from(body.to_string()) }
    }

    /// A call with bytes that stay with their owner.
    pub(super) fn bytes(path: impl Into<String>, headers: Vec<(&'static str, String)>, body: Bytes) -> Self {
        Self { method: Method::POST, path: path.into(), headers, body }
    }
}

impl Socket {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// A call that is answered at once.
    pub(super) async fn ask<T: DeserializeOwned>(&self, call: Call) -> Result<T, Trouble> {
        let envelope = self.send(call, CALL_MAX).await?;
        match envelope.kind {
            Kind::Sync => serde_json::from_value(envelope.metadata)
                .map_err(|error| Trouble::Garbled(format!("an answer of another shape: {error}"))),
            Kind::Async => Err(Trouble::Garbled("an operation where an answer was due".into())),
            Kind::Error => Err(Trouble::Said { code: envelope.error_code, words: bounded(&envelope.error) }),
        }
    }

    /// A call that starts an operation, which the daemon lets us wait for. Success means that the daemon says so;
    /// whoever needs to be sure looks.
    pub(super) async fn operate(&self, call: Call, limit: Duration) -> Result<(), Trouble> {
        let envelope = self.send(call, CALL_MAX).await?;
        match envelope.kind {
            Kind::Sync => Ok(()),
            Kind::Async => self.wait(&envelope.operation, limit).await,
            Kind::Error => Err(Trouble::Said { code: envelope.error_code, words: bounded(&envelope.error) }),
        }
    }

    /// Waits for an operation: one call, which the daemon answers when it is over.
    pub(super) async fn wait(&self, operation: &str, limit: Duration) -> Result<(), Trouble> {
        let path = operation_path(operation)?;
        let call = Call::get(format!("{path}/wait?timeout={}", limit.as_secs().max(1)));
        let envelope = self.send(call, limit.saturating_add(WAIT_MARGIN)).await?;
        match envelope.kind {
            // The daemon forgets an operation five seconds after its end.
            Kind::Error if envelope.error_code == 404 => return Ok(()),
            Kind::Error => return Err(Trouble::Said { code: envelope.error_code, words: bounded(&envelope.error) }),
            Kind::Sync | Kind::Async => {}
        }
        let operation: Operation = serde_json::from_value(envelope.metadata)
            .map_err(|error| Trouble::Garbled(format!("an operation of another shape: {error}")))?;
        match operation.status_code {
            200 => Ok(()),
            100..200 => Err(Trouble::Down(format!("an operation was not over after {} s", limit.as_secs()))),
            _ => Err(Trouble::Failed { words: bounded(&operation.err) }),
        }
    }

    /// Sends one call and reads the whole answer, both within `limit`.
    async fn send(&self, call: Call, limit: Duration) -> Result<Envelope, Trouble> {
        let bytes = match tokio::time::timeout(limit, self.exchange(call)).await {
            Ok(answer) => answer?,
            Err(_) => return Err(Trouble::Down(format!("no answer after {} s", limit.as_secs()))),
        };
        serde_json::from_slice(&bytes).map_err(|error| Trouble::Garbled(format!("no envelope: {error}")))
    }

    async fn exchange(&self, call: Call) -> Result<Bytes, Trouble> {
        let down = |error: hyper::Error| Trouble::Down(error.to_string());
        let stream = self.connect().await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(down)?;
        let mut request = Request::builder().method(call.method).uri(call.path).header(header::HOST, "berth");
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        let request = request
            .body(Full::new(call.body))
            .map_err(|error| Trouble::Garbled(format!("our own call is malformed: {error}")))?;
        let talk = async {
            let answer = sender.send_request(request).await.map_err(down)?;
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    Trouble::Garbled(format!("an answer of more than {ANSWER_BYTES_MAX} bytes"))
                } else {
                    Trouble::Down(error.to_string())
                }
            })?;
            Ok(body.to_bytes())
        };
        // The connection makes progress only while it is polled; whichever ends first, the answer decides.
        tokio::pin!(talk);
        tokio::select! {
            answer = &mut talk => answer,
            ended = connection => { ended.map_err(down)?; talk.await }
        }
    }

    /// Opens the socket.
    pub(super) async fn connect(&self) -> Result<UnixStream, Trouble> {
        UnixStream::connect(&self.path).await.map_err(|error| {
            let why = format!("{}: {error}", self.path.display());
            match error.kind() {
                io::ErrorKind::PermissionDenied => Trouble::Forbidden(why),
                _ => Trouble::Down(why),
            }
        })
    }
}

/// `/1.0/operations/<id>`, from what the daemon calls its operation.
fn operation_path(operation: &str) -> Result<&str, Trouble> {
    let path = operation.split('?').next().unwrap_or_default();
    let id = path.strip_prefix("/1.0/operations/").unwrap_or_default();
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
        return Err(Trouble::Garbled("an operation without a name".into()));
    }
    Ok(path)
}

/// The daemon's words, short and in one line.
fn bounded(words: &str) -> String {
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WORDS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_has_a_name_of_one_shape() {
        let good = "/1.0/operations/8bfaf7b9-4d7f-41d7-a45b-bef0a75c0b1a";
        assert_eq!(operation_path(good).ok(), Some(good));
        assert_eq!(operation_path(&format!("{good}?project=x")).ok(), Some(good));
        for bad in ["", "/1.0/operations/", "/1.0/instances/a", "/1.0/operations/../instances/a"] {
            assert!(operation_path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        let failed = |words: &str| ProviderError::from(Trouble::Failed { words: words.into() });
        let said = |code, words: &str| ProviderError::from(Trouble::Said { code, words: words.into() });
        assert_eq!(failed("Instance is busy running a \"start\" operation"), ProviderError::Busy);
        assert!(failed("no space left on device").is_transient());
        assert!(said(500, "database is locked").is_transient());
        assert!(!said(400, "unknown configuration key").is_transient());
        assert!(!ProviderError::from(Trouble::Garbled("x".into())).is_transient());
    }
}
