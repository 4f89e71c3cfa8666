//! The shapes of what answers an agent, and of what it may cost.

use serde_json::{Map, Value, json};

use super::{named, object, texts};

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
            "own": object(
                json!({ "calls": whole(), "input_tokens": whole(), "output_tokens": whole() }),
                &["calls", "input_tokens", "output_tokens"],
            ),
        }),
        &["model", "title", "is_proof_model", "offered", "budget", "own"],
    )
}

/// A tenant's day of model calls, in millionths of a dollar.
pub(super) fn budget() -> Value {
    let whole = whole();
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

/// What the model route takes, and how it refuses.
pub(super) fn all() -> Map<String, Value> {
    let all = [
        ("Messages", messages()),
        ("ModelProblem", problem()),
        ("ChatCompletions", chat()),
        ("ChatProblem", chat_problem()),
    ];
    all.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// A request of Anthropic's Messages API, as far as Berth reads it; the rest is the vendor's to judge.
fn messages() -> Value {
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
fn problem() -> Value {
    let error = object(json!({ "type": text(), "message": text() }), &["type", "message"]);
    object(
        json!({ "type": { "const": "error" }, "error": error, "request_id": text() }),
        &["type", "error", "request_id"],
    )
}

/// A request of OpenAI's Chat Completions API, as far as Berth reads it; the rest is the vendor's to judge.
fn chat() -> Value {
    let block = object(json!({ "type": text(), "text": { "type": ["string", "null"] } }), &["type"]);
    let content = json!({ "oneOf": [text(), { "type": "array", "items": block }, { "type": "null" }] });
    let message = object(json!({ "role": text(), "content": content }), &["role"]);
    let options = object(json!({ "include_usage": { "type": "boolean" } }), &[]);
    object(
        json!({
            "model": texts::own_model(), "messages": { "type": "array", "items": message }, "stream": { "type": "boolean" },
            "stream_options": { "oneOf": [options, { "type": "null" }] },
        }),
        &["model", "messages"],
    )
}

/// A refusal, as clients of that API expect it.
fn chat_problem() -> Value {
    let error = object(
        json!({ "message": text(), "type": text(), "param": { "type": ["string", "null"] }, "code": text() }),
        &["message", "type", "param", "code"],
    );
    object(json!({ "error": error, "request_id": text() }), &["error", "request_id"])
}

fn whole() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn text() -> Value {
    json!({ "type": "string" })
}
