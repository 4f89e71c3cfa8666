//! The shapes of the API in JSON Schema, for the OpenAPI document. A test holds them against real answers.

mod admin;
mod billing;
mod forms;
mod jobs;
mod model;
mod money;
mod people;
mod tenancy;
pub(crate) mod texts;

use serde_json::{Value, json};

pub(crate) use forms::posted;
use texts::id;

/// A reference to one of [`all`].
pub(crate) fn named(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Every schema by its name.
pub(crate) fn all() -> Value {
    let time = json!({ "type": "string", "format": "date-time" });
    let text = json!({ "type": "string" });
    let maybe_text = json!({ "type": ["string", "null"] });
    let mut all = json!({
        "Anything": { "type": "object" },
        "Health": object(json!({ "status": { "const": "ok" } }), &["status"]),
        "Me": me(),
        "Model": model::offered(),
        "ModelBudget": model::budget(),
        "NewAgent": new_agent(),
        "Agent": object(
            json!({
                "id": id("agt"), "name": text, "wanted": { "enum": ["running", "stopped", "gone"] },
                "seen": named("Seen"),
                "machine": { "oneOf": [named("Machine"), { "type": "null" }] },
                "proof": { "oneOf": [named("Proof"), { "type": "null" }] },
                "created_at": time,
                "model": {
                    "type": ["string", "null"],
                    "description": "The model that was chosen; null: the first of those offered. Not in lists.",
                },
                "instructions": { "type": ["string", "null"], "description": "What it is told about itself. Not in lists." },
            }),
            &["id", "name", "wanted", "seen", "machine", "proof", "created_at"],
        ),
        "Seen": object(
            json!({
                "state": { "enum": ["preparing", "configuring", "proving", "live", "degraded", "stopped", "failed", "deleting"] },
                "since": time, "why": text,
            }),
            &["state", "since"],
        ),
        "Machine": object(
            json!({
                "id": id("mch"), "isolation": { "enum": ["virtual_machine", "container"] }, "image": text,
                "openclaw": maybe_text, "created_at": time,
                "keys_replaced_at": {
                    "type": "string", "format": "date-time",
                    "description": "When its gateway token was last replaced; absent: it is as old as the machine.",
                },
            }),
            &["id", "isolation", "image", "openclaw", "created_at"],
        ),
        "Proof": object(
            json!({
                "id": id("prf"), "at": time, "ok": { "type": "boolean" },
                "latency_ms": { "type": ["integer", "null"] }, "why": maybe_text,
            }),
            &["id", "at", "ok", "latency_ms", "why"],
        ),
        "Agents": object(
            json!({ "agents": { "type": "array", "items": named("Agent") }, "next": maybe_text }),
            &["agents", "next"],
        ),
        "NewTurn": taken(json!({ "text": texts::turn() }), &["text"]),
        "Turn": object(
            json!({
                "id": id("exc"), "state": { "enum": ["asked", "answered", "failed"] }, "text": text,
                "latency_ms": { "type": "integer" }, "why": text,
            }),
            &["id", "state"],
        ),
        "Logs": object(
            json!({ "lines": { "type": "array", "items": object(json!({ "at": time, "unit": text, "text": text }), &["at", "unit", "text"]) } }),
            &["lines"],
        ),
        "JobRun": object(
            json!({ "job": text, "run": text, "state": { "enum": ["ended", "running"] }, "counts": { "type": "object" } }),
            &["job", "run", "state"],
        ),
        "MachineEvent": object(json!({ "event": { "enum": ["up", "gateway_ready", "gateway_lost"] } }), &["event"]),
        "Alert": admin::alert(),
        "Delivery": admin::delivery(),
        "Alerts": admin::listed("alerts", "Alert"),
        "OperatedMachine": admin::machine(),
        "Machines": admin::listed("machines", "OperatedMachine"),
        "Flow": admin::flow(),
        "Flows": admin::listed("flows", "Flow"),
        "Stats": admin::stats(),
        "Schedule": jobs::schedule(),
        "Schedules": jobs::schedules(),
        "ScheduleChange": jobs::schedule_change(),
        "Run": jobs::run(),
        "Runs": admin::listed("runs", "Run"),
        "Pool": jobs::pool(),
        "Spare": jobs::spare(),
        "Problem": object(
            json!({
                "type": text, "title": text, "status": { "type": "integer" }, "detail": text, "instance": text,
                "request_id": text, "field": text,
            }),
            &["type", "title", "status", "detail", "instance", "request_id"],
        ),
    });
    if let Some(all) = all.as_object_mut() {
        all.extend(people::all());
        all.extend(tenancy::all().chain(model::all()).chain(billing::all()).chain(money::all()));
    }
    all
}

fn me() -> Value {
    let text = json!({ "type": "string" });
    object(
        json!({
            "user": id("usr"), "email": text, "tenant": id("ten"), "tenant_name": text,
            "role": { "enum": ["viewer", "member", "admin", "owner"] }, "operator": { "type": "boolean" },
        }),
        &["user", "email", "tenant", "tenant_name", "role", "operator"],
    )
}

fn new_agent() -> Value {
    taken(
        json!({
            "name": texts::agent_name(),
            "model": {
                "type": ["string", "null"],
                "description": "One of those that `GET /api/v1/model` lists as `offered`, or of a vendor to which the tenant has a key of its own: anthropic/…, openai/…, openrouter/…, compatible/…. Left out: the first of the list, also when it changes.",
            },
            "instructions": texts::instructions(),
        }),
        &["name"],
    )
}

#[expect(clippy::needless_pass_by_value, reason = "the schemas above are written in place")]
fn object(properties: Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required })
}

/// What is sent to us: a field that is not named is refused.
fn taken(properties: Value, required: &[&str]) -> Value {
    with(object(properties, required), "additionalProperties", json!(false))
}

/// A schema that says one thing more.
fn with(mut schema: Value, name: &str, value: Value) -> Value {
    if let Some(said) = schema.as_object_mut() {
        said.insert(name.to_owned(), value);
    }
    schema
}
