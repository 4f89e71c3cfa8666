//! The Messages API of Anthropic.

use bytes::Bytes;
use domain::credential::Kind;
use serde_json::{Value, json};

use super::{Answer, FakeVendor, Script, VENDOR_KEY, VENDOR_WORDS, VendorCall, VendorMood, endless, whole};

impl FakeVendor {
    pub(super) async fn messages(self, call: &VendorCall, mood: VendorMood) -> Answer {
        let given = if call.bearer().is_empty() { call.header("x-api-key") } else { call.bearer() };
        if given != VENDOR_KEY && !self.knows(Kind::Anthropic, given) {
            return refusal(401, "authentication_error", "invalid x-api-key");
        }
        if !["2023-06-01", "2026-10-21"].contains(&call.header("anthropic-version")) {
            return refusal(400, "invalid_request_error", "anthropic-version: header is required");
        }
        let asked = call.json();
        let has = |name: &str, fits: fn(&Value) -> bool| asked.get(name).is_some_and(fits);
        if !has("max_tokens", Value::is_u64) || !has("messages", Value::is_array) || !has("model", Value::is_string) {
            return refusal(400, "invalid_request_error", "messages, model and max_tokens: Field required");
        }
        if let Some(refused) = in_mood(mood) {
            return refused;
        }
        if let Some(mishap) = self.mishap(mood).await {
            return mishap;
        }
        if has("stream", |value| *value == true) {
            return self.events(mood, script(&asked));
        }
        if mood == VendorMood::Huge {
            return endless();
        }
        let content = json!([{ "type": "text", "text": VENDOR_WORDS }]);
        whole(200, message(&asked, &content, Some("end_turn"), 34).to_string())
    }
}

/// A refusal for a mood that has one.
pub(super) fn in_mood(mood: VendorMood) -> Option<Answer> {
    Some(match mood {
        VendorMood::Limited => {
            let mut response = refusal(429, "rate_limit_error", "organization limit marker");
            response.headers_mut().insert("retry-after", http::HeaderValue::from_static("7"));
            response
        }
        VendorMood::Overloaded => refusal(529, "overloaded_error", "Overloaded"),
        VendorMood::Faulty => refusal(500, "api_error", "Internal server error"),
        VendorMood::Picky => refusal(400, "invalid_request_error", "messages.0: what you sent is wrong"),
        _ => return None,
    })
}

pub(super) fn refusal(status: u16, kind: &str, words: &str) -> Answer {
    let body = json!({ "type": "error", "error": { "type": kind, "message": words }, "request_id": "req_1" });
    whole(status, body.to_string())
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

fn script(asked: &Value) -> Script {
    let start = message(asked, &json!([]), None, 1);
    let delta = |text: &str| {
        let delta = json!({ "type": "text_delta", "text": text });
        event("content_block_delta", &json!({ "type": "content_block_delta", "index": 0, "delta": delta }))
    };
    let mut all = vec![
        event("message_start", &json!({ "type": "message_start", "message": start })),
        event(
            "content_block_start",
            &json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        ),
        event("ping", &json!({ "type": "ping" })),
    ];
    all.extend(VENDOR_WORDS.split_inclusive(' ').map(delta));
    all.extend([
        event("content_block_stop", &json!({ "type": "content_block_stop", "index": 0 })),
        event("message_delta", &json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn", "stop_sequence": null }, "usage": { "output_tokens": 34 } })),
        event("message_stop", &json!({ "type": "message_stop" })),
    ]);
    let error = json!({ "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" } });
    Script { all, more: delta(&"x".repeat(16 * 1024)), error: event("error", &error) }
}

fn event(name: &str, data: &Value) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}
