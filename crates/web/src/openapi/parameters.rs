//! What stands in an address or a header of each operation.

use serde_json::{Value, json};

use crate::{
    routes::{Route, Verb},
    schemas::texts,
};

/// Longest number of an event that the API takes.
const EVENT_MAX: i64 = i64::MAX;
/// What has no prefix: a run of a job, and the subject of its flow.
const UUID: &str = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";

/// Every parameter of a route.
pub(super) fn of(route: &Route) -> Value {
    let mut all: Vec<Value> = in_path(route.path);
    let mut query = |name: &str, schema: Value| all.push(one(name, "query", false, schema));
    match (route.verb, route.path) {
        (Verb::Get, "/api/v1/agents") => paged(&mut query, "agt"),
        (Verb::Get, "/api/admin/v1/tenants") => paged(&mut query, "ten"),
        (Verb::Get, "/api/admin/v1/users") => {
            query("id", maybe_id("usr"));
            query("email", texts::maybe_email());
            paged(&mut query, "usr");
        }
        (Verb::Get, "/api/admin/v1/pool") => paged(&mut query, "mch"),
        (Verb::Get, "/api/admin/v1/schedules/{job}/runs") => {
            query("after", maybe_uuid());
            query("limit", whole(1, 100));
        }
        (Verb::Get, "/api/v1/audit" | "/api/admin/v1/audit") => {
            query("after", whole(1, EVENT_MAX));
            query("limit", whole(1, 100));
        }
        (Verb::Get, "/api/admin/v1/alerts") => {
            query("open", yes_or_no());
            paged(&mut query, "alr");
        }
        (Verb::Get, "/api/admin/v1/machines") => {
            query("state", texts::word());
            query("tenant", maybe_id("ten"));
            query("agent", maybe_id("agt"));
            query("id", maybe_id("mch"));
            query("gone", yes_or_no());
            paged(&mut query, "mch");
        }
        (Verb::Get, "/api/admin/v1/flows") => {
            query("kind", texts::word());
            query("step", texts::word());
            query("tenant", maybe_id("ten"));
            query(
                "subject",
                json!({ "type": "string", "pattern": format!("^((agt|exc|alr|mch|evt|ten)_[0-9a-f]{{32}}|{UUID})?$") }),
            );
            query("stuck", yes_or_no());
            paged(&mut query, "flw");
        }
        (Verb::Get, "/api/admin/v1/events") => {
            query("waiting", yes_or_no());
            query("kind", texts::stripe_kind());
            query("name", texts::stripe_name("evt"));
            query("tenant", maybe_id("ten"));
            paged(&mut query, "evt");
        }
        (Verb::Get, "/api/admin/v1/billing/differences") => {
            query("kind", texts::difference_kind());
            query("tenant", maybe_id("ten"));
            query("after", maybe_uuid());
            query("limit", whole(1, 100));
        }
        (Verb::Get, "/api/admin/v1/subscriptions") => {
            query("standing", texts::standing());
            query("customer", texts::stripe_name("cus"));
            paged(&mut query, "ten");
        }
        (Verb::Get, "/api/admin/v1/invites") => {
            query("id", maybe_id("inv"));
            query("open", yes_or_no());
            paged(&mut query, "inv");
        }
        (Verb::Get, "/api/admin/v1/waitlist") => {
            query("waiting", yes_or_no());
            paged(&mut query, "wtg");
        }
        (Verb::Post, "/api/v1/agents/{id}/turns") => query("wait", whole(0, 60)),
        (Verb::Get, "/api/v1/agents/{id}/events") => query("after", whole(0, EVENT_MAX)),
        (Verb::Get, "/setup" | "/login" | "/invitation") => query("link", json!({ "type": "string" })),
        _ => {}
    }
    all.extend(in_head(route));
    Value::Array(all)
}

#[expect(clippy::needless_pass_by_value, reason = "schemas are written in place")]
fn one(name: &str, place: &str, required: bool, schema: Value) -> Value {
    json!({ "name": name, "in": place, "required": required, "schema": schema })
}

/// The ids and words of a path, each of the noun that it is of.
fn in_path(path: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut before = "";
    for part in path.split('/') {
        if let Some(name) = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            all.push(one(name, "path", true, named(before, name)));
        }
        before = part;
    }
    all
}

fn named(noun: &str, name: &str) -> Value {
    let prefix = match (noun, name) {
        (_, "turn") => "exc",
        ("agents", _) => "agt",
        ("alerts", _) => "alr",
        ("events", _) => "evt",
        ("flows", _) => "flw",
        ("invitations", _) => "itn",
        ("invites", _) => "inv",
        ("members", _) => "mem",
        ("sessions", _) => "ses",
        ("tenants", _) => "ten",
        ("tokens", _) => "tok",
        ("users", _) => "usr",
        ("waitlist", _) => "wtg",
        (_, "job") => return texts::job(),
        _ => return json!({ "type": "string" }),
    };
    texts::id(prefix)
}

fn in_head(route: &Route) -> Option<Value> {
    match (route.verb, route.path) {
        (Verb::Post, "/api/v1/agents") => {
            let visible = json!({ "type": "string", "pattern": "^[!-~]{1,200}$" });
            Some(one("Idempotency-Key", "header", false, visible))
        }
        (Verb::Get, "/api/v1/agents/{id}/events") => {
            Some(one("Last-Event-ID", "header", false, json!({ "type": "string" })))
        }
        _ => None,
    }
}

fn paged(query: &mut impl FnMut(&str, Value), prefix: &str) {
    query("after", maybe_id(prefix));
    query("limit", whole(1, 100));
}

/// An id, or nothing: a filter that was left empty.
fn maybe_id(prefix: &str) -> Value {
    json!({ "type": "string", "pattern": format!("^({prefix}_[0-9a-f]{{32}})?$") })
}

/// The same of what has no prefix.
fn maybe_uuid() -> Value {
    json!({ "type": "string", "pattern": format!("^({UUID})?$") })
}

fn whole(least: i64, most: i64) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most })
}

fn yes_or_no() -> Value {
    json!({ "type": "string", "enum": ["true", "false", ""], "description": "Empty: both" })
}
