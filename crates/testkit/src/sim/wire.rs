//! The daemon's envelopes and nouns, as LXD 5 and Incus 6 write them.

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};

use super::{Shared, instances::Instance, operations::Operation};

/// The one network.
pub(super) const BRIDGE: &str = "simbr0";
/// The one storage pool.
pub(super) const POOL: &str = "sim";
/// The one image's fingerprint.
pub(super) const FINGERPRINT: &str = "51d0000000000000000000000000000000000000000000000000000000000000";

/// An answer of the daemon.
#[derive(Debug)]
pub(super) enum Reply {
    /// Answered at once.
    Sync(Value),
    /// An operation was begun.
    Async(Operation),
    /// The call was refused: status and words.
    Refused(u16, String),
}

impl Reply {
    pub(super) fn absent(what: &str) -> Self {
        Self::Refused(404, format!("{what} not found"))
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let (status, body) = match self {
            Self::Sync(metadata) => {
                (200, json!({"type": "sync", "status": "Success", "status_code": 200, "metadata": metadata}))
            }
            Self::Async(operation) => {
                let path = format!("/1.0/operations/{}", operation.id);
                let body = json!({
                    "type": "async", "status": "Operation created", "status_code": 100,
                    "operation": path, "metadata": operation.to_json(),
                });
                (202, body)
            }
            Self::Refused(code, words) => (code, json!({"type": "error", "error_code": code, "error": words})),
        };
        let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        response
    }
}

/// `GET /1.0`.
pub(super) fn server() -> Value {
    json!({
        "auth": "trusted",
        "api_version": "1.0",
        "environment": {"server": "incus", "server_version": "6.0-simulated", "driver": "lxc"},
    })
}

/// `GET /1.0/networks/<name>`.
pub(super) fn network(shared: &Shared) -> Value {
    json!({
        "name": BRIDGE, "managed": true, "type": "bridge",
        "config": {"ipv4.address": shared.network.cidr()},
    })
}

/// `GET /1.0/instances/<name>`.
pub(super) fn instance(name: &str, instance: &Instance) -> Value {
    let (status, code) = if instance.power.is_some() { ("Running", 103) } else { ("Stopped", 102) };
    json!({
        "name": name, "type": "container", "status": status, "status_code": code,
        "config": instance.config, "devices": instance.devices,
        "created_at": instance.created_at, "last_used_at": instance.last_used_at,
    })
}
