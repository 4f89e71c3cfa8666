//! Discord for tests: bots, a gateway that hands out what people write, and a ledger.
//!
//! It knows the calls that OpenClaw's plugin was seen to make, and the gateway of version 10 without resuming; discord.js,
//! which others wrote for the real one, holds its fidelity (`crates/server/tests/peers/discord.mjs`). What a person
//! writes goes in with [`FakeDiscord::write`], what the bot says is read with [`FakeDiscord::said`].

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use crate::{
    TlsIdentity,
    bots::{self, Call, Socket, Vendor},
};

/// The hosts that a bot of Discord's reaches; a certificate for them makes this one Discord.
pub const DISCORD_HOSTS: [&str; 4] =
    ["discord.com", "gateway.discord.gg", "cdn.discordapp.com", "media.discordapp.net"];

/// The one bot's application and user.
const BOT: &str = "900000000000000001";
/// What a person must have switched on in Discord's portal for a bot to read what is written: bit 18, and in calls 15.
const MESSAGE_CONTENT: (u64, u64) = (1 << 18, 1 << 15);
/// Discord's codes for why a gateway ends.
const NOT_AUTHENTICATED: (u16, &str) = (4004, "Authentication failed.");
const NOT_ALLOWED: (u16, &str) = (4014, "Disallowed intent(s).");

/// One call as it came.
#[derive(Debug, Clone)]
pub struct DiscordCall {
    /// The token that it showed.
    pub token: String,
    /// Method and path, such as `GET /gateway/bot`.
    pub asked: String,
    /// What it asked for.
    pub params: Value,
    /// The status that it was answered with.
    pub status: u16,
}

/// What the bot said, as it reads now: a message may be changed after it was said.
#[derive(Debug)]
struct Said {
    token: String,
    channel: String,
    id: String,
    text: String,
}

#[derive(Debug, Default)]
struct Bot {
    /// What was written while nobody listened, or has not been handed out.
    waiting: Vec<Value>,
    /// How many gateways it is on.
    gateways: usize,
    /// Whether its owner let it read what is written.
    may_read: bool,
}

#[derive(Debug, Default)]
struct State {
    bots: BTreeMap<String, Bot>,
    calls: Vec<DiscordCall>,
    said: Vec<Said>,
    last_id: u64,
}

/// A running Discord. Clones are the same one.
#[derive(Debug, Clone)]
pub struct FakeDiscord {
    state: Arc<Mutex<State>>,
    news: watch::Sender<u64>,
    address: SocketAddr,
}

