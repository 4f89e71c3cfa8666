//! The OpenClaw gateway beside us, over HTTP on loopback.
//!
//! The shapes were taken from OpenClaw 2026.9.6 and are written down in
//! `docs/decisions/0020-guest-protocol.md`. A [`GatewayError`] carries the
//! gateway's own words, which are hostile text: redact before showing them.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use domain::{channel::Channel, protocol::SecretText};
use http::{Request, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::http_client::{HttpError, send};

const READY_PATIENCE: Duration = Duration::from_secs(2);
const ADMIN_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A turn's answer must fit the protocol's answer, escaped once more.
const TURN_BYTES_MAX: usize = 512 * 1024;

/// Why the gateway did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// No complete HTTP answer.
    #[error("the gateway {0}")]
    Http(#[from] HttpError),
    /// Another token is in force.
    #[error("the gateway does not accept the token")]
    Unauthorized,
    /// The request itself was refused; sending it again will not help.
    #[error("{0}")]
    Refused(String),
    /// Starting, draining, limited or broken; it may work later.
    #[error("the gateway answered {status}: {message}")]
    Unavailable {
        /// HTTP status.
        status: u16,
        /// The gateway's words.
        message: String,
    },
    /// Not the JSON that was expected.
    #[error("the gateway's answer could not be read")]
    Unreadable,
}

/// Where the gateway listens.
#[derive(Debug, Clone, Copy)]
pub struct Gateway(pub SocketAddr);

/// What the gateway says of its configuration.
#[derive(Debug)]
pub struct Report {
    /// Over the file's text, for compare-and-swap.
    pub base_hash: String,
    /// The file as the gateway read it, with secrets masked.
    pub parsed: Value,
    /// Whether the configuration that runs is the one in the file.
    pub applied: bool,
}

impl Gateway {
    /// Whether the gateway takes turns and changes.
    pub async fn ready(&self) -> bool {
        self.failing().await.is_some()
    }

    /// The channels that do not run; `None` where the gateway itself is not ready.
    ///
    /// OpenClaw's `/readyz` says no as soon as one channel does not run, which a revoked token is enough for. The
    /// gateway works all the same, and must be told of a better token: so it is looked at what fails.
    pub async fn failing(&self) -> Option<Vec<Channel>> {
        let request = Request::get("/readyz").header(header::HOST, "127.0.0.1").body(Full::default()).ok()?;
        match send(self.0, request, READY_PATIENCE, ADMIN_BYTES_MAX).await {
            Ok((StatusCode::OK, _)) => Some(Vec::new()),
            Ok((StatusCode::SERVICE_UNAVAILABLE, body)) => only_channels(&serde_json::from_slice(&body).ok()?),
            Ok(_) | Err(_) => None,
        }
    }

    /// What the gateway holds.
    pub async fn config(&self, token: &SecretText, patience: Duration) -> Result<Report, GatewayError> {
        let payload = self.admin(token, "config.get", &json!({}), patience).await?;
        let text = |key: &str| payload.get(key).and_then(Value::as_str).unwrap_or_default();
        let (revision, applied) = (text("configRevisionHash"), text("appliedConfigHash"));
        let valid = payload.get("valid").and_then(Value::as_bool).unwrap_or(false);
        Ok(Report {
            base_hash: text("hash").to_owned(),
            parsed: payload.get("parsed").cloned().ok_or(GatewayError::Unreadable)?,
            applied: valid && !revision.is_empty() && revision == applied,
        })
    }

    /// Puts a whole configuration in place of the one with this base hash. Never send what is there already:
    /// OpenClaw 2026.9.6 then answers nothing at all.
    pub async fn replace_config(
        &self,
        token: &SecretText,
        base_hash: &str,
        whole: &Value,
        patience: Duration,
    ) -> Result<(), GatewayError> {
        let params = json!({ "baseHash": base_hash, "raw": whole.to_string() });
        self.admin(token, "config.apply", &params, patience).await.map(drop)
    }

    /// Asks the gateway to finish what it is doing; `true` if it is idle now.
    pub async fn drain(&self, token: &SecretText, patience: Duration) -> bool {
        let params = json!({ "requestId": "berth-stop", "drain": true });
        let answer = self.admin(token, "gateway.suspend.prepare", &params, patience).await;
        answer.is_ok_and(|payload| payload.get("status").and_then(Value::as_str) == Some("ready"))
    }

    /// One turn. The session is OpenClaw's `user`: turns with the same one share a conversation.
    pub async fn turn(
        &self,
        token: &SecretText,
        text: &SecretText,
        session: &str,
        patience: Duration,
    ) -> Result<SecretText, GatewayError> {
        let body = json!({
            "model": "openclaw", "user": session, "stream": false,
            "messages": [{ "role": "user", "content": text.expose() }]
        });
        let (status, answer) = self.post("/v1/chat/completions", token, &body, patience, TURN_BYTES_MAX).await?;
        if status != StatusCode::OK {
            return Err(refusal(status, &answer));
        }
        let said = answer.pointer("/choices/0/message/content").and_then(Value::as_str);
        said.map(|text| SecretText::new(text.to_owned())).ok_or(GatewayError::Unreadable)
    }

    async fn admin(
        &self,
        token: &SecretText,
        method: &str,
        params: &Value,
        patience: Duration,
    ) -> Result<Value, GatewayError> {
        let body = json!({ "method": method, "params": params });
        let (status, mut answer) = self.post("/api/v1/admin/rpc", token, &body, patience, ADMIN_BYTES_MAX).await?;
        if status != StatusCode::OK || answer.get("ok").and_then(Value::as_bool) != Some(true) {
            return Err(refusal(status, &answer));
        }
        answer.get_mut("payload").map(Value::take).ok_or(GatewayError::Unreadable)
    }

    async fn post(
        &self,
        path: &str,
        token: &SecretText,
        body: &Value,
        patience: Duration,
        bytes_max: usize,
    ) -> Result<(StatusCode, Value), GatewayError> {
        let bearer = Zeroizing::new(format!("Bearer {}", token.expose()));
        let mut bearer = header::HeaderValue::from_str(&bearer).map_err(|_| GatewayError::Unauthorized)?;
        bearer.set_sensitive(true);
        let request = Request::post(path)
            .header(header::HOST, "127.0.0.1")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, bearer)
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(|_| GatewayError::Unreadable)?;
        let (status, bytes) = send(self.0, request, patience, bytes_max).await?;
        if status == StatusCode::UNAUTHORIZED {
            return Err(GatewayError::Unauthorized);
        }
        // An error page need not be JSON; its status says enough.
        match serde_json::from_slice(&bytes) {
            Ok(answer) => Ok((status, answer)),
            Err(_) if status == StatusCode::OK => Err(GatewayError::Unreadable),
            Err(_) => Ok((status, Value::Null)),
        }
    }
}

