//! Slack for tests: apps with two tokens, sockets, people who write, and a ledger.
//!
//! It knows the methods that OpenClaw's plugin was seen to call, and Socket Mode; Slack's own client libraries hold its
//! fidelity (`crates/server/tests/peers/slack.mjs`). What a person writes goes in with [`FakeSlack::write`], what the
//! bot says is read with [`FakeSlack::said`].

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{sync::watch, time::interval};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::{
    TlsIdentity,
    bots::{self, Call, Socket, Vendor},
};

/// The hosts that a bot of Slack's reaches; a certificate for them makes this one Slack.
pub const SLACK_HOSTS: [&str; 4] = ["slack.com", "wss-primary.slack.com", "wss-backup.slack.com", "files.slack.com"];

/// Slack asks so often whether a socket is still there.
const PING_EVERY: Duration = Duration::from_secs(10);

/// One call as it came.
#[derive(Debug, Clone)]
pub struct SlackCall {
    /// The token that it showed.
    pub token: String,
    /// The method, such as `chat.postMessage`.
    pub method: String,
    /// What it asked for.
    pub params: Value,
    /// Slack's word for why not.
    pub error: Option<&'static str>,
}

/// What the bot said, as it reads now: a message may be changed after it was said.
#[derive(Debug)]
struct Said {
    token: String,
    channel: String,
    at: String,
    text: String,
}

#[derive(Debug, Default)]
struct App {
    bot_token: String,
    /// What was handed out and not taken up: an envelope is sent again until it is acknowledged.
    waiting: Vec<Value>,
    /// How many of its sockets are open.
    sockets: usize,
}

#[derive(Debug, Default)]
struct State {
    /// By the app's token.
    apps: BTreeMap<String, App>,
    /// One for each socket that may be opened, once: whose it is.
    tickets: BTreeMap<String, String>,
    calls: Vec<SlackCall>,
    said: Vec<Said>,
    /// Of tickets, envelopes and messages; ids never come twice.
    last_id: u64,
}

/// A running Slack. Clones are the same one.
#[derive(Debug, Clone)]
pub struct FakeSlack {
    state: Arc<Mutex<State>>,
    /// Told of whatever a socket may wait for.
    news: watch::Sender<u64>,
    address: SocketAddr,
}

