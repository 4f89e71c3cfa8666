//! The shapes of what answers an agent, and of what it may cost.

use serde_json::{Value, json};

use super::{named, object};

/// The model a tenant's agents talk to.
pub(super) fn offered() -> Value {
    object(
        json!({
            "model": text(), "title": text(), "is_proof_model": { "type": "boolean" },
            "offered": {
                "type": "array", "items": object(json!({ "model": text(), "title": text() }), &["model", "title"]),
                "description": "What an agent may be set to; the first is usual.",
            },
            "budget": { "oneOf": [named("ModelBudget"), { "type": "null" }] },
        }),
        &["model", "title", "is_proof_model", "offered", "budget"],
    )
}

/// A tenant's day of model calls, in millionths of a dollar.
pub(super) fn budget() -> Value {
    let whole = json!({ "type": "integer", "minimum": 0 });
    object(
        json!({
            "day": { "type": "string", "format": "date" },
            "resets_at": { "type": "string", "format": "date-time" },
            "limit_micro_usd": whole, "used_micro_usd": whole, "held_micro_usd": whole,
            "calls": whole, "input_tokens": whole, "output_tokens": whole,
        }),
        &[
            "day",
            "resets_at",
            "limit_micro_usd",
            "used_micro_usd",
            "held_micro_usd",
            "calls",
            "input_tokens",
            "output_tokens",
        ],
    )
}

/// A request of Anthropic's Messages API, as far as Berth reads it; the rest is the vendor's to judge.
pub(super) fn messages() -> Value {
    let block = object(json!({ "type": text(), "text": { "type": ["string", "null"] } }), &["type"]);
    let content = json!({ "oneOf": [text(), { "type": "array", "items": block }] });
    let message = object(json!({ "role": text(), "content": content }), &["role", "content"]);
    object(
        json!({
            "model": text(), "messages": { "type": "array", "items": message }, "stream": { "type": "boolean" },
        }),
        &["messages"],
    )
}

/// A refusal, as clients of that API expect it.
pub(super) fn problem() -> Value {
    let error = object(json!({ "type": text(), "message": text() }), &["type", "message"]);
    object(
        json!({ "type": { "const": "error" }, "error": error, "request_id": text() }),
        &["type", "error", "request_id"],
    )
}

fn text() -> Value {
    json!({ "type": "string" })
}
