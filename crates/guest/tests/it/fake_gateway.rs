//! A gateway that speaks as OpenClaw 2026.9.6 was seen to: it keeps its file, reads secrets only when its
//! configuration changes, masks what it reports, is slow to refuse a wrong token, and never answers a
//! configuration that is there already. On its websocket it speaks of pairing.

use std::{
    convert::Infallible,
    fs,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use guest::paths::Paths;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};

const MASK: &str = "__OPENCLAW_REDACTED__";

/// Where the gateway shall stand still, so that a test can kill the guest there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    AtGet,
    BeforeWriting,
    AfterWriting,
}

#[derive(Default)]
pub struct Inner {
    paths: Option<Paths>,
    root: PathBuf,
    starts_seen: usize,
    token: String,
    model_key: String,
    running: Value,
    pub applies: usize,
    pub hold: Option<Hold>,
    pub turns: Vec<Value>,
    pub events: Vec<(String, Value)>,
    /// What `/readyz` says fails.
    pub failing: Vec<&'static str>,
    /// Who waits to be let in, as the gateway tells it.
    pub waiting: Vec<Value>,
    /// What was asked for whoever was let in.
    pub let_in: Vec<Value>,
}

#[derive(Clone, Default)]
pub struct FakeGateway {
    inner: Arc<Mutex<Inner>>,
    /// Told when the gateway stands still.
    pub held: Arc<Notify>,
}

impl FakeGateway {
    /// Listens on a free port; `place` names the world once it is known.
    pub fn listen(&self) -> SocketAddr {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let gateway = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let gateway = gateway.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let gateway = gateway.clone();
                        async move { Ok::<_, Infallible>(gateway.answer(request).await) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .with_upgrades()
                        .await;
                });
            }
        });
        address
    }

    pub fn place(&self, root: PathBuf, paths: Paths) {
        let mut inner = self.inner();
        (inner.root, inner.paths) = (root, Some(paths));
    }

    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// What runs: the document's model, the token and the model's key.
    pub fn runs(&self) -> (String, String, String) {
        let inner = self.inner();
        let model = inner.running.pointer("/agents/defaults/model/primary").and_then(Value::as_str).unwrap_or("");
        (model.to_owned(), inner.token.clone(), inner.model_key.clone())
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        if request.headers().contains_key("sec-websocket-key") && self.inner().up() {
            return self.socket(request);
        }
        let bearer = request.headers().get("authorization").and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
        let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        if path == "/api/internal/machine/events" {
            self.inner().events.push((bearer, body));
            return respond(StatusCode::NO_CONTENT, &Value::Null);
        }
        let up = self.inner().up();
        if !up {
            return respond(StatusCode::SERVICE_UNAVAILABLE, &json!({ "ready": false }));
        }
        let failing = self.inner().failing.clone();
        if path == "/readyz" && !failing.is_empty() {
            return respond(StatusCode::SERVICE_UNAVAILABLE, &json!({ "ready": false, "failing": failing }));
        }
        if path == "/readyz" {
            return respond(StatusCode::OK, &json!({ "ready": true }));
        }
        if bearer != format!("Bearer {}", self.inner().token) {
            tokio::time::sleep(Duration::from_millis(900)).await;
            return respond(StatusCode::UNAUTHORIZED, &json!({ "error": { "message": "Unauthorized" } }));
        }
        match (path.as_str(), body["method"].as_str()) {
            ("/v1/chat/completions", _) => self.turn(body).await,
            (_, Some("config.get")) => {
                self.stand_still(Hold::AtGet).await;
                let report = self.inner().report();
                respond(StatusCode::OK, &json!({ "ok": true, "payload": report }))
            }
            (_, Some("config.apply")) => self.apply(&body["params"]).await,
            (_, Some("gateway.suspend.prepare")) => {
                respond(StatusCode::OK, &json!({ "ok": true, "payload": { "status": "ready" } }))
            }
            _ => respond(StatusCode::BAD_REQUEST, &json!({ "ok": false, "error": { "message": "not supported" } })),
        }
    }

    /// Takes a websocket, as a gateway that runs does.
    fn socket(&self, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
        let key = request.headers()["sec-websocket-key"].as_bytes().to_owned();
        let gateway = self.clone();
        tokio::spawn(async move {
            let upgraded = TokioIo::new(hyper::upgrade::on(&mut request).await.unwrap());
            let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, None).await;
            let challenge =
                json!({ "type": "event", "event": "connect.challenge", "payload": { "nonce": "n", "ts": 1 } });
            socket.send(Message::text(challenge.to_string())).await.unwrap();
            let mut scopes = Value::Null;
            while let Some(Ok(Message::Text(text))) = socket.next().await {
                let asked: Value = serde_json::from_str(text.as_str()).unwrap();
                let answer = gateway.asked(&asked, &mut scopes);
                let health = json!({ "type": "event", "event": "health", "payload": {} });
                for frame in [health, answer] {
                    let _ = socket.send(Message::text(frame.to_string())).await;
                }
            }
        });
        Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-accept", derive_accept_key(&key))
            .body(Full::default())
            .unwrap()
    }

    fn asked(&self, asked: &Value, scopes: &mut Value) -> Value {
        let (method, params) = (asked["method"].as_str().unwrap_or_default(), &asked["params"]);
        let refuse = |code: &str, message: &str| json!({ "type": "res", "id": asked["id"], "ok": false, "error": { "code": code, "message": message } });
        let mut inner = self.inner();
        let payload = match method {
            "connect" => {
                let client = (&params["client"]["id"], &params["client"]["mode"]);
                if params["auth"]["token"] != inner.token || client != (&json!("gateway-client"), &json!("backend")) {
                    return refuse("INVALID_REQUEST", "unauthorized");
                }
                *scopes = params["scopes"].clone();
                json!({ "type": "hello-ok", "protocol": 4 })
            }
            _ if *scopes != json!(["operator.pairing"]) => return refuse("INVALID_REQUEST", "missing scope"),
            "channels.pairing.list" => json!({ "accounts": [], "requests": inner.waiting }),
            "channels.pairing.approve" => {
                let known = inner.waiting.iter().position(|waits| waits["requestId"] == params["requestId"]);
                let Some(place) = known else {
                    return refuse("INVALID_REQUEST", "pending DM access request no longer exists");
                };
                inner.waiting.remove(place);
                inner.let_in.push(params.clone());
                json!({ "requestId": params["requestId"], "notification": "sent" })
            }
            _ => return refuse("INVALID_REQUEST", "unknown method"),
        };
        json!({ "type": "res", "id": asked["id"], "ok": true, "payload": payload })
    }

    async fn turn(&self, body: Value) -> Response<Full<Bytes>> {
        let text = body["messages"][0]["content"].as_str().unwrap_or_default().to_owned();
        self.inner().turns.push(body);
        if text == "slow" {
            tokio::time::sleep(Duration::from_secs(4)).await;
        }
        if text == "fail" {
            let error = json!({ "error": { "message": "internal error with key sk-abcdefgh12345678" } });
            return respond(StatusCode::INTERNAL_SERVER_ERROR, &error);
        }
        let said = if text == "endless" { "x".repeat(600 * 1024) } else { format!("you said {text}") };
        respond(StatusCode::OK, &json!({ "choices": [{ "message": { "role": "assistant", "content": said } }] }))
    }

    async fn apply(&self, params: &Value) -> Response<Full<Bytes>> {
        self.stand_still(Hold::BeforeWriting).await;
        let refuse = |message: &str| {
            let error = json!({ "ok": false, "error": { "code": "INVALID_REQUEST", "message": message } });
            respond(StatusCode::BAD_REQUEST, &error)
        };
        let mut wanted: Value = serde_json::from_str(params["raw"].as_str().unwrap()).unwrap();
        if wanted.get("nonsense").is_some() {
            return refuse("invalid config: <root>: Unrecognized key: \"nonsense\"");
        }
        let same = {
            let inner = self.inner();
            if params["baseHash"] != inner.report()["hash"] {
                return refuse("config changed since last load; re-run config.get and retry");
            }
            wanted["meta"] = json!({ "lastTouchedVersion": "2026.9.6" });
            wanted == inner.file()
        };
        if same {
            tokio::time::sleep(Duration::from_mins(1)).await;
        }
        self.inner().write(&wanted);
        self.stand_still(Hold::AfterWriting).await;
        respond(StatusCode::OK, &json!({ "ok": true, "payload": { "ok": true } }))
    }

    async fn stand_still(&self, here: Hold) {
        let held = self.inner().hold == Some(here);
        if held {
            self.inner().hold = None;
            self.held.notify_one();
            tokio::time::sleep(Duration::from_mins(1)).await;
        }
    }
}

