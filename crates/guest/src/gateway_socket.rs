//! The gateway's websocket, for the questions that its HTTP does not take.
//!
//! One connection a question. OpenClaw lets a caller on its own loopback who shows the gateway's token in without a
//! device of its own, when it says that it is a backend (`docs/decisions/0085-channels-and-variables.md`).

use std::{net::SocketAddr, time::Duration};

use domain::protocol::SecretText;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, client::IntoClientRequest as _, protocol::WebSocketConfig},
};
use zeroize::Zeroizing;

/// The version of the gateway's protocol that OpenClaw 2026.9.6 speaks.
const PROTOCOL: u8 = 4;
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Frames that are passed over while an answer is waited for; the gateway also tells what nobody asked.
const FRAMES_MAX: usize = 200;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SocketError {
    /// No connection, or one that broke.
    #[error("the gateway cannot be reached by its websocket")]
    Unreachable,
    /// No answer in time.
    #[error("the gateway did not answer by its websocket in time")]
    Late,
    /// It does not let us in.
    #[error("the gateway lets nobody in by its websocket: {0}")]
    Shut(String),
    /// The question itself was refused; asking again will not help.
    #[error("{0}")]
    Refused(String),
    /// It may work later.
    #[error("the gateway says: {0}")]
    Unavailable(String),
}

/// Asks one thing with these scopes and gives back what was answered.
pub async fn ask(
    gateway: SocketAddr,
    token: &SecretText,
    scopes: &[&str],
    (method, params): (&str, &Value),
    patience: Duration,
) -> Result<Value, SocketError> {
    timeout(patience, exchange(gateway, token, scopes, (method, params))).await.unwrap_or(Err(SocketError::Late))
}

async fn exchange(
    gateway: SocketAddr,
    token: &SecretText,
    scopes: &[&str],
    (method, params): (&str, &Value),
) -> Result<Value, SocketError> {
    let stream = TcpStream::connect(gateway).await.map_err(|_| SocketError::Unreachable)?;
    let request = format!("ws://{gateway}/").into_client_request().map_err(|_| SocketError::Unreachable)?;
    let bounds =
        WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES_MAX)).max_frame_size(Some(MESSAGE_BYTES_MAX));
    let opened = client_async_with_config(request, stream, Some(bounds)).await;
    let (mut socket, _) = opened.map_err(|_| SocketError::Unreachable)?;
    // The gateway speaks first.
    until(&mut socket, |frame| frame.get("event").and_then(Value::as_str) == Some("connect.challenge")).await?;
    let client =
        json!({ "id": "gateway-client", "version": env!("CARGO_PKG_VERSION"), "platform": "linux", "mode": "backend" });
    let connect = json!({
        "minProtocol": PROTOCOL, "maxProtocol": PROTOCOL, "client": client, "role": "operator", "scopes": scopes,
        "caps": [], "auth": { "token": token.expose() }
    });
    call(&mut socket, "connect", &connect).await.map_err(|error| match error {
        SocketError::Refused(why) | SocketError::Unavailable(why) => SocketError::Shut(why),
        other => other,
    })?;
    let answer = call(&mut socket, method, params).await;
    let _ = socket.close(None).await;
    answer
}

/// One request and its answer; the method's name serves as its id, as each is asked once.
async fn call(socket: &mut WebSocketStream<TcpStream>, method: &str, params: &Value) -> Result<Value, SocketError> {
    let request = json!({ "type": "req", "id": method, "method": method, "params": params });
    let text = Zeroizing::new(request.to_string());
    socket.send(Message::text(text.as_str())).await.map_err(|_| SocketError::Unreachable)?;
    let mut answer = until(socket, |frame| {
        frame.get("type").and_then(Value::as_str) == Some("res")
            && frame.get("id").and_then(Value::as_str) == Some(method)
    })
    .await?;
    if answer.get("ok").and_then(Value::as_bool) == Some(true) {
        return Ok(answer.get_mut("payload").map(Value::take).unwrap_or_default());
    }
    let word =
        |key: &str| answer.pointer(&format!("/error/{key}")).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (code, message) = (word("code"), word("message"));
    Err(if code == "INVALID_REQUEST" { SocketError::Refused(message) } else { SocketError::Unavailable(message) })
}

async fn until(socket: &mut WebSocketStream<TcpStream>, is_it: impl Fn(&Value) -> bool) -> Result<Value, SocketError> {
    for _ in 0..FRAMES_MAX {
        let frame = match socket.next().await {
            Some(Ok(Message::Text(text))) => serde_json::from_str(text.as_str()).unwrap_or(Value::Null),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(SocketError::Unreachable),
            Some(Ok(_)) => Value::Null,
        };
        if is_it(&frame) {
            return Ok(frame);
        }
    }
    Err(SocketError::Unavailable("it speaks of other things only".to_owned()))
}
