//! The document and the table, both ways.

use serde_json::{Map, Value, json};
use web::{ROUTES, guard::Needs, openapi, routes::Takes};

use crate::support::House;

#[tokio::test]
async fn the_document_holds_every_route_and_nothing_else() {
    let house = House::new().await;
    let document = house.get("", "/openapi.json").await.json();
    assert_eq!(document, openapi::document("http://127.0.0.1:8080"));
    let mut listed: Vec<(String, String)> = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        listed.extend(operations.as_object().unwrap().keys().map(|verb| (path.clone(), verb.to_uppercase())));
    }
    let mut table: Vec<_> = ROUTES.iter().map(|r| (r.path.to_owned(), r.verb.method().to_string())).collect();
    listed.sort();
    table.sort();
    assert_eq!(listed, table);
}

#[test]
fn every_reference_leads_somewhere() {
    let document = openapi::document("https://berth.example");
    let text = document.to_string();
    for part in text.split("\"#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
    }
    let mut ids: Vec<_> =
        text.split("\"operationId\":\"").skip(1).map(|part| part.split('"').next().unwrap()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "operation ids are unique");
}

/// Something that fits a schema well enough to be read; what it means is judged later.
fn sample(schema: &Value) -> Value {
    match (&schema["oneOf"], &schema["enum"], kind(schema)) {
        (Value::Array(choices), ..) => sample(&choices[0]),
        (_, Value::Array(words), _) => words[0].clone(),
        (.., "integer") => json!(1),
        (.., "boolean") => json!(true),
        (.., "array") => json!([sample(&schema["items"])]),
        _ => json!("x"),
    }
}

/// Something of another type.
fn another_type(schema: &Value) -> Value {
    if ["integer", "boolean"].contains(&kind(schema)) { json!("x") } else { json!({ "x": 7 }) }
}

fn kind(schema: &Value) -> &str {
    let first = schema["type"].as_array().map_or(&schema["type"], |kinds| &kinds[0]);
    first.as_str().unwrap_or_default()
}

/// INP-02, INP-03: no hand list; every body of the document, without each field that it needs, with each field of
/// another type, and with a field too many.
#[tokio::test]
async fn every_body_is_refused_without_a_field_with_another_type_and_with_a_field_too_many() {
    let house = House::new().await;
    let operator = house.operator("olga@example.org").await;
    let document = openapi::document("http://127.0.0.1:8080");
    let mut tried = 0;
    for route in ROUTES {
        // A machine's own route is asked with a machine's token: crates/web/tests/it/agents.rs.
        let (Takes::Json(name), false) = (route.takes, route.needs == Needs::Machine) else { continue };
        let schema = &document["components"]["schemas"][name];
        let fields = schema["properties"].as_object().unwrap();
        let required: Vec<&str> = schema["required"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
        let whole: Map<String, Value> = fields.iter().map(|(name, schema)| (name.clone(), sample(schema))).collect();
        let mut bad = Vec::new();
        for field in &required {
            let mut body = whole.clone();
            body.remove(*field);
            bad.push(body);
        }
        for (name, schema) in fields {
            let mut body = whole.clone();
            body.insert(name.clone(), another_type(schema));
            bad.push(body);
        }
        let mut more = whole.clone();
        more.insert("surplus".to_owned(), json!(1));
        bad.push(more);
        let path = route.path.replace("{job}", "pool").replace("{id}", &id_in(route.path));
        let ask = async |body: Map<String, Value>| {
            let body = Value::Object(body).to_string();
            let answer = house.post(&operator, &path, &body).await;
            let is_unreadable = answer.json()["type"] == "urn:berth:problem:unreadable";
            (is_unreadable, answer.status.as_u16(), format!("{path} {body}: {}", answer.text))
        };
        let (is_unreadable, _, told) = ask(whole).await;
        assert!(!is_unreadable, "{told}");
        for body in bad {
            let (is_unreadable, status, told) = ask(body).await;
            assert!(is_unreadable && status == 422, "{told}");
            tried += 1;
        }
    }
    assert!(tried >= 30, "only {tried} bodies");
}

/// A well-formed id of the noun that stands before it: nothing is there, and a bad body is refused all the same.
fn id_in(path: &str) -> String {
    let prefix = match path.split("/{id}").next().and_then(|before| before.rsplit('/').next()) {
        Some("agents") => "agt",
        Some("members") => "mem",
        Some("tenants") => "ten",
        _ => "x",
    };
    format!("{prefix}_019aa6b27c1e7d3f9b1a2f6c5d4e3b2a")
}

/// INP-05: a turn holds 16,000 characters and not one more; what counts is characters, not bytes.
#[tokio::test]
async fn a_turn_holds_sixteen_thousand_characters() {
    let house = House::new().await;
    let agent = house.world.new_agent("scout").await;
    let say = async |text: String| {
        let path = format!("/api/v1/agents/{agent}/turns?wait=0");
        house.post(&house.alice, &path, &json!({ "text": text }).to_string()).await.status.as_u16()
    };
    assert_eq!(say("é".repeat(16_000)).await, 202);
    assert_eq!((say("é".repeat(16_001)).await, say("a".repeat(16_001)).await), (422, 422));
    assert_eq!((say(String::new()).await, say(" \n".to_owned()).await), (422, 422));
    assert_eq!(say("a".repeat(70_000)).await, 413);
}
