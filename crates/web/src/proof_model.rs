//! Berth's built-in proof model: the other end of the line for proofs, and for everything while no vendor is.
//!
//! It speaks the shape of Anthropic's Messages API (the one that OpenClaw's
//! `anthropic-messages` provider calls), in `chat` that of Chat Completions, and is no AI: it repeats a proof's nonce,
//! or says what it is. Everything here is a pure function of the request.

mod chat;

use serde::Deserialize;
use serde_json::{Value, json};

/// What a nonce begins with in the words of a proof.
pub const NONCE_PREFIX: &str = "BERTH-PROOF-";

/// Most characters of the caller's words that are repeated.
const REPEATED_CHARS_MAX: usize = 500;

/// The part of a Messages request that matters here; vendors add fields freely, so others are passed over.
#[derive(Debug, Deserialize)]
pub struct Request {
    /// Whatever the caller calls the model; repeated in the answer.
    #[serde(default)]
    pub model: String,
    /// The conversation.
    pub messages: Vec<Message>,
    /// Whether the answer shall come as server-sent events.
    #[serde(default)]
    pub stream: bool,
}

/// One message of the conversation.
#[derive(Debug, Deserialize)]
pub struct Message {
    /// `user` or `assistant`.
    pub role: String,
    /// A text, or a list of blocks.
    pub content: Content,
}

/// What a message holds.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// A plain text.
    Text(String),
    /// Blocks; only those of type `text` are read.
    Blocks(Vec<Block>),
}

/// One block of a message.
#[derive(Debug, Deserialize)]
pub struct Block {
    /// `text`, `image`, `tool_result` …
    #[serde(rename = "type")]
    pub kind: String,
    /// Present in `text` blocks.
    #[serde(default)]
    pub text: Option<String>,
}

/// An answer, before it takes one of its two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `msg_…`
    pub id: String,
    /// As asked for.
    pub model: String,
    /// The words.
    pub text: String,
    /// An estimate: four bytes a token.
    pub input_tokens: usize,
}

/// Answers the last user message.
#[must_use]
pub fn answer(request: &Request, id: String, request_bytes: usize) -> Answer {
    let said = last_user_text(&request.messages);
    let text = nonce(&said).map_or_else(|| plain(&said), str::to_owned);
    Answer { id, model: request.model.clone(), text, input_tokens: tokens(request_bytes) }
}

/// The nonce in the words of the last turn, if there is one: it may be a proof's.
#[must_use]
pub fn nonce_in(request: &Request) -> Option<String> {
    nonce(&last_user_text(&request.messages)).map(str::to_owned)
}

/// An estimate of what a request costs, for `count_tokens`.
#[must_use]
pub const fn tokens(bytes: usize) -> usize {
    bytes.div_ceil(4)
}

impl Answer {
    /// The whole message at once.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut message = self.frame();
        if let Some(map) = message.as_object_mut() {
            map.insert("content".into(), json!([{ "type": "text", "text": self.text }]));
            map.insert("stop_reason".into(), json!("end_turn"));
            map.insert("usage".into(), self.usage(self.output_tokens()));
        }
        message
    }

    /// The same as server-sent events, each with its name.
    #[must_use]
    pub fn to_events(&self) -> Vec<(&'static str, Value)> {
        let delta = |text: &str| json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": text } });
        let block = json!({ "type": "text", "text": "" });
        let mut events = vec![
            ("message_start", json!({ "type": "message_start", "message": self.frame() })),
            ("content_block_start", json!({ "type": "content_block_start", "index": 0, "content_block": block })),
        ];
        events.extend(self.text.split_inclusive(' ').map(|word| ("content_block_delta", delta(word))));
        events.push(("content_block_stop", json!({ "type": "content_block_stop", "index": 0 })));
        events.push((
            "message_delta",
            json!({
                "type": "message_delta",
                "delta": { "stop_reason": "end_turn", "stop_sequence": null },
                "usage": { "output_tokens": self.output_tokens() },
            }),
        ));
        events.push(("message_stop", json!({ "type": "message_stop" })));
        events
    }

    fn frame(&self) -> Value {
        json!({
            "id": self.id, "type": "message", "role": "assistant", "model": self.model,
            "content": [], "stop_reason": null, "stop_sequence": null, "usage": self.usage(0),
        })
    }

    fn usage(&self, output_tokens: usize) -> Value {
        json!({
            "input_tokens": self.input_tokens, "output_tokens": output_tokens,
            "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
        })
    }

    fn output_tokens(&self) -> usize {
        tokens(self.text.len())
    }
}

/// What OpenClaw puts around facts of its own; it sends them as one more user message after the person's.
const CONTEXT: (&str, &str) = ("<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>", "<<<END_OPENCLAW_INTERNAL_CONTEXT>>>");

/// The person's words of the last turn: all user messages since the model spoke last, without OpenClaw's own context.
fn last_user_text(messages: &[Message]) -> String {
    let turn = messages.iter().rev().take_while(|message| message.role == "user");
    let mut texts: Vec<String> = turn.map(|message| without_context(&text_of(&message.content))).collect();
    texts.reverse();
    texts.retain(|text| !text.trim().is_empty());
    texts.join("\n")
}

