//! The Chat Completions API of OpenAI, OpenRouter, and whatever is compatible.

use bytes::Bytes;
use domain::credential::Kind;
use serde_json::{Value, json};

use super::{Answer, FakeVendor, Script, VENDOR_WORDS, VendorCall, VendorMood, endless, whole};

impl FakeVendor {
    pub(super) async fn chat(self, call: &VendorCall, mood: VendorMood) -> Answer {
        let kind = match call.path.as_str() {
            "/openai/v1/chat/completions" => Kind::OpenAi,
            "/openrouter/api/v1/chat/completions" => Kind::OpenRouter,
            "/compatible/v1/chat/completions" => Kind::Compatible,
            _ => return refusal(404, "invalid_request_error", None, "Unknown request URL"),
        };
        if !self.knows(kind, call.bearer()) {
            let words = "Incorrect API key provided: sk-pr***rker.";
            return refusal(401, "invalid_request_error", Some("invalid_api_key"), words);
        }
        let asked = call.json();
        let has = |name: &str, fits: fn(&Value) -> bool| asked.get(name).is_some_and(fits);
        if !has("messages", Value::is_array) || !has("model", Value::is_string) {
            return refusal(400, "invalid_request_error", None, "you must provide a model parameter and messages");
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
        let message = json!({ "role": "assistant", "content": VENDOR_WORDS, "refusal": null, "annotations": [] });
        let choice = json!({ "index": 0, "message": message, "logprobs": null, "finish_reason": "stop" });
        let mut answer = frame(&asked, "chat.completion", &json!([choice]));
        answer["usage"] = usage();
        whole(200, answer.to_string())
    }
}

/// A refusal for a mood that has one.
pub(super) fn in_mood(mood: VendorMood) -> Option<Answer> {
    Some(match mood {
        VendorMood::Limited => {
            let words = "Rate limit reached in organization organization-marker";
            let mut response = refusal(429, "requests", Some("rate_limit_exceeded"), words);
            response.headers_mut().insert("retry-after", http::HeaderValue::from_static("7"));
            response
        }
        VendorMood::Overloaded => refusal(503, "server_error", None, "The engine is currently overloaded"),
        VendorMood::Faulty => refusal(500, "server_error", None, "The server had an error"),
        VendorMood::Picky => refusal(400, "invalid_request_error", None, "messages.0: what you sent is wrong"),
        _ => return None,
    })
}

pub(super) fn refusal(status: u16, kind: &str, code: Option<&str>, words: &str) -> Answer {
    let error = json!({ "message": words, "type": kind, "param": null, "code": code });
    whole(status, json!({ "error": error }).to_string())
}

/// What every answer is said to have used: 12 tokens in, 34 out.
fn usage() -> Value {
    json!({
        "prompt_tokens": 12, "completion_tokens": 34, "total_tokens": 46,
        "prompt_tokens_details": { "cached_tokens": 0, "audio_tokens": 0 },
        "completion_tokens_details": { "reasoning_tokens": 0, "audio_tokens": 0 },
    })
}

fn frame(asked: &Value, object: &str, choices: &Value) -> Value {
    json!({
        "id": "chatcmpl-vendor", "object": object, "created": 1_795_000_000, "model": asked.get("model"),
        "system_fingerprint": "fp_1", "choices": choices,
    })
}

fn script(asked: &Value) -> Script {
    let counts = asked.pointer("/stream_options/include_usage") == Some(&Value::Bool(true));
    let piece = |delta: Value, end: Option<&str>| {
        let choice = json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": end });
        let mut frame = frame(asked, "chat.completion.chunk", &json!([choice]));
        if counts {
            frame["usage"] = Value::Null;
        }
        data(&frame)
    };
    let mut all = vec![piece(json!({ "role": "assistant", "content": "", "refusal": null }), None)];
    all.extend(VENDOR_WORDS.split_inclusive(' ').map(|word| piece(json!({ "content": word }), None)));
    all.push(piece(json!({}), Some("stop")));
    if counts {
        let mut last = frame(asked, "chat.completion.chunk", &json!([]));
        last["usage"] = usage();
        all.push(data(&last));
    }
    all.push(Bytes::from_static(b"data: [DONE]\n\n"));
    let error = json!({ "error": { "message": "overloaded", "type": "server_error", "param": null, "code": null } });
    Script { all, more: piece(json!({ "content": "x".repeat(16 * 1024) }), None), error: data(&error) }
}

fn data(body: &Value) -> Bytes {
    Bytes::from(format!("data: {body}\n\n"))
}
