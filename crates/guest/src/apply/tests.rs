use domain::{
    channel::Channels,
    openclaw::{AgentModel, Settings, document},
    protocol::SecretFile,
};
use serde_json::json;

use super::*;

fn secret(name: &str, value: &str) -> SecretFile {
    SecretFile { name: name.into(), value: SecretText::new(value.into()) }
}

fn real() -> Value {
    let (model, channels) = (AgentModel::proof(), Channels::default());
    document(&Settings { model_base_url: "http://b/llm".into(), model, channels })
}

fn bundle(fence: u64, document: Value, secrets: Vec<SecretFile>) -> Bundle {
    let (variables, reach, former_tokens) = (vec![], vec![], vec![]);
    Bundle { fence, document, secrets, instructions: None, variables, reach, former_tokens }
}

#[test]
fn what_is_not_as_agreed_is_refused_before_anything_is_touched() {
    let both = || vec![secret("gateway_token", "12345678"), secret("model_key", "12345678")];
    assert!(check(&bundle(1, real(), both())).is_ok());
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
        assert!(matches!(check(&bundle(1, document, secrets)), Err(Refusal::Malformed { .. })), "{case}");
    }
    let variable = |name: &str, value: &str| Variable { name: name.into(), value: SecretText::new(value.into()) };
    for (case, variables) in [
        ("reserved", vec![variable("LD_PRELOAD", "x")]),
        ("a channel's", vec![variable("TELEGRAM_BOT_TOKEN", "x")]),
        ("no name", vec![variable("a", "x")]),
        ("empty", vec![variable("A", "")]),
        ("not as it is kept", vec![variable("A", "x\r\ny")]),
        ("twice", vec![variable("A", "x"), variable("A", "y")]),
        ("too many", (0..=VARIABLES_MAX).map(|place| variable(&format!("A{place}"), "x")).collect()),
    ] {
        let wanted = Bundle { variables, ..bundle(1, real(), both()) };
        assert!(matches!(check(&wanted), Err(Refusal::Malformed { .. })), "{case}");
    }
    let wanted = Bundle { reach: vec!["169.254.169.254:80".into()], ..bundle(1, real(), both()) };
    assert!(matches!(check(&wanted), Err(Refusal::Malformed { .. })), "a private address");
}

#[test]
fn a_fence_only_goes_forward() {
    let of = |fence, document| bundle(fence, document, vec![]);
    let (current, next) = (of(3, json!({ "a": 1 })), of(5, json!({ "a": 2 })));
    let ask = |fence, document: Value| fenced(&of(fence, document), Some(&current), Some(&next));
    assert_eq!(ask(4, json!({ "a": 1 })), Err(Refusal::Fenced { fence: 4, applied: 5 }));
    assert_eq!(ask(5, json!({ "a": 3 })), Err(Refusal::Fenced { fence: 5, applied: 5 }));
    assert_eq!(ask(5, json!({ "a": 2 })), Ok(()));
    assert_eq!(ask(6, json!({ "a": 3 })), Ok(()));
    let told = Bundle { instructions: Some(SecretText::new("be kind".into())), ..of(5, json!({ "a": 2 })) };
    let told = fenced(&told, Some(&current), Some(&next));
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
