//! The table of routes as an OpenAPI 3.1 document.

use domain::people::Role;
use serde_json::{Map, Value, json};

use crate::{
    guard::Needs,
    routes::{Gives, ROUTES, Route, Takes, Verb},
    schemas,
};

/// The whole document; `base` is where people reach Berth.
#[must_use]
pub fn document(base: &str) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.verb.method().as_str().to_lowercase(), operation(route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Berth",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Hosts AI agents, one private machine each",
            "description": "Errors are RFC 9457 problem documents. An id of another tenant reads like an unknown one: 404. \
                            An id that is malformed does too.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": base }],
        "paths": paths,
        "components": { "securitySchemes": security_schemes(), "schemas": schemas::all() },
    })
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.does,
        "tags": [tag(route.path)],
        "security": security(route.needs),
        "parameters": parameters(route),
        "responses": responses(route),
    });
    if let (Some(body), Some(map)) = (request_body(route.takes), operation.as_object_mut()) {
        map.insert("requestBody".into(), body);
    }
    operation
}

/// `post_api_v1_agents_id_stop`
fn operation_id(route: &Route) -> String {
    let words = route.path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let verb = route.verb.method().as_str().to_lowercase();
    std::iter::once(verb.as_str()).chain(words).collect::<Vec<_>>().join("_")
}

fn tag(path: &str) -> &'static str {
    match path {
        _ if path.starts_with("/api/v1") => "api",
        _ if path.starts_with("/api/admin") => "operator",
        _ if path.starts_with("/api/cron") => "cron",
        _ if path.starts_with("/api/internal") || path.starts_with("/llm") => "machines",
        "/health" | "/ready" | "/metrics" | "/openapi.json" | "/.well-known/security.txt" => "operations",
        _ => "pages",
    }
}

fn security(needs: Needs) -> Value {
    match needs {
        Needs::Open => json!([]),
        Needs::Person | Needs::Member(_) | Needs::Operator => json!([{ "token": [] }, { "session": [] }]),
        Needs::Cron => json!([{ "cron": [] }]),
        Needs::Metrics => json!([{ "metrics": [] }]),
        Needs::Machine => json!([{ "machine": [] }]),
        Needs::ModelKey => json!([{ "model": [] }]),
    }
}

fn security_schemes() -> Value {
    json!({
        "token": { "type": "http", "scheme": "bearer", "description": "A personal token, berth_pat_…" },
        "session": { "type": "apiKey", "in": "cookie", "name": "__Host-berth", "description": "A browser's session" },
        "cron": { "type": "http", "scheme": "bearer", "description": "CRON_SECRET" },
        "metrics": { "type": "http", "scheme": "bearer", "description": "BERTH_METRICS_TOKEN" },
        "machine": { "type": "http", "scheme": "bearer", "description": "A machine's own token" },
        "model": { "type": "apiKey", "in": "header", "name": "x-api-key", "description": "A machine's virtual model key" },
    })
}

fn parameters(route: &Route) -> Value {
    let text = |name: &str, place: &str, required: bool, schema: Value| json!({ "name": name, "in": place, "required": required, "schema": schema });
    let mut all: Vec<Value> = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| text(name, "path", true, json!({ "type": "string" })))
        .collect();
    let whole = |least: i64, most: i64| json!({ "type": "integer", "minimum": least, "maximum": most });
    match (route.verb, route.path) {
        (
            Verb::Get,
            "/api/v1/agents"
            | "/api/admin/v1/tenants"
            | "/api/admin/v1/schedules/{job}/runs"
            | "/api/admin/v1/pool"
            | "/api/admin/v1/users",
        ) => {
            all.push(text("after", "query", false, json!({ "type": "string" })));
            all.push(text("limit", "query", false, whole(1, 100)));
            if route.path.ends_with("/users") {
                all.push(text("id", "query", false, json!({ "type": "string" })));
                all.push(text("email", "query", false, json!({ "type": "string", "format": "email" })));
            }
        }
        (Verb::Post, "/api/v1/agents") => {
            all.push(text(
                "Idempotency-Key",
                "header",
                false,
                json!({ "type": "string", "minLength": 1, "maxLength": 200 }),
            ));
        }
        (Verb::Post, "/api/v1/agents/{id}/turns") => all.push(text("wait", "query", false, whole(0, 60))),
        (Verb::Get, "/api/v1/agents/{id}/events") => {
            all.push(text("Last-Event-ID", "header", false, json!({ "type": "string" })));
            all.push(text("after", "query", false, json!({ "type": "integer" })));
        }
        (Verb::Get, "/api/v1/audit" | "/api/admin/v1/audit") => {
            all.push(text("after", "query", false, json!({ "type": "integer", "minimum": 1 })));
            all.push(text("limit", "query", false, whole(1, 100)));
        }
        (Verb::Get, "/api/admin/v1/alerts" | "/api/admin/v1/machines" | "/api/admin/v1/flows") => {
            let words: &[&str] = match route.path {
                "/api/admin/v1/machines" => &["state", "tenant", "agent", "id"],
                "/api/admin/v1/flows" => &["kind", "step", "tenant", "subject"],
                _ => &[],
            };
            let choice = match route.path {
                "/api/admin/v1/machines" => "gone",
                "/api/admin/v1/flows" => "stuck",
                _ => "open",
            };
            all.extend(words.iter().map(|name| text(name, "query", false, json!({ "type": "string" }))));
            all.push(text(choice, "query", false, json!({ "type": "boolean" })));
            all.push(text("after", "query", false, json!({ "type": "string" })));
            all.push(text("limit", "query", false, whole(1, 100)));
        }
        (Verb::Get, "/setup" | "/login") => all.push(text("link", "query", false, json!({ "type": "string" }))),
        _ => {}
    }
    Value::Array(all)
}

