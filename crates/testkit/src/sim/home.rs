//! What a machine calls: Berth's machine routes, and the model that its configuration names.

use std::time::Duration;

use domain::protocol::{GuestConfig, MachineEvent};
use http::Method;
use serde_json::{Value, json};

use crate::http_call::{Call, call};

/// A call home, as the real guest bounds it.
const CALL_MAX: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(20);
const TRIES_MAX: u32 = 8;

/// Tells home what happened; a home that is away is tried again a few times.
pub(super) async fn tell(config: &GuestConfig, event: MachineEvent) {
    let mut pause = FIRST_PAUSE;
    for _ in 0..TRIES_MAX {
        let told = call(Call {
            method: Method::POST,
            url: format!("{}/api/internal/machine/events", config.home),
            headers: vec![("authorization", format!("Bearer {}", config.machine_token.expose()))],
            body: Some(json!(event)),
            patience: CALL_MAX,
        });
        match told.await {
            // A refusal will not become a yes by repetition.
            Ok(answer) if answer.status < 500 && answer.status != 429 => return,
            _ => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// A streamed turn at the model, as OpenClaw takes it; the words, or why there are none.
pub(super) async fn model_turn(document: &Value, key: &str, text: &str, patience: Duration) -> Result<String, String> {
    let provider = document.pointer("/models/providers/berth").ok_or("no model is configured")?;
    let word = |pointer: &str| provider.pointer(pointer).and_then(Value::as_str);
    let base = word("/baseUrl").ok_or("the model has no address")?;
    let model = word("/models/0/id").ok_or("the model has no id")?;
    let answer = call(Call {
        method: Method::POST,
        url: format!("{base}/v1/messages"),
        headers: vec![("x-api-key", key.to_owned()), ("anthropic-version", "2023-06-01".to_owned())],
        body: Some(json!({
            "model": model, "max_tokens": 8192, "stream": true,
            "messages": [{"role": "user", "content": [{"type": "text", "text": text}]}],
        })),
        patience,
    })
    .await
    .map_err(|error| format!("the model cannot be reached: {error}"))?;
    if answer.status != 200 {
        return Err(format!("the model answered {}", answer.status));
    }
    let deltas = answer.body.lines().filter_map(|line| line.strip_prefix("data:"));
    let deltas = deltas.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    let mut ended = false;
    let mut words = String::new();
    for delta in deltas {
        ended |= delta.get("type").is_some_and(|kind| kind == "message_stop");
        words.push_str(delta.pointer("/delta/text").and_then(Value::as_str).unwrap_or_default());
    }
    if ended { Ok(words) } else { Err("the model's answer broke off".to_owned()) }
}
