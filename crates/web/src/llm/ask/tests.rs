use serde_json::{Value, json};

use super::*;

fn menu() -> Menu {
    Menu::parse("claude-haiku-4-5", "").unwrap()
}

fn base() -> Value {
    json!({ "model": "claude-haiku-4-5", "max_tokens": 100, "messages": [{ "role": "user", "content": "hello" }] })
}

fn with(changes: &Value) -> String {
    let mut body = base();
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body.to_string()
}

fn verdict(body: &str) -> Result<(Micros, u64), (u16, String)> {
    let menu = menu();
    let judged = Ask::judge(body.as_bytes(), &menu);
    judged.map(|ask| (ask.worst, ask.output_tokens_max)).map_err(|p| (p.status.as_u16(), p.detail.into_owned()))
}

fn blocks(blocks: &Value) -> String {
    with(&json!({ "messages": [{ "role": "user", "content": blocks }] }))
}

#[test]
fn a_worst_case_takes_every_byte_for_a_token_at_the_dearest_price() {
    let body = base().to_string();
    let bytes = u64::try_from(body.len()).unwrap();
    let expected = (bytes + 4096) * 2 + 100 * 5;
    assert_eq!(verdict(&body), Ok((Micros::new(expected), 100)));
    let image = json!([{ "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "eA==" } }]);
    let (worst, _) = verdict(&blocks(&image)).unwrap();
    assert!(worst >= Micros::new(expected + 5000 * 2), "an image of few bytes is not cheap");
    let (worst, tokens) = verdict(&with(&json!({ "thinking": { "type": "enabled", "budget_tokens": 2000 } }))).unwrap();
    assert!(tokens == 2000 && worst >= Micros::new(expected + 1900 * 5), "thinking is paid for as words out");
    let long = with(&json!({ "messages": [{ "role": "user", "content": "x".repeat(3_000_000) }] }));
    assert_eq!(verdict(&long), Ok((Micros::new(200_000 * 2 + 500), 100)), "no more fits into the model");
}

#[test]
fn what_openclaw_sends_is_passed() {
    let body = json!({
        "model": "claude-haiku-4-5", "max_tokens": 8192, "stream": true, "temperature": 1, "top_p": 0.9, "top_k": 5,
        "system": [{ "type": "text", "text": "be kind", "cache_control": { "type": "ephemeral", "ttl": "1h" } }],
        "messages": [
            { "role": "user", "content": [{ "type": "text", "text": "hi" }] },
            { "role": "assistant", "content": [
                { "type": "thinking", "thinking": "hm", "signature": "x" },
                { "type": "tool_use", "id": "t", "name": "read", "input": { "type": "document", "content": 5 } } ] },
            { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "t", "content": [{ "type": "text", "text": "y" }] }] },
            { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "t", "is_error": true, "content": "no" }] },
        ],
        "tools": [{ "name": "read", "description": "d", "input_schema": { "type": "object" } }, { "type": "custom", "name": "b" }],
        "tool_choice": { "type": "auto" }, "metadata": { "user_id": "u" }, "stop_sequences": ["x"],
        "thinking": { "type": "adaptive" }, "output_config": { "effort": "low" }, "service_tier": "auto",
    });
    let menu = menu();
    let ask = Ask::judge(body.to_string().as_bytes(), &menu).unwrap();
    assert_eq!(ask.output_tokens_max, 8192);
}

#[test]
fn what_could_cost_more_than_is_known_is_refused() {
    let cases = [
        (with(&json!({ "speed": "fast" })), 400, "speed"),
        (with(&json!({ "inference_geo": "us" })), 400, "inference_geo"),
        (with(&json!({ "mcp_servers": [] })), 400, "mcp_servers"),
        (with(&json!({ "container": "c" })), 400, "container"),
        (with(&json!({ "service_tier": "priority" })), 400, "service_tier"),
        (with(&json!({ "tools": [{ "type": "web_search_20250305", "name": "web_search" }] })), 400, "tools"),
        (with(&json!({ "max_tokens": 0 })), 400, "max_tokens"),
        (with(&json!({ "max_tokens": 64_001 })), 400, "max_tokens"),
        (with(&json!({ "max_tokens": -1 })), 400, "max_tokens"),
        (with(&json!({ "thinking": { "budget_tokens": 100_000 } })), 400, "max_tokens"),
        (with(&json!({ "model": "claude-opus-9" })), 404, "claude-haiku-4-5"),
        (blocks(&json!([{ "type": "document", "source": { "type": "base64" } }])), 400, "only text"),
        (blocks(&json!([{ "type": "image", "source": { "type": "url", "url": "http://10.0.0.1" } }])), 400, "base64"),
        (blocks(&json!([{ "type": "image" }])), 400, "base64"),
        (blocks(&json!([{ "type": "text", "text": "x", "source": { "type": "url" } }])), 400, "only text"),
        (
            blocks(
                &json!([{ "type": "tool_result", "content": [{ "type": "document", "source": { "type": "url" } }] }]),
            ),
            400,
            "only text",
        ),
        (blocks(&json!([{ "text": "x" }])), 400, "type"),
        (blocks(&json!(5)), 400, "a text or a list of blocks"),
    ];
    for (body, status, word) in cases {
        let (told, words) = verdict(&body).unwrap_err();
        assert!(told == status && words.contains(word), "{body}: {told} {words}");
    }
}

/// Two readers may take another one of the two: the vendor's bill would not be the one that was held.
#[test]
fn a_field_that_stands_there_twice_is_refused() {
    let text = base().to_string();
    for (from, to) in [
        (r#""max_tokens":100"#, r#""max_tokens":100,"max_tokens":60000"#),
        (r#""max_tokens":100"#, r#""max_tokens":100,"max\u005ftokens":60000"#),
        (r#""content":"hello""#, r#""content":"hello","content":[{"type":"document"}]"#),
        (r#""content":"hello""#, r#""content":[{"type":"text","type":"document"}]"#),
        (r#""content":"hello""#, r#""content":[{"type":"image","source":{"type":"base64","type":"url"}}]"#),
    ] {
        let twice = text.replace(from, to);
        assert_ne!(twice, text);
        let (status, words) = verdict(&twice).unwrap_err();
        assert!(status == 400 && words.contains("duplicate"), "{words}");
    }
}

#[test]
fn a_deep_body_is_refused_without_going_down() {
    for deep in ["[".repeat(100_000), r#"{"a":"#.repeat(100_000)] {
        let body = base().to_string().replace(r#""hello""#, &deep);
        let (status, words) = verdict(&body).unwrap_err();
        assert!(status == 400 && words.contains("nested"), "{words}");
    }
    assert_eq!(depth(br#"{"a":"[[[\"[[","b":[1]}"#), 2, "brackets in words do not count");
}

#[test]
fn a_beta_feature_is_passed_only_if_it_costs_nothing_more() {
    let tools = "fine-grained-tool-streaming-2025-05-14";
    assert_eq!(betas(&format!("context-1m-2025-08-07, {tools}")), [tools]);
    assert!(betas("context-1m-2025-08-07").is_empty() && betas("").is_empty());
}