fn request_body(takes: Takes) -> Option<Value> {
    let content = match takes {
        Takes::Nothing => return None,
        Takes::Json(schema) => json!({ "application/json": { "schema": schemas::named(schema) } }),
        Takes::Messages => json!({ "application/json": { "schema": schemas::named("Anything") } }),
        Takes::Form(fields) => {
            let fields: Map<String, Value> =
                fields.iter().map(|field| ((*field).to_owned(), json!({ "type": "string" }))).collect();
            json!({ "application/x-www-form-urlencoded": { "schema": { "type": "object", "properties": fields } } })
        }
    };
    Some(json!({ "required": !matches!(takes, Takes::Form(_)), "content": content }))
}

fn responses(route: &Route) -> Value {
    let html = json!({ "text/html": { "schema": { "type": "string" } } });
    let (status, answer) = match route.gives {
        Gives::Page => (200, json!({ "description": "A page", "content": html })),
        Gives::Redirect => {
            (303, json!({ "description": "Go there", "headers": { "Location": { "schema": { "type": "string" } } } }))
        }
        Gives::Json(status, schema) => (
            status,
            json!({ "description": schema, "content": { "application/json": { "schema": schemas::named(schema) } } }),
        ),
        Gives::Status(status) => (status, json!({ "description": "Done" })),
        Gives::Archive => {
            let bytes = json!({ "type": "string", "format": "binary" });
            (200, json!({ "description": "A tar archive", "content": { "application/x-tar": { "schema": bytes } } }))
        }
        Gives::Lines => (
            200,
            json!({ "description": "JSON Lines", "content": { "application/jsonl": { "schema": { "type": "string" } } } }),
        ),
        Gives::Events => (
            200,
            json!({ "description": "A stream", "content": { "text/event-stream": { "schema": { "type": "string" } } } }),
        ),
        Gives::Text => (200, json!({ "description": "A file" })),
    };
    let mut all = Map::new();
    all.insert(status.to_string(), answer);
    let problem = json!({ "application/problem+json": { "schema": schemas::named("Problem") } });
    let mut refuse = |status: u16, words: &str| {
        all.entry(status.to_string()).or_insert_with(|| json!({ "description": words, "content": problem }));
    };
    match route.needs {
        Needs::Open => {}
        Needs::Person | Needs::Member(Role::Viewer) | Needs::Machine | Needs::ModelKey => refuse(401, "Not signed in"),
        Needs::Member(_) => {
            refuse(401, "Not signed in");
            refuse(403, "The role does not suffice, or another site asks");
        }
        Needs::Operator => {
            refuse(401, "Not signed in");
            refuse(404, "Not an operator, or unknown");
            if route.verb != Verb::Get {
                refuse(403, "Another site asks");
                refuse(409, "It does not fit what is there");
            }
        }
        Needs::Cron => {
            refuse(401, "Wrong secret");
            refuse(503, "CRON_SECRET is not set");
        }
        Needs::Metrics => {
            refuse(401, "Wrong token");
            refuse(503, "BERTH_METRICS_TOKEN is not set");
        }
    }
    if route.path.contains('{') {
        refuse(404, "Unknown, malformed, or another tenant's");
    }
    match route.takes {
        Takes::Nothing => {}
        Takes::Json(_) | Takes::Form(_) | Takes::Messages => {
            refuse(400, "Unreadable");
            refuse(413, "Too large");
            refuse(422, "A value cannot be used");
        }
    }
    if route.counts {
        refuse(429, "Too often for now; Retry-After says when to go on");
    }
    refuse(500, "A fault in Berth");
    Value::Object(all)
}