impl Inner {
    fn paths(&self) -> &Paths {
        self.paths.as_ref().unwrap()
    }

    /// As systemd would: a fresh start runs `unseal` first, and reads everything anew.
    fn up(&mut self) -> bool {
        let unit = fs::read_to_string(self.root.join("unit")).unwrap_or_default();
        let starts = fs::read_to_string(self.root.join("starts")).unwrap_or_default().lines().count();
        if unit.trim() == "active" && starts != self.starts_seen {
            self.starts_seen = starts;
            guest::unseal::unseal(self.paths()).unwrap();
            self.load();
        }
        unit.trim() == "active"
    }

    fn file_path(&self) -> PathBuf {
        self.paths().agent_home.join(".openclaw/openclaw.json")
    }

    fn file(&self) -> Value {
        serde_json::from_slice(&fs::read(self.file_path()).unwrap_or_default()).unwrap_or_default()
    }

    /// Reads secrets and file anew, as after a change from elsewhere.
    pub fn reload(&mut self) {
        self.load();
    }

    fn load(&mut self) {
        let secret = |name: &str| fs::read_to_string(self.paths().secrets.join(name)).unwrap_or_default();
        (self.token, self.model_key, self.running) = (secret("gateway_token"), secret("model_key"), self.file());
    }

    fn write(&mut self, wanted: &Value) {
        self.applies += 1;
        fs::write(self.file_path(), wanted.to_string()).unwrap();
        fs::set_permissions(self.file_path(), fs::Permissions::from_mode(0o600)).unwrap();
        self.load();
    }

    fn report(&self) -> Value {
        let file = self.file();
        let mut masked = file.clone();
        for pointer in ["/gateway/auth/token/id", "/models/providers/berth/apiKey/id"] {
            if let Some(value) = masked.pointer_mut(pointer) {
                *value = json!(MASK);
            }
        }
        if let Some(Value::Object(providers)) = masked.pointer_mut("/secrets/providers") {
            for provider in providers.values_mut().filter_map(Value::as_object_mut) {
                provider.values_mut().for_each(|value| *value = json!(MASK));
            }
        }
        let hash = |value: &Value| vault::digest(value.to_string().as_bytes()).to_string();
        json!({
            "hash": hash(&file), "parsed": masked, "valid": true,
            "configRevisionHash": hash(&file), "appliedConfigHash": hash(&self.running)
        })
    }
}

fn respond(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::new(Bytes::from(body.to_string()))).unwrap()
}
