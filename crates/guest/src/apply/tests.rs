use domain::openclaw::{AgentModel, Settings, document};
use serde_json::json;

use super::*;

fn secret(name: &str, value: &str) -> SecretFile {
    SecretFile { name: name.into(), value: SecretText::new(value.into()) }
}

fn real() -> Value {
    document(&Settings { model_base_url: "http://b/llm".into(), model: AgentModel::proof() })
}

#[test]
fn what_is_not_as_agreed_is_refused_before_anything_is_touched() {
    let both = || vec![secret("gateway_token", "12345678"), secret("model_key", "12345678")];
    assert!(check(&real(), &both()).is_ok());
    let theirs = json!({ "meta": {} });
    let one = || vec![secret("gateway_token", "12345678")];
    for (case, document, secrets) in [
        ("no object", json!([]), both()),
        ("theirs", theirs, both()),
        ("a secret is missing", real(), one()),
        ("no token", json!({}), vec![secret("model_key", "12345678")]),
        ("twice", real(), both().into_iter().chain(one()).collect()),
        ("a path", json!({}), one().into_iter().chain([secret("../passwd", "12345678")]).collect()),
        ("a hidden file", json!({}), one().into_iter().chain([secret(".x", "12345678")]).collect()),
        ("too short", real(), vec![secret("gateway_token", "1234567"), secret("model_key", "12345678")]),
        (
            "too large",
            real(),
            vec![secret("gateway_token", &"x".repeat(16 * 1024 + 1)), secret("model_key", "12345678")],
        ),
    ] {
        assert!(matches!(check(&document, &secrets), Err(Refusal::Malformed { .. })), "{case}");
    }
}

#[test]
fn a_fence_only_goes_forward() {
    let bundle =
        |fence, document| Bundle { fence, document, secrets: vec![], instructions: None, former_tokens: vec![] };
    let (current, next) = (bundle(3, json!({ "a": 1 })), bundle(5, json!({ "a": 2 })));
    let ask = |fence, document: Value| fenced(fence, (&document, None), Some(&current), Some(&next));
    assert_eq!(ask(4, json!({ "a": 1 })), Err(Refusal::Fenced { fence: 4, applied: 5 }));
    assert_eq!(ask(5, json!({ "a": 3 })), Err(Refusal::Fenced { fence: 5, applied: 5 }));
    assert_eq!(ask(5, json!({ "a": 2 })), Ok(()));
    assert_eq!(ask(6, json!({ "a": 3 })), Ok(()));
    let told = SecretText::new("be kind".into());
    let told = fenced(5, (&json!({ "a": 2 }), Some(&told)), Some(&current), Some(&next));
    assert_eq!(told, Err(Refusal::Fenced { fence: 5, applied: 5 }), "the same document with other instructions");
}

#[test]
fn the_step_between_differs_in_one_harmless_place() {
    let whole = json!({ "gateway": { "bind": "loopback" }, "logging": { "consoleStyle": "json" } });
    let mut between = nudged(&whole);
    assert_ne!(between, whole);
    between["logging"].as_object_mut().unwrap().remove("maxFileBytes");
    assert_eq!(between, whole);
}
