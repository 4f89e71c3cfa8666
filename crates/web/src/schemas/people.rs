//! The shapes of the API about people: audit, members, tokens.

use serde_json::{Value, json};

use super::{named, object};

fn text() -> Value {
    json!({ "type": "string" })
}

fn maybe(schema: &Value) -> Value {
    json!({ "oneOf": [schema, { "type": "null" }] })
}

fn digits() -> Value {
    json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" })
}

pub(super) fn audit_event() -> Value {
    object(
        json!({
            "act": text(), "actor": text(),
            "actor_name": maybe(&text()),
            "at": text(), "chain": text(),
            "details": { "type": "object", "additionalProperties": text() },
            "prior": digits(), "seq": { "type": "integer", "minimum": 1 }, "subject": text(),
            "v": { "const": 1 }, "via": text(), "hash": digits(),
        }),
        &["act", "actor", "actor_name", "at", "chain", "details", "prior", "seq", "subject", "v", "via", "hash"],
    )
}

pub(super) fn audit_head() -> Value {
    object(
        json!({ "chain": text(), "hash": digits(), "seq": { "type": "integer", "minimum": 0 } }),
        &["chain", "hash", "seq"],
    )
}

pub(super) fn audit_events() -> Value {
    object(
        json!({
            "events": { "type": "array", "items": named("AuditEvent") },
            "head": maybe(&named("AuditHead")),
            "next": maybe(&text()),
        }),
        &["events", "head", "next"],
    )
}
