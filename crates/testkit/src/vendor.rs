//! A model vendor for tests: an HTTP server that answers like Anthropic's Messages API, with a ledger.
//!
//! Its fidelity is held by Anthropic's own client libraries, which speak to it
//! directly (`crates/web/tests/it/llm.rs`).

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt as _, stream, stream::BoxStream};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};

/// The key that it knows.
pub const VENDOR_KEY: &str = "sk-ant-vendor-key-marker";

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
    /// Its path.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

struct State {
    mood: VendorMood,
    calls: Vec<VendorCall>,
    pieces: usize,
    dropped: usize,
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
        let state = State { mood: VendorMood::Well, calls: Vec::new(), pieces: 0, dropped: 0 };
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
        let call = VendorCall { path: head.uri.path().to_owned(), headers: head.headers, body };
        let mood = {
            let mut state = self.state();
            state.calls.push(call.clone());
            state.mood
        };
        let refusal = |status: u16, kind: &str, words: &str| {
            let body = json!({ "type": "error", "error": { "type": kind, "message": words }, "request_id": "req_1" });
            whole(status, body.to_string())
        };
        if call.path != "/v1/messages" {
            return Ok(refusal(404, "not_found_error", "Not found"));
        }
        let shows = |name: &str, value: &str| call.headers.get(name).is_some_and(|given| given == value);
        let version = ["2023-06-01", "2026-10-21"].into_iter().find(|version| shows("anthropic-version", version));
        if !shows("x-api-key", VENDOR_KEY) && !shows("authorization", &format!("Bearer {VENDOR_KEY}")) {
            return Ok(refusal(401, "authentication_error", "invalid x-api-key"));
        }
        if version.is_none() {
            return Ok(refusal(400, "invalid_request_error", "anthropic-version: header is required"));
        }
        let asked: Value = serde_json::from_slice(&call.body).unwrap_or_default();
        let has = |name: &str, fits: fn(&Value) -> bool| asked.get(name).is_some_and(fits);
        if !has("max_tokens", Value::is_u64) || !has("messages", Value::is_array) || !has("model", Value::is_string) {
            return Ok(refusal(400, "invalid_request_error", "messages, model and max_tokens: Field required"));
        }
        Ok(match mood {
            VendorMood::Limited => {
                let mut response = refusal(429, "rate_limit_error", "organization limit marker");
                response.headers_mut().insert("retry-after", http::HeaderValue::from_static("7"));
                response
            }
            VendorMood::Overloaded => refusal(529, "overloaded_error", "Overloaded"),
            VendorMood::Faulty => refusal(500, "api_error", "Internal server error"),
            VendorMood::Picky => refusal(400, "invalid_request_error", "messages.0: what you sent is wrong"),
            VendorMood::Redirect => {
                let mut response = whole(307, String::new());
                let elsewhere = format!("{}/elsewhere", self.url());
                response.headers_mut().insert("location", elsewhere.parse().expect("an address"));
                response
            }
            VendorMood::Garbled => whole(200, "<html>not what was asked for</html>".to_owned()),
            VendorMood::Mute => std::future::pending().await,
            _ if has("stream", |value| *value == true) => self.events(mood, &asked),
            VendorMood::Huge => {
                let pieces = stream::repeat_with(|| Ok(Frame::data(Bytes::from(vec![b' '; 64 * 1024]))));
                respond(200, "application/json", pieces.boxed())
            }
            _ => {
                let content = json!([{ "type": "text", "text": VENDOR_WORDS }]);
                whole(200, message(&asked, &content, Some("end_turn"), 34).to_string())
            }
        })
    }

    fn events(self, mood: VendorMood, asked: &Value) -> Answer {
        let all = events(asked);
        let state = (self.clone(), 0_usize, Unfinished(Some(self)));
        let pieces = stream::unfold(state, move |(vendor, at, mut unfinished)| {
            let piece = match mood {
                VendorMood::Huge if at > 0 => Some(event(
                    "content_block_delta",
                    &json!({
                        "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": "x".repeat(16 * 1024) }
                    }),
                )),
                VendorMood::ErrorEvent if at == 3 => Some(event(
                    "error",
                    &json!({
                        "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" }
                    }),
                )),
                VendorMood::ErrorEvent if at > 3 => None,
                _ => all.get(at).cloned(),
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

/// What every answer is said to have used: 12 tokens in, 34 out.
fn usage(output_tokens: u64) -> Value {
    json!({
        "input_tokens": 12, "output_tokens": output_tokens, "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0, "cache_creation": { "ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0 },
        "service_tier": "standard",
    })
}

fn message(asked: &Value, content: &Value, stop_reason: Option<&str>, output_tokens: u64) -> Value {
    json!({
        "id": "msg_vendor", "type": "message", "role": "assistant", "model": asked.get("model"),
        "content": content, "stop_reason": stop_reason, "stop_sequence": null, "usage": usage(output_tokens),
    })
}

fn events(asked: &Value) -> Vec<Bytes> {
    let start = message(asked, &json!([]), None, 1);
    let mut all = vec![
        event("message_start", &json!({ "type": "message_start", "message": start })),
        event(
            "content_block_start",
            &json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        ),
        event("ping", &json!({ "type": "ping" })),
    ];
    all.extend(VENDOR_WORDS.split_inclusive(' ').map(|word| {
        event(
            "content_block_delta",
            &json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": word } }),
        )
    }));
    all.extend([
        event("content_block_stop", &json!({ "type": "content_block_stop", "index": 0 })),
        event("message_delta", &json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn", "stop_sequence": null }, "usage": { "output_tokens": 34 } })),
        event("message_stop", &json!({ "type": "message_stop" })),
    ]);
    all
}

fn event(name: &str, data: &Value) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

fn whole(status: u16, body: String) -> Answer {
    respond(status, "application/json", stream::iter([Ok(Frame::data(Bytes::from(body)))]).boxed())
}

fn respond(status: u16, kind: &'static str, body: Pieces) -> Answer {
    let mut response = Response::new(StreamBody::new(body));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    let headers = response.headers_mut();
    headers.insert("content-type", http::HeaderValue::from_static(kind));
    headers.insert("request-id", http::HeaderValue::from_static("req_1"));
    headers.insert("anthropic-organization-id", http::HeaderValue::from_static("organization-marker"));
    response
}
