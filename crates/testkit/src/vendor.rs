//! All vendors of credentials, for tests: one HTTP server with a ledger.
//!
//! Each vendor has a path of its own ([`FakeVendor::addresses`]). [`messages`] answers as
//! Anthropic's Messages API does, [`chat`] as Chat Completions do, [`checks`] to the
//! questions whether a credential is good. Their fidelity is held by the vendors' own
//! client libraries, which speak to it directly (`crates/web/tests/it/llm.rs`,
//! `crates/clients/tests/it/peers.rs`).

mod chat;
mod checks;
mod messages;

use std::{
    collections::HashSet,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use clients::vendors::VendorAddresses;
use domain::credential::Kind;
use futures::{StreamExt as _, stream, stream::BoxStream};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch};

/// The house's key at Anthropic.
pub const VENDOR_KEY: &str = "sk-ant-vendor-key-marker";

/// The credential of a tenant's that the vendor of this kind knows.
#[must_use]
pub const fn own_secret(kind: Kind) -> &'static str {
    match kind {
        Kind::Anthropic => "sk-ant-own-key-marker",
        Kind::OpenAi => "sk-proj-own-key-marker",
        Kind::OpenRouter => "sk-or-v1-own-key-marker",
        Kind::Compatible => "compatible-own-key-marker",
        Kind::Telegram => "123456789:AAE-own-token-marker_QXMENQjcrGb",
        Kind::Slack => "xoxb-1-own-token-marker\nxapp-1-own-token-marker",
        Kind::Discord => "MTIz.own-token-marker.QXMENQjcrGb",
        Kind::Variable => "",
    }
}

/// Words in every answer.
pub const VENDOR_WORDS: &str = "vendor words marker";

/// What the vendor does with the calls that come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VendorMood {
    /// Answers.
    Well,
    /// Too many calls: 429, come back in 7 s.
    Limited,
    /// 529.
    Overloaded,
    /// 500.
    Faulty,
    /// Finds the request wrong: 400.
    Picky,
    /// Sends this many pieces of a stream and breaks the connection.
    Cut(usize),
    /// Sends this many pieces of a stream and then nothing, for ever.
    Stall(usize),
    /// Never begins to answer.
    Mute,
    /// Answers 200 with something else.
    Garbled,
    /// Goes on without end.
    Huge,
    /// Sends an error event in mid-stream.
    ErrorEvent,
    /// Points elsewhere.
    Redirect,
}

