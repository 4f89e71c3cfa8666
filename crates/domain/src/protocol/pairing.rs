//! Who waits to be let in at an agent's channels.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::channel::Channel;

/// Most characters of [`Pairing::request`].
pub const PAIRING_REQUEST_CHARS_MAX: usize = 64;

/// Somebody who wrote to the agent and is not heard yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pairing {
    /// Where.
    pub channel: Channel,
    /// What names the request at the gateway: letters, digits, `-` and `_`, at most 64. No secret, and not the code
    /// that the person was told.
    pub request: String,
    /// Who, by the channel's own id, which nobody can choose; at most 100 characters.
    pub sender: String,
    /// What they call themselves there, at most 100 characters; hostile.
    pub name: Option<String>,
    /// When they asked first.
    pub asked_at: DateTime<Utc>,
    /// When the request lapses; they may ask again then.
    pub expires_at: DateTime<Utc>,
}

/// Whether a text could name a pairing request.
#[must_use]
pub fn is_pairing_request(text: &str) -> bool {
    (1..=PAIRING_REQUEST_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pairing_request_is_one_plain_word() {
        assert!(is_pairing_request("3q2-7_w"));
        for bad in ["", "a b", "../x", "a\"b", "ä", &"a".repeat(65)] {
            assert!(!is_pairing_request(bad), "{bad:?}");
        }
    }
}