impl FakeDiscord {
    /// Starts one at this address, in the clear, with a port of its own.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start(ip: &str) -> Self {
        let unset = SocketAddr::from(([127, 0, 0, 1], 0));
        let discord = Self { state: Arc::default(), news: watch::Sender::new(0), address: unset };
        let address = bots::plain(ip, discord.clone()).await;
        Self { address, ..discord }
    }

    /// The same one for who takes it for `discord.com` itself; where it is.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn also_under_tls(&self, ip: &str, identity: &TlsIdentity) -> SocketAddr {
        bots::under_tls(ip, identity.acceptor.clone(), self.clone()).await
    }

    /// Where its API is, in the clear, without version and without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/api", self.address)
    }

    /// From now on a bot with this token exists, and may read what is written.
    pub fn add_bot(&self, token: &str) {
        self.state().bots.insert(token.to_owned(), Bot { may_read: true, ..Bot::default() });
    }

    /// The token is no more, as after a reset in Discord's portal.
    pub fn revoke(&self, token: &str) {
        self.state().bots.remove(token);
        self.tell();
    }

    /// As a bot is when it was made: without the intent to read what is written.
    pub fn forbid_reading(&self, token: &str) {
        if let Some(bot) = self.state().bots.get_mut(token) {
            bot.may_read = false;
        }
    }

    /// Whether this bot is on a gateway now, with this token.
    #[must_use]
    pub fn is_listened(&self, token: &str) -> bool {
        self.state().bots.get(token).is_some_and(|bot| bot.gateways > 0)
    }

    /// Every call so far, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<DiscordCall> {
        self.state().calls.clone()
    }

    /// What a bot said to a person in a channel of two, oldest first.
    #[must_use]
    pub fn said(&self, token: &str, person: u64) -> Vec<String> {
        let (state, channel) = (self.state(), channel_of(&person.to_string()));
        let to_them = state.said.iter().filter(|one| one.token == token && one.channel == channel);
        to_them.map(|one| one.text.clone()).collect()
    }

    /// A person writes to a bot in a channel of two.
    ///
    /// # Panics
    /// When there is no such bot.
    pub fn write(&self, token: &str, person: u64, name: &str, text: &str) {
        {
            let mut state = self.state();
            let id = state.next_id();
            let person = person.to_string();
            let message = json!({
                "author": { "id": person, "username": name.to_lowercase(), "discriminator": "0", "global_name": name, "avatar": null },
                "channel_id": channel_of(&person), "channel_type": 1, "content": text, "id": id
            });
            let message = with_the_rest(message);
            state.bots.get_mut(token).expect("the bot was added").waiting.push(message);
        }
        self.tell();
    }

    /// One call; where there is no such thing, nothing.
    fn call(&self, token: &str, call: &Call, sockets: Option<SocketAddr>) -> Option<(u16, Value)> {
        let mut state = self.state();
        let id = state.next_id();
        let path = call.path.trim_start_matches("/api").trim_start_matches("/v10");
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let text = |name: &str| call.params.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let gateway = sockets.map_or_else(|| format!("wss://{}", DISCORD_HOSTS[1]), |at| format!("ws://{at}"));
        let flags = state.bots.get(token).filter(|bot| bot.may_read).map_or(0, |_| MESSAGE_CONTENT.0);
        let said = match (call.method.as_str(), parts.as_slice()) {
            ("GET", ["gateway", "bot"]) => json!({
                "url": gateway, "shards": 1,
                "session_start_limit": { "total": 1000, "remaining": 999, "reset_after": 14_400_000, "max_concurrency": 1 }
            }),
            ("GET", ["users", "@me"]) => me(),
            ("GET", ["applications", "@me"] | ["oauth2", "applications", "@me"]) => json!({
                "id": BOT, "name": "scout", "description": "", "flags": flags, "bot_public": true,
                "bot_require_code_grant": false, "verify_key": "none", "icon": null
            }),
            ("GET" | "PUT", ["applications", _, "commands"]) => json!([]),
            ("POST", ["applications", application, "commands"]) => {
                let mut command = call.params.clone();
                let more = json!({ "id": id, "application_id": application, "version": id });
                if let (Value::Object(command), Value::Object(more)) = (&mut command, more) {
                    command.extend(more);
                }
                command
            }
            ("POST", ["users", "@me", "channels"]) => channel(&channel_of(&text("recipient_id"))),
            ("GET", ["channels", id]) => channel(id),
            ("POST", ["channels", _, "typing"]) => return Some((204, Value::Null)),
            ("POST", ["channels", _, "messages"]) if text("content").is_empty() => {
                return Some((400, json!({ "message": "Cannot send an empty message", "code": 50006 })));
            }
            ("POST", ["channels", channel, "messages"]) => {
                let (channel, text) = ((*channel).to_owned(), text("content"));
                let message = json!({ "author": me(), "channel_id": channel, "content": text, "id": id });
                state.said.push(Said { token: token.to_owned(), channel, id, text });
                with_the_rest(message)
            }
            ("PATCH", ["channels", channel, "messages", message]) => {
                let said = state.said.iter_mut().find(|one| one.channel == *channel && one.id == *message)?;
                said.text = text("content");
                let message = json!({ "author": me(), "channel_id": channel, "content": said.text, "id": message });
                with_the_rest(message)
            }
            ("DELETE", ["channels", channel, "messages", message]) => {
                state.said.retain(|one| one.channel != *channel || one.id != *message);
                return Some((204, Value::Null));
            }
            _ => return None,
        };
        Some((200, said))
    }

    /// One gateway, from its greeting to its end; why it ends, where Discord says so.
    async fn converse(&self, socket: &mut Socket) -> Option<(u16, &'static str)> {
        send(socket, &json!({ "op": 10, "d": { "heartbeat_interval": 41_250 } })).await?;
        let (mut token, mut sequence) = (None::<String>, 0_u64);
        let mut news = self.news.subscribe();
        let ended = loop {
            if let Some(token) = &token {
                let Some(waiting) = self.state().bots.get_mut(token).map(|bot| std::mem::take(&mut bot.waiting)) else {
                    break Some(NOT_AUTHENTICATED);
                };
                for message in waiting {
                    sequence += 1;
                    let told = json!({ "op": 0, "t": "MESSAGE_CREATE", "s": sequence, "d": message });
                    if send(socket, &told).await.is_none() {
                        break;
                    }
                }
            }
            let told = tokio::select! {
                told = socket.next() => told,
                _ = news.changed() => continue,
            };
            let told = match told {
                Some(Ok(Message::Text(told))) => serde_json::from_str::<Value>(&told).unwrap_or_default(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                _ => break None,
            };
            match told.get("op").and_then(Value::as_u64) {
                Some(1) => drop(send(socket, &json!({ "op": 11 })).await),
                Some(2) if token.is_none() => match self.identified(&told) {
                    Ok(shown) => {
                        sequence += 1;
                        token = Some(shown);
                        send(socket, &json!({ "op": 0, "t": "READY", "s": sequence, "d": self.ready() })).await;
                    }
                    Err(why) => break Some(why),
                },
                // Nothing is resumed here: it has to identify anew.
                Some(6) => drop(send(socket, &json!({ "op": 9, "d": false })).await),
                _ => {}
            }
        };
        if let Some(bot) = self.state().bots.get_mut(&token.unwrap_or_default()) {
            bot.gateways -= 1;
        }
        ended
    }

    /// Reads who identifies, and whether they may hear what they want to.
    fn identified(&self, told: &Value) -> Result<String, (u16, &'static str)> {
        let token = told.pointer("/d/token").and_then(Value::as_str).unwrap_or_default();
        let intents = told.pointer("/d/intents").and_then(Value::as_u64).unwrap_or_default();
        let token = token.trim_start_matches("Bot ");
        let mut state = self.state();
        let bot = state.bots.get_mut(token).ok_or(NOT_AUTHENTICATED)?;
        if intents & MESSAGE_CONTENT.1 != 0 && !bot.may_read {
            return Err(NOT_ALLOWED);
        }
        bot.gateways += 1;
        Ok(token.to_owned())
    }

    fn ready(&self) -> Value {
        let resume = format!("ws://{}", self.address);
        json!({
            "v": 10, "user": me(), "guilds": [], "session_id": "session-1", "resume_gateway_url": resume,
            "application": { "id": BOT, "flags": MESSAGE_CONTENT.0 }
        })
    }

    fn tell(&self) {
        self.news.send_modify(|count| *count += 1);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vendor for FakeDiscord {
    fn answer(&self, call: Call, sockets: Option<SocketAddr>) -> (u16, Value) {
        let token = call.authorization.trim_start_matches("Bot ").to_owned();
        let is_known = self.state().bots.contains_key(&token);
        let (status, said) = if is_known {
            let nothing = || (404, json!({ "message": "404: Not Found", "code": 0 }));
            self.call(&token, &call, sockets).unwrap_or_else(nothing)
        } else {
            (401, json!({ "message": "401: Unauthorized", "code": 0 }))
        };
        let asked = format!("{} {}", call.method, call.path.trim_start_matches("/api/v10"));
        self.state().calls.push(DiscordCall { token, asked, params: call.params, status });
        (status, said)
    }

    async fn hold(&self, _target: &str, mut socket: Socket) {
        let why = self.converse(&mut socket).await;
        let frame = why.map(|(code, reason)| CloseFrame { code: CloseCode::from(code), reason: reason.into() });
        socket.close(frame).await.ok();
    }
}

impl State {
    fn next_id(&mut self) -> String {
        self.last_id += 1;
        // Ids are numbers of many digits in text.
        (930_000_000_000_000_000 + self.last_id).to_string()
    }
}

async fn send(socket: &mut Socket, told: &Value) -> Option<()> {
    socket.send(Message::text(told.to_string())).await.ok()
}

fn me() -> Value {
    json!({ "id": BOT, "username": "scout", "discriminator": "0000", "bot": true, "flags": 0, "avatar": null, "global_name": null })
}

/// The channel of two with a person.
fn channel_of(person: &str) -> String {
    format!("94{person}")
}

fn channel(id: &str) -> Value {
    let person = id.trim_start_matches("94");
    json!({
        "id": id, "type": 1, "last_message_id": null, "flags": 0,
        "recipients": [{ "id": person, "username": "somebody", "discriminator": "0", "avatar": null, "global_name": null }]
    })
}

/// A message has all of this, whoever wrote it.
fn with_the_rest(mut message: Value) -> Value {
    // OpenClaw passes over what was written long ago.
    let now = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now());
    let rest = json!({
        "type": 0, "timestamp": now.to_rfc3339(), "edited_timestamp": null, "tts": false,
        "mention_everyone": false, "mentions": [], "mention_roles": [], "attachments": [], "embeds": [], "components": [],
        "pinned": false, "flags": 0
    });
    if let (Value::Object(message), Value::Object(rest)) = (&mut message, rest) {
        message.extend(rest);
    }
    message
}
