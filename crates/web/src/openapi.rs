//! The table of routes as an OpenAPI 3.1 document.

mod answers;
mod parameters;

use serde_json::{Map, Value, json};

use crate::{
    guard::Needs,
    routes::{ROUTES, Route, Takes},
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
        "parameters": parameters::of(route),
        "responses": answers::of(route),
    });
    if let (Some(body), Some(map)) = (request_body(route), operation.as_object_mut()) {
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
        _ if path.starts_with("/webhooks") => "webhooks",
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
        Needs::Stripe => json!([{ "stripe": [] }]),
    }
}

fn security_schemes() -> Value {
    json!({
        "token": { "type": "http", "scheme": "bearer", "description": "A personal token, berth_pat_…" },
        "session": { "type": "apiKey", "in": "cookie", "name": "__Host-berth", "description": "A browser's session" },
        "cron": { "type": "http", "scheme": "bearer", "description": "CRON_SECRET" },
        "metrics": { "type": "http", "scheme": "bearer", "description": "BERTH_METRICS_TOKEN" },
        "machine": { "type": "http", "scheme": "bearer", "description": "A machine's own token" },
        "stripe": { "type": "apiKey", "in": "header", "name": "Stripe-Signature", "description": "Stripe's signature over the body" },
        "model": { "type": "apiKey", "in": "header", "name": "x-api-key", "description": "A machine's virtual model key" },
    })
}

fn request_body(route: &Route) -> Option<Value> {
    let json = |schema: &str| json!({ "application/json": { "schema": schemas::named(schema) } });
    let content = match route.takes {
        // A button posts a form without fields: nothing is read of it.
        Takes::Nothing | Takes::Form(&[]) => return None,
        Takes::Json(schema) => json(schema),
        Takes::Messages => json("Messages"),
        Takes::Chat => json("ChatCompletions"),
        // What the sender signs is the sender's to describe.
        Takes::Signed => json("Anything"),
        Takes::Form(fields) => {
            json!({ "application/x-www-form-urlencoded": { "schema": schemas::posted(route.path, fields) } })
        }
    };
    Some(json!({ "required": true, "content": content }))
}