/// What fails, where that is channels and nothing else.
fn only_channels(told: &Value) -> Option<Vec<Channel>> {
    let failing = told.get("failing")?.as_array().filter(|failing| !failing.is_empty())?;
    failing.iter().map(|what| Channel::parse(what.as_str()?)).collect()
}

/// `{"error":{"message":…}}` in both of the gateway's dialects; 4xx is about the request, 5xx and 429 about the moment.
fn refusal(status: StatusCode, answer: &Value) -> GatewayError {
    let message = answer.pointer("/error/message").and_then(Value::as_str).unwrap_or("no reason given").to_owned();
    let stale = message.starts_with("config changed since last load");
    if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS && !stale {
        GatewayError::Refused(message)
    } else {
        GatewayError::Unavailable { status: status.as_u16(), message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_that_does_not_run_is_told_from_a_gateway_that_is_not_ready() {
        let of = |failing: Value| only_channels(&json!({ "ready": false, "failing": failing }));
        assert_eq!(of(json!(["telegram"])), Some(vec![Channel::Telegram]));
        for not_ready in [json!([]), json!(["startup-sidecars"]), json!(["telegram", "gateway-draining"]), json!(null)]
        {
            assert_eq!(of(not_ready.clone()), None, "{not_ready}");
        }
        assert_eq!(only_channels(&json!({ "ready": false })), None);
    }

    #[test]
    fn a_wrong_request_is_told_from_a_bad_moment() {
        let invalid = json!({ "ok": false, "error": { "code": "INVALID_REQUEST", "message": "invalid config: x" } });
        assert_eq!(refusal(StatusCode::BAD_REQUEST, &invalid), GatewayError::Refused("invalid config: x".into()));
        let stale = json!({ "error": { "message": "config changed since last load; re-run config.get and retry" } });
        for (status, answer) in [(StatusCode::BAD_REQUEST, stale), (StatusCode::SERVICE_UNAVAILABLE, Value::Null)] {
            assert!(matches!(refusal(status, &answer), GatewayError::Unavailable { .. }), "{status}");
        }
    }
}