/// One call as it came.
#[derive(Debug, Clone)]
pub struct VendorCall {
    /// Its method.
    pub method: http::Method,
    /// Its path.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

struct State {
    mood: VendorMood,
    revoked: HashSet<Kind>,
    taken: HashSet<String>,
    calls: Vec<VendorCall>,
    pieces: usize,
    dropped: usize,
}

/// A stream of events: what is sent piece by piece, and what is sent instead of it in some moods.
struct Script {
    all: Vec<Bytes>,
    /// Without end, in the mood `Huge`.
    more: Bytes,
    /// The fourth and last piece, in the mood `ErrorEvent`.
    error: Bytes,
}

type Pieces = BoxStream<'static, Result<Frame<Bytes>, std::io::Error>>;
type Answer = Response<StreamBody<Pieces>>;

/// A running vendor. Clones are the same one.
#[derive(Clone)]
pub struct FakeVendor {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    gate: watch::Sender<bool>,
}

impl FakeVendor {
    /// Starts one on a port of its own.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = State {
            mood: VendorMood::Well,
            revoked: HashSet::new(),
            taken: HashSet::new(),
            calls: Vec::new(),
            pieces: 0,
            dropped: 0,
        };
        let vendor = Self { state: Arc::new(Mutex::new(state)), address, gate: watch::Sender::new(true) };
        let server = vendor.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                let service = service_fn(move |request| server.clone().answer(request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        vendor
    }

    /// Its base URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where each vendor is.
    #[must_use]
    pub fn addresses(&self) -> VendorAddresses {
        let at = |path: &str| format!("{}{path}", self.url());
        VendorAddresses {
            anthropic: self.url(),
            openai: at("/openai/v1"),
            openrouter: at("/openrouter/api/v1"),
            telegram: at("/telegram"),
            slack: at("/slack/api"),
            discord: at("/discord/api/v10"),
        }
    }

    /// The base URL of one more vendor, which speaks as OpenAI does. It is plain http on this host: an operator has to name it.
    #[must_use]
    pub fn compatible(&self) -> String {
        format!("{}/compatible/v1", self.url())
    }

    /// The vendor of this kind knows [`own_secret`] no more.
    pub fn revoke(&self, kind: Kind) {
        self.state().revoked.insert(kind);
    }

    /// From now on this is a good credential, too, at every vendor here; of Slack's two tokens each by itself.
    pub fn take(&self, secret: &str) {
        self.state().taken.insert(secret.to_owned());
    }

    /// From now on calls are answered like this.
    pub fn set_mood(&self, mood: VendorMood) {
        self.state().mood = mood;
    }

    /// Shut: streams wait before their second piece until it is opened.
    pub fn set_gate(&self, is_open: bool) {
        self.gate.send_replace(is_open);
    }

    /// Every call so far.
    #[must_use]
    pub fn calls(&self) -> Vec<VendorCall> {
        self.state().calls.clone()
    }

    /// Pieces of streams that were taken from it.
    #[must_use]
    pub fn pieces(&self) -> usize {
        self.state().pieces
    }

    /// Streams that were dropped before their end.
    #[must_use]
    pub fn dropped(&self) -> usize {
        self.state().dropped
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Answer, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let call = VendorCall { method: head.method, path: head.uri.path().to_owned(), headers: head.headers, body };
        let mood = {
            let mut state = self.state();
            state.calls.push(call.clone());
            state.mood
        };
        Ok(match call.path.as_str() {
            "/v1/messages" => self.messages(&call, mood).await,
            path if path.ends_with("/chat/completions") => self.chat(&call, mood).await,
            _ => self.check(&call, mood).await,
        })
    }

    /// Whether a credential is this vendor's and not revoked.
    fn knows(&self, kind: Kind, given: &str) -> bool {
        let state = self.state();
        (given == own_secret(kind) || state.taken.contains(given)) && !state.revoked.contains(&kind)
    }

    fn events(self, mood: VendorMood, script: Script) -> Answer {
        let state = (self.clone(), 0_usize, Unfinished(Some(self)));
        let pieces = stream::unfold(state, move |(vendor, at, mut unfinished)| {
            let piece = match mood {
                VendorMood::Huge if at > 0 => Some(script.more.clone()),
                VendorMood::ErrorEvent if at == 3 => Some(script.error.clone()),
                VendorMood::ErrorEvent if at > 3 => None,
                _ => script.all.get(at).cloned(),
            };
            async move {
                if at == 1 {
                    vendor.gate.subscribe().wait_for(|is_open| *is_open).await.ok();
                }
                match mood {
                    VendorMood::Cut(after) if at == after => {
                        let broken = Err(std::io::Error::other("cut"));
                        return Some((broken, (vendor, at + 1, unfinished)));
                    }
                    VendorMood::Stall(after) if at == after => std::future::pending::<()>().await,
                    _ => {}
                }
                let Some(piece) = piece else {
                    unfinished.finish();
                    return None;
                };
                vendor.state().pieces += 1;
                if at > 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Some((Ok(Frame::data(piece)), (vendor, at + 1, unfinished)))
            }
        });
        respond(200, "text/event-stream; charset=utf-8", pieces.boxed())
    }

    /// What a vendor answers in a mood that has nothing to do with its API; `None`: it is well enough to answer by itself.
    async fn mishap(&self, mood: VendorMood) -> Option<Answer> {
        Some(match mood {
            VendorMood::Redirect => {
                let mut response = whole(307, String::new());
                let elsewhere = format!("{}/elsewhere", self.url());
                response.headers_mut().insert("location", elsewhere.parse().expect("an address"));
                response
            }
            VendorMood::Garbled => whole(200, "<html>not what was asked for</html>".to_owned()),
            VendorMood::Mute => std::future::pending().await,
            _ => return None,
        })
    }
}

/// White space without end.
fn endless() -> Answer {
    let pieces = stream::repeat_with(|| Ok(Frame::data(Bytes::from(vec![b' '; 64 * 1024]))));
    respond(200, "application/json", pieces.boxed())
}

impl VendorCall {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn bearer(&self) -> &str {
        self.header("authorization").strip_prefix("Bearer ").unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Tells the ledger when it is dropped before its stream's end.
struct Unfinished(Option<FakeVendor>);

impl Unfinished {
    fn finish(&mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(vendor) = &self.0 {
            vendor.state().dropped += 1;
        }
    }
}

/// With its length, as the vendors send it: a client that many bots use takes chunks for a broken line (node-fetch 2
/// on Debian 13's Node).
fn whole(status: u16, body: String) -> Answer {
    let length = body.len();
    let mut answer = respond(status, "application/json", stream::iter([Ok(Frame::data(Bytes::from(body)))]).boxed());
    answer.headers_mut().insert("content-length", length.into());
    answer
}

fn respond(status: u16, kind: &'static str, body: Pieces) -> Answer {
    let mut response = Response::new(StreamBody::new(body));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    let headers = response.headers_mut();
    headers.insert("content-type", http::HeaderValue::from_static(kind));
    headers.insert("request-id", http::HeaderValue::from_static("req_1"));
    headers.insert("x-request-id", http::HeaderValue::from_static("req_1"));
    headers.insert("anthropic-organization-id", http::HeaderValue::from_static("organization-marker"));
    headers.insert("openai-organization", http::HeaderValue::from_static("organization-marker"));
    response
}
