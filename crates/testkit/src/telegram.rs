//! Telegram's Bot API for tests: an HTTP server with bots, chats and a ledger, that can be told to fail.
//!
//! It knows the methods that OpenClaw 2026.9.6 was seen to call and those that grammY, an npm package that others wrote
//! for the real one, needs to run a bot; grammY holds its fidelity (`crates/server/tests/peers/telegram.mjs`).
//! What a person writes goes in with [`FakeBotApi::write`], what the bot says is read with [`FakeBotApi::said`].

mod wire;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, time::timeout};

/// Longest that a poll is held, whatever is asked for.
const POLL_MAX: Duration = Duration::from_secs(50);

/// What it does with the calls that come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BotMood {
    /// Answers.
    Well,
    /// Too many calls: 429, come back in 1 s.
    Limited,
    /// 500.
    Faulty,
    /// Takes the call and never answers.
    Mute,
}

/// One call as it came.
#[derive(Debug, Clone)]
pub struct BotCall {
    /// The token that it showed.
    pub token: String,
    /// The method, as the caller wrote it.
    pub method: String,
    /// What it asked for.
    pub params: Value,
    /// The status that it was answered with; 0 while it is held.
    pub status: u16,
}

/// One bot, by its token.
#[derive(Debug, Default)]
struct Bot {
    updates: Vec<Value>,
    webhook: String,
    commands: Value,
    /// Counts polls, so that a newer one ends an older one.
    polls: u64,
}

#[derive(Debug)]
struct State {
    mood: BotMood,
    bots: BTreeMap<String, Bot>,
    calls: Vec<BotCall>,
    /// Of updates and of messages; ids never come twice.
    last_id: i64,
}

/// A running Bot API. Clones are the same one.
#[derive(Debug, Clone)]
pub struct FakeBotApi {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    /// Told of whatever a poll may wait for.
    news: watch::Sender<u64>,
}