fn text_of(content: &Content) -> String {
    match content {
        Content::Text(text) => text.clone(),
        Content::Blocks(blocks) => {
            let texts = blocks.iter().filter(|block| block.kind == "text").filter_map(|block| block.text.as_deref());
            texts.collect::<Vec<_>>().join("\n")
        }
    }
}

fn without_context(text: &str) -> String {
    let (begin, end) = CONTEXT;
    let Some((before, rest)) = text.split_once(begin) else { return text.to_owned() };
    let after = rest.split_once(end).map_or("", |(_, after)| after);
    format!("{before}{}", without_context(after))
}

/// OpenClaw writes when something was said before the words: `[Sat 2026-11-21 11:51 UTC] hello`.
fn without_date(said: &str) -> &str {
    let Some((date, words)) = said.strip_prefix('[').and_then(|rest| rest.split_once("] ")) else { return said };
    let looks_like_one =
        date.len() < 40 && date.bytes().filter(u8::is_ascii_digit).count() >= 8 && !date.contains('\n');
    if looks_like_one { words } else { said }
}

/// The last well-formed nonce in a text: the prefix and 8 to 64 hexadecimal digits.
fn nonce(text: &str) -> Option<&str> {
    text.rmatch_indices(NONCE_PREFIX).find_map(|(start, _)| {
        let rest = text.get(start..)?;
        let digits = rest.get(NONCE_PREFIX.len()..)?.bytes().take_while(u8::is_ascii_hexdigit).count();
        if !(8..=64).contains(&digits) {
            return None;
        }
        rest.get(..NONCE_PREFIX.len() + digits)
    })
}

fn plain(said: &str) -> String {
    let said = without_date(said.trim());
    let who = "I am Berth's built-in proof model. I am not an AI and cannot help with anything; \
               I only show that the line from you to your agent and back works.";
    if said.is_empty() {
        return format!("{who} No words arrived.");
    }
    let mut words: String = said.chars().take(REPEATED_CHARS_MAX).collect();
    if said.chars().nth(REPEATED_CHARS_MAX).is_some() {
        words.push('…');
    }
    format!("{who} These words arrived:\n\n{words}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(messages: &Value) -> String {
        let body = json!({ "model": "berth-proof", "max_tokens": 9, "messages": messages, "tools": [{}] });
        let request: Request = serde_json::from_value(body).unwrap();
        answer(&request, "msg_1".into(), 400).text
    }

    #[test]
    fn the_date_before_the_words_is_not_repeated() {
        let said = ask(&json!([{ "role": "user", "content": "[Sat 2026-11-21 11:51 UTC] [x] hello" }]));
        assert!(said.ends_with("\n\n[x] hello"), "{said}");
    }

    /// As seen from OpenClaw 2026.9.6: the person's words, then a user message of its own.
    #[test]
    fn openclaws_own_context_after_the_words_is_passed_over() {
        let context = "<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>\nConversation data\n<<<END_OPENCLAW_INTERNAL_CONTEXT>>>";
        let messages = json!([
            { "role": "user", "content": [{ "type": "text", "text": "[Sat 2026-11-21 11:51 UTC] say BERTH-PROOF-0123456789abcdef" }] },
            { "role": "user", "content": [{ "type": "text", "text": context }] },
        ]);
        assert_eq!(ask(&messages), "BERTH-PROOF-0123456789abcdef");
        let earlier = json!([
            { "role": "user", "content": "BERTH-PROOF-0123456789abcdef" },
            { "role": "assistant", "content": "BERTH-PROOF-0123456789abcdef" },
            { "role": "user", "content": "hello" },
        ]);
        assert!(ask(&earlier).ends_with("hello"), "only the last turn counts");
    }

    #[test]
    fn a_nonce_in_the_last_user_message_is_repeated_exactly() {
        let nonce = "BERTH-PROOF-00ff12ab34cd";
        let blocks = json!([
            { "role": "user", "content": "BERTH-PROOF-ffffffffffff" },
            { "role": "assistant", "content": "BERTH-PROOF-ffffffffffff" },
            { "role": "user", "content": [{ "type": "image" }, { "type": "text", "text": format!("[Mon 10:00] Answer with {nonce}.") }] },
        ]);
        assert_eq!(ask(&blocks), nonce);
        assert_eq!(ask(&json!([{ "role": "user", "content": format!("say {nonce}") }])), nonce);
    }

    #[test]
    fn anything_else_is_told_what_answers() {
        let text = ask(&json!([{ "role": "user", "content": "BERTH-PROOF-xyz and hello" }]));
        assert!(text.contains("not an AI") && text.ends_with("BERTH-PROOF-xyz and hello"), "{text}");
        let long = ask(&json!([{ "role": "user", "content": "ä".repeat(100_000) }]));
        assert!(long.chars().count() < 800 && long.ends_with('…'));
        assert!(ask(&json!([])).contains("No words arrived"));
    }

    #[test]
    fn the_stream_holds_the_same_words_as_the_message() {
        let request: Request = serde_json::from_value(
            json!({ "model": "m", "messages": [{ "role": "user", "content": "one two  three" }] }),
        )
        .unwrap();
        let answer = answer(&request, "msg_1".into(), 40);
        let streamed: String = answer
            .to_events()
            .iter()
            .filter_map(|(_, data)| data.pointer("/delta/text").and_then(Value::as_str).map(str::to_owned))
            .collect();
        assert_eq!(streamed, answer.to_json()["content"][0]["text"]);
    }
}
