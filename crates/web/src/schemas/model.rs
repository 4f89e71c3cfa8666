//! The shapes of what answers an agent, and of what it may cost.

use serde_json::{Value, json};

use super::{named, object};

/// The model a tenant's agents talk to.
pub(super) fn offered() -> Value {
    let text = json!({ "type": "string" });
    object(
        json!({
            "model": text, "title": text, "is_proof_model": { "type": "boolean" },
            "offered": {
                "type": "array", "items": object(json!({ "model": text, "title": text }), &["model", "title"]),
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
