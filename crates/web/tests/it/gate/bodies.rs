//! Bodies that fit, made from what a route says it takes.

use serde_json::{Value, json};
use web::routes::{Route, Takes};

/// A body that fits what the route takes.
pub fn body(route: &Route) -> (&'static str, String) {
    match route.takes {
        Takes::Nothing => ("text/plain", String::new()),
        Takes::Signed => ("application/json", json!({ "id": "evt_1", "type": "invoice.paid" }).to_string()),
        Takes::Form(fields) => {
            let value = |field: &str| match field {
                "email" => "new@example.org",
                "name" if route.path.ends_with("/delete") || route.path.ends_with("/rotate") => "marker-agent",
                "live" => "1",
                "plan" => "pro",
                "days" if route.path.ends_with("/gift") => "7",
                "agent" => "",
                "channel" => "telegram",
                "role" => "viewer",
                "reason" => "ticket 4711, it does not start",
                _ => "x",
            };
            let fields = fields.iter().map(|field| format!("{field}={}", value(field)));
            ("application/x-www-form-urlencoded", fields.collect::<Vec<_>>().join("&"))
        }
        Takes::Json(schema) => {
            let document = web::openapi::document("https://berth.example");
            let schemas = &document["components"]["schemas"];
            ("application/json", sample(&schemas[schema], schemas).to_string())
        }
        Takes::Chat => {
            let ask = json!({ "model": "openai/proof", "messages": [{ "role": "user", "content": "x" }] });
            ("application/json", ask.to_string())
        }
        Takes::Messages => {
            let ask = json!({ "model": "proof", "max_tokens": 9, "messages": [{ "role": "user", "content": "x" }] });
            ("application/json", ask.to_string())
        }
    }
}

/// The least value that fits a schema.
fn sample(schema: &Value, all: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        return sample(&all[name.rsplit('/').next().unwrap()], all);
    }
    if let Some(one) = schema["oneOf"].get(0) {
        return sample(one, all);
    }
    if let Some(one) = schema["enum"].get(0).or_else(|| schema.get("const")).or_else(|| schema.get("example")) {
        return one.clone();
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or("object");
    match kind {
        "object" => {
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            let pairs = required.iter().filter_map(Value::as_str);
            pairs.map(|name| (name.to_owned(), sample(&schema["properties"][name], all))).collect()
        }
        "array" => json!([]),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        "boolean" => json!(true),
        // RFC 5321: no other text of ours ends there.
        _ if schema["maxLength"] == 254 => json!("new@example.org"),
        _ => json!("x"),
    }
}
