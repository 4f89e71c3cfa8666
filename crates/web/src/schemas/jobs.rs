//! The shapes of jobs, their schedules and the pool in the operator's API.

use domain::job::{AskedBy, CatchUp};
use serde_json::{Value, json};

use super::{
    admin::{maybe, text, time, whole},
    named, object, taken,
    texts::{id, job},
};

fn catch_up() -> Value {
    json!({ "enum": CatchUp::EVERY.map(CatchUp::name) })
}

pub(super) fn schedule() -> Value {
    object(
        json!({
            "job": job(), "does": text(), "cron": text(),
            "in_words": { "oneOf": [text(), { "type": "null" }], "description": "The cron expression, told; times are UTC" },
            "enabled": { "type": "boolean" }, "catch_up": catch_up(),
            "next": {
                "type": "array", "items": time(),
                "description": "The next three times that the expression names, whether or not it is enabled",
            },
            "last_at": maybe(&time()), "updated_at": time(), "updated_by": maybe(&text()), "run": maybe(&named("Run")),
        }),
        &[
            "job",
            "does",
            "cron",
            "in_words",
            "enabled",
            "catch_up",
            "next",
            "last_at",
            "updated_at",
            "updated_by",
            "run",
        ],
    )
}

pub(super) fn schedules() -> Value {
    object(json!({ "schedules": { "type": "array", "items": named("Schedule") } }), &["schedules"])
}

pub(super) fn schedule_change() -> Value {
    let cron = json!({
        "type": ["string", "null"], "maxLength": 100,
        "description": "Five fields: minute hour day month weekday, in UTC. One that never comes true is refused.",
    });
    let enabled = json!({ "type": ["boolean", "null"] });
    taken(json!({ "cron": cron, "enabled": enabled, "catch_up": maybe(&catch_up()) }), &[])
}

pub(super) fn run() -> Value {
    let asked_by = json!({ "enum": AskedBy::EVERY.map(AskedBy::name) });
    object(
        json!({
            "id": { "type": "string", "format": "uuid" }, "job": job(), "state": { "enum": ["running", "ended"] },
            "asked_by": asked_by, "operator": maybe(&text()), "asked_at": time(), "ended_at": maybe(&time()),
            "took_ms": whole(), "counts": maybe(&named("Anything")), "flow": maybe(&id("flw")),
        }),
        &["id", "job", "state", "asked_by", "operator", "asked_at", "ended_at", "took_ms", "counts", "flow"],
    )
}

pub(super) fn pool() -> Value {
    object(
        json!({
            "floor": whole(), "ceiling": whole(), "image": text(), "ready": whole(), "making": whole(),
            "leaving": whole(),
            "last_day": object(
                json!({
                    "taken": { "type": "integer", "description": "Agents that took a spare" },
                    "missed": { "type": "integer", "description": "Machines made for an agent because no spare was ready" },
                }),
                &["taken", "missed"],
            ),
            "alert": maybe(&id("alr")), "refill": maybe(&named("Run")),
            "spares": { "type": "array", "items": named("Spare") }, "next": maybe(&text()),
        }),
        &["floor", "ceiling", "image", "ready", "making", "leaving", "last_day", "alert", "refill", "spares", "next"],
    )
}

pub(super) fn spare() -> Value {
    object(
        json!({
            "machine": id("mch"), "image": text(), "state": { "enum": ["making", "ready", "retiring"] },
            "created_at": time(), "ready_at": maybe(&time()), "flow": maybe(&id("flw")), "step": maybe(&text()),
            "waiting_for": maybe(&text()),
        }),
        &["machine", "image", "state", "created_at", "ready_at", "flow", "step", "waiting_for"],
    )
}