impl FakeSlack {
    /// Starts one at this address, in the clear, with a port of its own.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start(ip: &str) -> Self {
        let unset = SocketAddr::from(([127, 0, 0, 1], 0));
        let slack = Self { state: Arc::default(), news: watch::Sender::new(0), address: unset };
        let address = bots::plain(ip, slack.clone()).await;
        Self { address, ..slack }
    }

    /// The same one for who takes it for `slack.com` itself; where it is.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn also_under_tls(&self, ip: &str, identity: &TlsIdentity) -> SocketAddr {
        bots::under_tls(ip, identity.acceptor.clone(), self.clone()).await
    }

    /// Where its methods are, in the clear, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/api", self.address)
    }

    /// From now on there is an app with these tokens.
    pub fn add_app(&self, bot_token: &str, app_token: &str) {
        let app = App { bot_token: bot_token.to_owned(), ..App::default() };
        self.state().apps.insert(app_token.to_owned(), app);
    }

    /// The app is no more, as after it was removed from the workspace.
    pub fn remove_app(&self, app_token: &str) {
        self.state().apps.remove(app_token);
        self.tell();
    }

    /// Whether a socket of this app is open now.
    #[must_use]
    pub fn is_listened(&self, app_token: &str) -> bool {
        self.state().apps.get(app_token).is_some_and(|app| app.sockets > 0)
    }

    /// Every call so far, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<SlackCall> {
        self.state().calls.clone()
    }

    /// What a bot said to a person in a channel of two, oldest first.
    #[must_use]
    pub fn said(&self, bot_token: &str, person: &str) -> Vec<String> {
        let (state, channel) = (self.state(), channel_of(person));
        let to_them = state.said.iter().filter(|one| one.token == bot_token && one.channel == channel);
        to_them.map(|one| one.text.clone()).collect()
    }

    /// A person writes to the app's bot in a channel of two.
    ///
    /// # Panics
    /// When there is no such app.
    pub fn write(&self, app_token: &str, person: &str, text: &str) {
        {
            let mut state = self.state();
            let id = state.next_id();
            let at = time_of(id);
            let event = json!({
                "type": "message", "channel": channel_of(person), "channel_type": "im", "user": person, "team": "T1",
                "text": text, "ts": at, "event_ts": at, "client_msg_id": format!("message-{id}")
            });
            let payload = json!({
                "type": "event_callback", "team_id": "T1", "api_app_id": "A1", "event_id": format!("Ev{id}"),
                "event_time": seconds(), "authorizations": [{ "team_id": "T1", "user_id": "U0BOT", "is_bot": true }],
                "event": event
            });
            let envelope = json!({
                "type": "events_api", "envelope_id": format!("envelope-{id}"), "accepts_response_payload": false,
                "payload": payload
            });
            state.apps.get_mut(app_token).expect("the app was added").waiting.push(envelope);
        }
        self.tell();
    }

    /// One method, by the token that may call it.
    fn method(
        &self,
        token: &str,
        method: &str,
        params: &Value,
        sockets: Option<SocketAddr>,
    ) -> Result<Value, &'static str> {
        let mut state = self.state();
        let id = state.next_id();
        if method == "apps.connections.open" {
            if !state.apps.contains_key(token) {
                return Err(if token.starts_with("xapp-") { "invalid_auth" } else { "not_allowed_token_type" });
            }
            let ticket = format!("ticket-{id}");
            let root = sockets.map_or_else(|| format!("wss://{}", SLACK_HOSTS[1]), |at| format!("ws://{at}"));
            let url = format!("{root}/link/?ticket={ticket}&app_id=A1");
            state.tickets.insert(ticket, token.to_owned());
            return Ok(json!({ "url": url }));
        }
        if !state.apps.values().any(|app| app.bot_token == token) {
            return Err(if token.is_empty() { "not_authed" } else { "invalid_auth" });
        }
        let text = |name: &str| params.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (channel, at) = (text("channel"), text("ts"));
        match method {
            "auth.test" => Ok(json!({
                "url": "https://harbour.slack.com/", "team": "Harbour", "user": "scout", "team_id": "T1",
                "user_id": "U0BOT", "bot_id": "B1", "is_enterprise_install": false
            })),
            "users.info" => {
                let name = text("user").trim_start_matches("U0").to_lowercase();
                let profile = json!({ "display_name": name, "real_name": name });
                Ok(json!({ "user": { "id": text("user"), "team_id": "T1", "name": name, "profile": profile } }))
            }
            "conversations.open" => Ok(json!({ "channel": { "id": channel_of(&text("users")) } })),
            "conversations.info" => {
                let person = channel.replacen('D', "U", 1);
                Ok(json!({ "channel": { "id": channel, "is_im": true, "user": person } }))
            }
            "chat.postMessage" if channel.is_empty() => Err("channel_not_found"),
            "chat.postMessage" if text("text").is_empty() && params.get("blocks").is_none() => Err("no_text"),
            "chat.postMessage" | "chat.startStream" => {
                let at = time_of(id);
                let words = if method == "chat.postMessage" { text("text") } else { text("markdown_text") };
                // A person may be named in the place of the channel of two with them.
                let channel = if channel.starts_with('U') { channel_of(&channel) } else { channel };
                let said =
                    Said { token: token.to_owned(), channel: channel.clone(), at: at.clone(), text: words.clone() };
                state.said.push(said);
                Ok(json!({ "channel": channel, "ts": at, "message": { "type": "message", "text": words, "ts": at } }))
            }
            "chat.update" | "chat.appendStream" | "chat.stopStream" => {
                let said = state.said.iter_mut().find(|one| one.channel == channel && one.at == at);
                let said = said.ok_or("message_not_found")?;
                if method == "chat.update" {
                    said.text = text("text");
                } else {
                    said.text.push_str(&text("markdown_text"));
                }
                Ok(json!({ "channel": channel, "ts": at, "text": said.text }))
            }
            "reactions.add" | "reactions.remove" | "assistant.threads.setStatus" => Ok(json!({})),
            _ => Err("unknown_method"),
        }
    }

    /// What a socket of this app is still to be sent.
    fn waiting(&self, app_token: &str) -> Option<Vec<Value>> {
        self.state().apps.get(app_token).map(|app| app.waiting.clone())
    }

    fn opened(&self, app_token: &str, more: bool) {
        if let Some(app) = self.state().apps.get_mut(app_token) {
            app.sockets = if more { app.sockets + 1 } else { app.sockets.saturating_sub(1) };
        }
        self.tell();
    }

    fn acknowledged(&self, app_token: &str, told: &str) {
        let told: Value = serde_json::from_str(told).unwrap_or_default();
        if let Some(app) = self.state().apps.get_mut(app_token) {
            app.waiting.retain(|envelope| envelope.get("envelope_id") != told.get("envelope_id"));
        }
    }

    /// Sends what waits, once to each socket, and hears what was taken up.
    async fn converse(&self, app_token: &str, socket: &mut Socket) -> Option<()> {
        let hello = json!({
            "type": "hello", "num_connections": 1, "connection_info": { "app_id": "A1" },
            "debug_info": { "host": "applink-1", "build_number": 1, "approximate_connection_time": 18_060 }
        });
        socket.send(Message::text(hello.to_string())).await.ok()?;
        let (mut news, mut ping) = (self.news.subscribe(), interval(PING_EVERY));
        let mut sent: Vec<Value> = Vec::new();
        loop {
            for envelope in self.waiting(app_token)? {
                if !sent.contains(&envelope) {
                    socket.send(Message::text(envelope.to_string())).await.ok()?;
                    sent.push(envelope);
                }
            }
            tokio::select! {
                told = socket.next() => match told?.ok()? {
                    Message::Text(told) => self.acknowledged(app_token, &told),
                    Message::Close(_) => return None,
                    _ => {}
                },
                changed = news.changed() => changed.ok()?,
                _ = ping.tick() => socket.send(Message::Ping(Bytes::from_static(b"Ping from Slack"))).await.ok()?,
            }
        }
    }

    fn tell(&self) {
        self.news.send_modify(|count| *count += 1);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vendor for FakeSlack {
    /// Slack answers 200 to what it refuses and says why in a word.
    fn answer(&self, call: Call, sockets: Option<SocketAddr>) -> (u16, Value) {
        let Some(method) = call.path.strip_prefix("/api/") else { return (404, Value::Null) };
        let shown = call.params.get("token").and_then(Value::as_str).unwrap_or_default();
        let token = call.authorization.strip_prefix("Bearer ").unwrap_or(shown);
        let answer = self.method(token, method, &call.params, sockets);
        let error = answer.as_ref().err().copied();
        let told = SlackCall { token: token.to_owned(), method: method.to_owned(), params: call.params.clone(), error };
        self.state().calls.push(told);
        match answer {
            Ok(Value::Object(mut said)) => {
                said.insert("ok".to_owned(), Value::Bool(true));
                (200, Value::Object(said))
            }
            Ok(_) => (200, json!({ "ok": true })),
            Err(word) => (200, json!({ "ok": false, "error": word })),
        }
    }

    async fn hold(&self, target: &str, mut socket: Socket) {
        let pairs = url::form_urlencoded::parse(target.split_once('?').map_or("", |(_, query)| query).as_bytes());
        let ticket = pairs.into_owned().find_map(|(name, value)| (name == "ticket").then_some(value));
        let whose = ticket.and_then(|ticket| self.state().tickets.remove(&ticket));
        if let Some(app_token) = whose {
            self.opened(&app_token, true);
            self.converse(&app_token, &mut socket).await;
            self.opened(&app_token, false);
        }
        socket.close(None).await.ok();
    }
}

impl State {
    const fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

/// The channel of two with a person: `U0EVE` writes in `D0EVE`.
fn channel_of(person: &str) -> String {
    person.replacen('U', "D", 1)
}

/// Slack names a message by its time. OpenClaw does not hear what is old.
fn time_of(id: u64) -> String {
    format!("{}.{id:06}", seconds())
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
