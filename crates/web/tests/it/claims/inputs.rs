//! Bodies that do not fit, made from the schema of every route that takes JSON.

use axum::body::Body;
use http::StatusCode;
use serde_json::{Map, Value, json};
use web::{ROUTES, openapi, routes::Takes};

use crate::{
    gate::bodies::body,
    support::{CRON_SECRET, House, ask},
};

/// One route that takes JSON, with a body that fits and its schema.
struct Taker {
    path: String,
    method: http::Method,
    fits: Map<String, Value>,
    schema: Value,
}

fn takers() -> Vec<Taker> {
    let document = openapi::document("https://berth.example");
    let routes = ROUTES.iter().filter_map(|route| {
        let Takes::Json(schema) = route.takes else { return None };
        let noun = route.path.split("/{id}").next().and_then(|before| before.rsplit('/').next()).unwrap_or_default();
        let prefix = match noun {
            "agents" => "agt",
            "members" => "mem",
            "tenants" => "ten",
            "users" => "usr",
            "credentials" => "crd",
            other => &other[..3.min(other.len())],
        };
        let id = format!("{prefix}_019aa6b27c1e7d3f9b1a2f6c5d4e3b2a");
        let path = route.path.replace("{id}", &id).replace("{job}", "pool");
        let fits = serde_json::from_str(&body(route).1).unwrap();
        Some(Taker {
            path,
            method: route.verb.method(),
            fits,
            schema: first(&document["components"]["schemas"][schema]),
        })
    });
    let all: Vec<_> = routes.collect();
    assert!(all.len() >= 9, "{}", all.len());
    all
}

/// Where a body may be one of several, the first of them.
fn first(schema: &Value) -> Value {
    schema["oneOf"].get(0).unwrap_or(schema).clone()
}

/// A house whose alice may do everything, and a machine of hers.
struct Asker {
    house: House,
    machine: String,
}

impl Asker {
    async fn new() -> Self {
        let house = House::new().await;
        house.world.live_agent("scout").await;
        house.world.database.sql("update users set is_operator = true").await;
        let token = vault::Token::mint(&*house.web.dice.0, vault::TokenKind::Machine);
        let hash = vault::digest(token.expose().as_bytes());
        house.world.database.sql(&format!("update machines set machine_token_hash = '\\x{hash}'")).await;
        Self { house, machine: token.expose().to_owned() }
    }

    async fn send(&self, taker: &Taker, body: &Value) -> (StatusCode, String) {
        let token = match taker.path.as_str() {
            path if path.starts_with("/api/internal") => &self.machine,
            path if path.starts_with("/api/cron") => CRON_SECRET,
            _ => self.house.alice.as_str(),
        };
        let request = ask(taker.method.clone(), &taker.path, token).header("content-type", "application/json");
        let answer = self.house.send(request.body(Body::from(body.to_string())).unwrap()).await;
        (answer.status, answer.text)
    }
}

/// INP-02: each field that is required, left out.
#[tokio::test]
async fn a_body_without_a_required_field_is_refused_by_name() {
    let asker = Asker::new().await;
    let mut tried = 0;
    for taker in takers() {
        for name in taker.schema["required"].as_array().unwrap().iter().filter_map(Value::as_str) {
            let mut body = taker.fits.clone();
            body.remove(name);
            let (status, text) = asker.send(&taker, &body.into()).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{} without {name}: {text}", taker.path);
            assert!(text.contains(&format!("`{name}`")), "{} without {name}: {text}", taker.path);
            tried += 1;
        }
    }
    assert!(tried >= 10, "{tried}");
}

/// INP-03: each field with a value of every other type.
#[tokio::test]
async fn a_field_of_another_type_is_refused_by_name() {
    let asker = Asker::new().await;
    let mut tried = 0;
    for taker in takers() {
        for (name, property) in taker.schema["properties"].as_object().unwrap() {
            let kind = property["type"].as_str().or_else(|| property["type"][0].as_str());
            let kind = kind.or_else(|| property["enum"][0].as_str().map(|_| "string"));
            let others = [json!(1), json!("x"), json!(true), json!(null), json!([[]]), json!({ "x": 1 }), json!(1.5)];
            for other in others {
                let is_right = match kind.unwrap_or("string") {
                    "integer" | "number" => other.is_i64(),
                    "boolean" => other.is_boolean(),
                    "array" => false,
                    _ => other.is_string(),
                };
                // What may be left out may be null.
                let is_left_out =
                    other.is_null() && !taker.schema["required"].to_string().contains(&format!("\"{name}\""));
                if is_right || is_left_out {
                    continue;
                }
                let mut body = taker.fits.clone();
                body.insert(name.clone(), other.clone());
                let (status, text) = asker.send(&taker, &body.into()).await;
                assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{} {name}={other}: {text}", taker.path);
                assert!(text.contains(name.as_str()), "{} {name}={other}: {text}", taker.path);
                tried += 1;
            }
        }
    }
    assert!(tried >= 60, "{tried}");
}

/// INP-01, RLS-12: a field that a route does not know is refused, so nobody sets what is not theirs by naming it.
#[tokio::test]
async fn a_field_that_a_route_does_not_know_is_refused() {
    let asker = Asker::new().await;
    // A machine with a newer guest may say more; its one word decides nothing.
    for taker in takers().into_iter().filter(|taker| !taker.path.starts_with("/api/internal/")) {
        for name in ["tenant_id", "user_id", "is_admin", "is_operator", "operator", "email_verified", "id", "x", ""] {
            assert!(taker.schema["properties"].get(name).is_none());
            let mut body = taker.fits.clone();
            body.insert(name.to_owned(), json!("x"));
            let (status, text) = asker.send(&taker, &body.into()).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{} {name}: {text}", taker.path);
        }
        for shape in [json!([]), json!("x"), json!(null), json!([taker.fits.clone()])] {
            let (status, text) = asker.send(&taker, &shape).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{} {shape}: {text}", taker.path);
        }
    }
}

/// INP-05: characters are counted, not bytes, and the last one too many is refused.
#[tokio::test]
async fn a_message_holds_sixteen_thousand_characters() {
    let house = House::new().await;
    let agent = house.world.live_agent("scout").await;
    let path = format!("/api/v1/agents/{agent}/turns?wait=0");
    for (letter, count, expected) in [
        ("a", 16_000, StatusCode::ACCEPTED),
        ("ä", 16_000, StatusCode::ACCEPTED),
        ("a", 16_001, StatusCode::UNPROCESSABLE_ENTITY),
        ("ä", 16_001, StatusCode::UNPROCESSABLE_ENTITY),
        ("a", 66_000, StatusCode::PAYLOAD_TOO_LARGE),
        (" ", 10, StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let answer = house.post(&house.alice, &path, &json!({ "text": letter.repeat(count) }).to_string()).await;
        assert_eq!(answer.status, expected, "{count} of {letter:?}: {}", answer.text);
        house.world.run_flows(20).await;
    }
    let cookie = house.cookie().await;
    let form = format!("text={}", "a".repeat(16_001));
    let refused = house.form(&cookie, &format!("/agents/{agent}/turns"), &form).await;
    assert!(refused.status == StatusCode::UNPROCESSABLE_ENTITY && refused.text.contains("16,000"), "{}", refused.text);
}