/// An answer: a result, or a status with Telegram's words for it.
type Answer = Result<Value, (u16, &'static str)>;

const UNAUTHORIZED: (u16, &str) = (401, "Unauthorized");
const ANOTHER_POLL: (u16, &str) =
    (409, "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running");
const WEBHOOK_SET: (u16, &str) = (
    409,
    "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first",
);

impl FakeBotApi {
    /// Starts one at this address, with a port of its own.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start(ip: &str) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = State { mood: BotMood::Well, bots: BTreeMap::new(), calls: Vec::new(), last_id: 1000 };
        let api = Self { state: Arc::new(Mutex::new(state)), address, news: watch::Sender::new(0) };
        tokio::spawn(wire::serve(listener, api.clone()));
        api
    }

    /// The same one at another address too, for who may not reach it at the first; its root there.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn also_at(&self, ip: &str) -> String {
        let listener = TcpListener::bind((ip, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(wire::serve(listener, self.clone()));
        format!("http://{address}")
    }

    /// Its root, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on a bot with this token exists.
    pub fn add_bot(&self, token: &str) {
        self.state().bots.insert(token.to_owned(), Bot { commands: json!([]), ..Bot::default() });
    }

    /// The token is no more, as after a revocation at Telegram.
    pub fn revoke(&self, token: &str) {
        self.state().bots.remove(token);
        self.tell();
    }

    /// From now on calls are answered like this.
    pub fn set_mood(&self, mood: BotMood) {
        self.state().mood = mood;
    }

    /// Every call so far, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<BotCall> {
        self.state().calls.clone()
    }

    /// How many calls of a method a token made so far.
    #[must_use]
    pub fn count(&self, token: &str, method: &str) -> usize {
        self.state().calls.iter().filter(|call| call.token == token && call.method == method).count()
    }

    /// Whether a poll of this bot is being held now.
    #[must_use]
    pub fn is_polled(&self, token: &str) -> bool {
        let held = |call: &&BotCall| call.token == token && call.method == "getUpdates" && call.status == 0;
        self.state().calls.iter().any(|call| held(&call))
    }

    /// What a bot said to a chat, oldest first.
    #[must_use]
    pub fn said(&self, token: &str, chat: i64) -> Vec<String> {
        let state = self.state();
        let to_chat = |call: &&BotCall| {
            let id = call.params.get("chat_id");
            let id = id.and_then(|id| id.as_i64().or_else(|| id.as_str()?.parse().ok()));
            call.token == token && call.method == "sendMessage" && call.status == 200 && id == Some(chat)
        };
        let words = |call: &BotCall| call.params.get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
        state.calls.iter().filter(to_chat).map(words).collect()
    }

    /// A person writes to a bot in a chat of two. The person's id is the chat's.
    ///
    /// # Panics
    /// When there is no such bot.
    pub fn write(&self, token: &str, person: i64, name: &str, text: &str) {
        {
            let mut state = self.state();
            state.last_id += 1;
            let id = state.last_id;
            let handle = name.to_lowercase().replace(' ', "_");
            // Telegram says itself which words are a command.
            let command = text.split_whitespace().next().filter(|word| word.starts_with('/'));
            let entities = command.map(|word| json!([{ "type": "bot_command", "offset": 0, "length": word.len() }]));
            let mut message = json!({
                "message_id": id, "date": 1_795_300_000_i64 + id, "text": text,
                "chat": { "id": person, "type": "private", "first_name": name, "username": handle },
                "from": { "id": person, "is_bot": false, "first_name": name, "username": handle, "language_code": "en" }
            });
            if let (Value::Object(message), Some(entities)) = (&mut message, entities) {
                message.insert("entities".to_owned(), entities);
            }
            let bot = state.bots.get_mut(token).expect("the bot was added");
            bot.updates.push(json!({ "update_id": id, "message": message }));
        }
        self.tell();
    }

    /// One call, written down before it is answered.
    async fn call(&self, token: String, method: String, params: Value) -> Answer {
        let (place, mood) = {
            let mut state = self.state();
            state.calls.push(BotCall {
                token: token.clone(),
                method: method.clone(),
                params: params.clone(),
                status: 0,
            });
            (state.calls.len() - 1, state.mood)
        };
        let held = Held { api: self.clone(), place, status: 499 };
        let answer = match mood {
            BotMood::Well if method.eq_ignore_ascii_case("getUpdates") => self.poll(&token, &params).await,
            BotMood::Well => self.answer(&token, &method, &params),
            BotMood::Limited => Err((429, "Too Many Requests: retry after 1")),
            BotMood::Faulty => Err((500, "Internal Server Error")),
            BotMood::Mute => std::future::pending().await,
        };
        held.end(answer.as_ref().map_or_else(|(status, _)| *status, |_| 200));
        answer
    }

    fn answer(&self, token: &str, method: &str, params: &Value) -> Answer {
        let mut state = self.state();
        state.last_id += 1;
        let id = state.last_id;
        let bot = state.bots.get_mut(token).ok_or(UNAUTHORIZED)?;
        let text = |key: &str| params.get(key).and_then(Value::as_str).unwrap_or_default();
        // As the real one, it does not look at the case of a method.
        match method.to_ascii_lowercase().as_str() {
            "getme" => Ok(json!({
                "id": token.split(':').next().and_then(|id| id.parse::<i64>().ok()), "is_bot": true,
                "first_name": "Berth's test", "username": "berth_test_bot", "can_join_groups": true,
                "can_read_all_group_messages": false, "supports_inline_queries": false
            })),
            "setwebhook" => {
                text("url").clone_into(&mut bot.webhook);
                Ok(Value::Bool(true))
            }
            "deletewebhook" => {
                bot.webhook.clear();
                if params.get("drop_pending_updates") == Some(&Value::Bool(true)) {
                    bot.updates.clear();
                }
                Ok(Value::Bool(true))
            }
            "getwebhookinfo" => Ok(json!({
                "url": bot.webhook, "has_custom_certificate": false, "pending_update_count": bot.updates.len()
            })),
            "setmycommands" => {
                bot.commands = params.get("commands").cloned().unwrap_or_else(|| json!([]));
                Ok(Value::Bool(true))
            }
            "deletemycommands" => {
                bot.commands = json!([]);
                Ok(Value::Bool(true))
            }
            "getmycommands" => Ok(bot.commands.clone()),
            "sendchataction" | "logout" | "close" => Ok(Value::Bool(true)),
            "sendmessage" if text("text").is_empty() => Err((400, "Bad Request: message text is empty")),
            "sendmessage" | "editmessagetext" => {
                let chat = params.get("chat_id").cloned().ok_or((400, "Bad Request: chat_id is empty"))?;
                let chat = chat
                    .as_i64()
                    .or_else(|| chat.as_str()?.parse().ok())
                    .ok_or((400, "Bad Request: chat not found"))?;
                Ok(json!({
                    "message_id": id, "date": 1_795_300_000_i64 + id, "text": text("text"),
                    "chat": { "id": chat, "type": "private", "first_name": "Somebody" }
                }))
            }
            _ => Err((404, "Not Found: method not found")),
        }
    }

    /// Gives what is there, or waits for it. A newer poll of the same bot ends this one.
    async fn poll(&self, token: &str, params: &Value) -> Answer {
        let number = |key: &str| params.get(key).and_then(|n| n.as_i64().or_else(|| n.as_str()?.parse().ok()));
        let offset = number("offset").unwrap_or(0);
        let limit = usize::try_from(number("limit").unwrap_or(100)).unwrap_or(100).clamp(1, 100);
        let patience = Duration::from_secs(u64::try_from(number("timeout").unwrap_or(0)).unwrap_or(0)).min(POLL_MAX);
        let mut news = self.news.subscribe();
        let this = {
            let mut state = self.state();
            let bot = state.bots.get_mut(token).ok_or(UNAUTHORIZED)?;
            bot.polls += 1;
            bot.polls
        };
        self.tell();
        let there = || -> Option<Answer> {
            let mut state = self.state();
            let Some(bot) = state.bots.get_mut(token) else { return Some(Err(UNAUTHORIZED)) };
            if !bot.webhook.is_empty() {
                return Some(Err(WEBHOOK_SET));
            }
            if bot.polls != this {
                return Some(Err(ANOTHER_POLL));
            }
            // What is asked from beyond an update takes it off the list.
            bot.updates.retain(|update| update.get("update_id").and_then(Value::as_i64).is_some_and(|id| id >= offset));
            let found: Vec<Value> = bot.updates.iter().take(limit).cloned().collect();
            (!found.is_empty()).then_some(Ok(Value::Array(found)))
        };
        let waits = async {
            loop {
                if let Some(answer) = there() {
                    return answer;
                }
                if news.changed().await.is_err() {
                    return Ok(json!([]));
                }
            }
        };
        timeout(patience, waits).await.unwrap_or_else(|_| Ok(json!([])))
    }

    fn tell(&self) {
        self.news.send_modify(|count| *count += 1);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is not answered yet; one whose caller goes away is written down as 499.
struct Held {
    api: FakeBotApi,
    place: usize,
    status: u16,
}

impl Held {
    fn end(mut self, status: u16) {
        self.status = status;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(call) = self.api.state().calls.get_mut(self.place) {
            call.status = self.status;
        }
    }
}
