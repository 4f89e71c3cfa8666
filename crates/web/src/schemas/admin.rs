//! The shapes of the operator's API.

use serde_json::{Value, json};

use super::{named, object, texts::id};

pub(super) fn maybe(schema: &Value) -> Value {
    json!({ "oneOf": [schema, { "type": "null" }] })
}

pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

pub(super) fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

pub(super) fn whole() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

/// A list with the address of its next page.
pub(super) fn listed(name: &str, entry: &str) -> Value {
    object(json!({ name: { "type": "array", "items": named(entry) }, "next": maybe(&text()) }), &[name, "next"])
}

pub(super) fn alert() -> Value {
    object(
        json!({
            "id": id("alr"), "kind": text(), "title": text(), "severity": { "enum": ["critical", "warning"] },
            "message": text(),
            "related": object(
                json!({ "kind": { "enum": ["agent", "machine", "flow", "other"] }, "id": text() }),
                &["kind", "id"],
            ),
            "tenant": maybe(&id("ten")), "opened_at": time(), "seen_at": time(), "sightings": whole(),
            "firings": whole(), "fired_at": maybe(&time()), "acknowledged_at": maybe(&time()),
            "acknowledged_by": maybe(&text()), "closed_at": maybe(&time()), "runbook": maybe(&text()),
            "deliveries": {
                "type": "array", "items": named("Delivery"),
                "description": "In a list: those that were tried and did not get through yet. Of one alert: all of them.",
            },
        }),
        &[
            "id",
            "kind",
            "title",
            "severity",
            "message",
            "related",
            "tenant",
            "opened_at",
            "seen_at",
            "sightings",
            "firings",
            "fired_at",
            "acknowledged_at",
            "acknowledged_by",
            "closed_at",
            "runbook",
            "deliveries",
        ],
    )
}

pub(super) fn delivery() -> Value {
    object(
        json!({
            "id": id("dlv"), "firing": whole(), "carrier": { "enum": ["mail", "webhook"] },
            "state": { "enum": ["pending", "delivered", "given_up", "not_needed"] }, "tries": whole(),
            "outcome": maybe(&text()), "asked_at": time(), "next_at": maybe(&time()), "ended_at": maybe(&time()),
        }),
        &["id", "firing", "carrier", "state", "tries", "outcome", "asked_at", "next_at", "ended_at"],
    )
}

pub(super) fn machine() -> Value {
    object(
        json!({
            "id": id("mch"), "tenant": maybe(&id("ten")), "agent": maybe(&id("agt")), "provider": text(),
            "isolation": text(), "image": text(), "state": text(), "address": maybe(&text()),
            "openclaw": maybe(&text()), "guest": maybe(&text()), "configurations": whole(),
            "flow": maybe(&id("flw")), "step": maybe(&text()), "created_at": time(), "gone_at": maybe(&time()),
        }),
        &[
            "id",
            "tenant",
            "agent",
            "provider",
            "isolation",
            "image",
            "state",
            "address",
            "openclaw",
            "guest",
            "configurations",
            "flow",
            "step",
            "created_at",
            "gone_at",
        ],
    )
}

pub(super) fn flow() -> Value {
    object(
        json!({
            "id": id("flw"), "kind": text(), "tenant": maybe(&id("ten")), "subject": text(), "step": text(),
            "waiting_for": { "type": "string", "description": "One sentence, made from the flow's row" },
            "stuck": { "type": "boolean" }, "step_since": time(), "run_at": time(), "lease_until": maybe(&time()),
            "attempt": whole(), "deadline_at": maybe(&time()), "removal_asked": { "type": "boolean" },
            "signals": { "type": "array", "items": text() }, "created_at": time(),
        }),
        &[
            "id",
            "kind",
            "tenant",
            "subject",
            "step",
            "waiting_for",
            "stuck",
            "step_since",
            "run_at",
            "lease_until",
            "attempt",
            "deadline_at",
            "removal_asked",
            "signals",
            "created_at",
        ],
    )
}

pub(super) fn stats() -> Value {
    object(
        json!({
            "tenants": whole(), "users": whole(),
            "machines": object(json!({ "reserved": whole(), "made": whole() }), &["reserved", "made"]),
            "alerts": object(
                json!({
                    "critical": whole(), "warning": whole(), "unacknowledged": whole(), "deliveries_failing": whole(),
                }),
                &["critical", "warning", "unacknowledged", "deliveries_failing"],
            ),
            "flows": object(
                json!({
                    "stuck": whole(),
                    "by_step": {
                        "type": "array",
                        "items": object(
                            json!({ "kind": text(), "step": text(), "count": whole() }),
                            &["kind", "step", "count"],
                        ),
                    },
                }),
                &["stuck", "by_step"],
            ),
        }),
        &["tenants", "users", "machines", "alerts", "flows"],
    )
}
