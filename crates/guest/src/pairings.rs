//! `pairings` and `approve`: who waits to be let in at the agent's channels, and letting them in.
//!
//! Names are what strangers call themselves, so they are shown cleaned and short. OpenClaw tells the person a code and
//! keeps it from us; a request is named by the gateway's own id for it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{
    channel::Channel,
    protocol::{Gateway, Pairing, Refusal, SecretText, is_pairing_request},
};
use serde_json::{Value, json};

use crate::{
    gateway_socket::{SocketError, ask},
    machine::Machine,
    redact::Redactor,
    sealed::GATEWAY_TOKEN,
    status,
};

const PATIENCE: Duration = Duration::from_secs(10);
const WORD_CHARS_MAX: usize = 100;
/// Of all channels together; OpenClaw keeps three for each account of each.
const PAIRINGS_MAX: usize = 30;
const SCOPES: [&str; 1] = ["operator.pairing"];
/// OpenClaw's name for the one account of a channel that our document has.
const ACCOUNT: &str = "default";

/// Everybody who waits, oldest first.
pub async fn pairings(machine: &Machine) -> Result<Vec<Pairing>, Refusal> {
    let answer = asked(machine, "channels.pairing.list", &json!({})).await?;
    let redactor = machine.redactor();
    let requests = answer.get("requests").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut all: Vec<Pairing> = requests.iter().filter_map(|request| read(request, &redactor)).collect();
    all.sort_by_key(|pairing| pairing.asked_at);
    all.truncate(PAIRINGS_MAX);
    Ok(all)
}

/// Lets one of them in, and has them told where they asked.
pub async fn approve(machine: &Machine, channel: Channel, request: &str) -> Result<(), Refusal> {
    if !is_pairing_request(request) {
        return Err(Refusal::Malformed { why: "that names no request for access".to_owned() });
    }
    // Who may give commands to the gateway itself is not decided here: nobody may.
    let params = json!({
        "channel": channel.as_str(), "accountId": ACCOUNT, "requestId": request, "notify": true,
        "bootstrapCommandOwner": false
    });
    match asked(machine, "channels.pairing.approve", &params).await {
        Ok(_) => Ok(()),
        // The channel is off, or the request is not there: for who asks it is the same.
        Err(Refusal::Invalid { .. }) => Err(Refusal::NoPairing),
        Err(other) => Err(other),
    }
}

async fn asked(machine: &Machine, method: &str, params: &Value) -> Result<Value, Refusal> {
    let current = machine.store().and_then(|store| store.current()).map_err(|error| machine.broken(&error))?;
    let token = current.as_ref().and_then(|bundle| bundle.secret(GATEWAY_TOKEN));
    let token: &SecretText = token.ok_or_else(|| Refusal::NotReady { why: "nothing was applied yet".to_owned() })?;
    if status::gateway(machine).await? != Gateway::Ready {
        return Err(Refusal::NotReady { why: "the gateway is not ready".to_owned() });
    }
    ask(machine.paths.gateway, token, &SCOPES, (method, params), PATIENCE).await.map_err(|error| match &error {
        SocketError::Refused(_) => Refusal::Invalid { why: machine.reason(&error.to_string()) },
        SocketError::Unreachable | SocketError::Late | SocketError::Shut(_) | SocketError::Unavailable(_) => {
            Refusal::NotReady { why: machine.reason(&error.to_string()) }
        }
    })
}

/// One request as the gateway tells it; what we do not know is left out.
fn read(request: &Value, redactor: &Redactor) -> Option<Pairing> {
    let text = |key: &str| request.get(key).and_then(Value::as_str);
    let instant = |key: &str| Some(DateTime::parse_from_rfc3339(text(key)?).ok()?.with_timezone(&Utc));
    let id = text("requestId").filter(|id| is_pairing_request(id))?;
    Some(Pairing {
        channel: Channel::parse(text("channel")?)?,
        request: id.to_owned(),
        sender: cleaned(text("senderId")?),
        name: name(request.get("metadata"), redactor),
        asked_at: instant("createdAt")?,
        expires_at: instant("expiresAt")?,
    })
}

/// An id is compared by eye with what the person was told, so it is cut and cleaned, and never redacted.
fn cleaned(id: &str) -> String {
    id.chars().filter(char::is_ascii_graphic).take(WORD_CHARS_MAX).collect()
}

/// What they call themselves: a name, and the name by which the channel finds them.
fn name(metadata: Option<&Value>, redactor: &Redactor) -> Option<String> {
    let word = |key: &str| metadata?.get(key)?.as_str().map(str::trim).filter(|word| !word.is_empty());
    let names: Vec<&str> = ["firstName", "lastName", "name", "displayName"].into_iter().filter_map(word).collect();
    let handle = ["username", "tag"].into_iter().find_map(word).map(|handle| format!("@{handle}"));
    let whole = [names.join(" "), handle.unwrap_or_default()].join(" ");
    let line = redactor.line(whole.trim(), WORD_CHARS_MAX);
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Value {
        json!({
            "requestId": "nyXPHOzbi6U65g2rEZC-NwS6hO2y5AW5", "channel": "telegram", "channelLabel": "Telegram",
            "accountId": "default", "senderId": "4242", "senderLabel": "telegramUserId",
            "metadata": { "username": "eve_s", "firstName": "Eve", "lastName": "Stranger" },
            "createdAt": "2026-11-21T23:47:15.635Z", "lastSeenAt": "2026-11-21T23:47:15.635Z",
            "expiresAt": "2026-11-22T00:47:15.635Z", "notifySupported": true
        })
    }

    #[test]
    fn a_request_reads_as_the_gateway_tells_it() {
        let pairing = read(&request(), &Redactor::default()).unwrap();
        assert_eq!((pairing.channel, pairing.sender.as_str()), (Channel::Telegram, "4242"));
        assert_eq!(pairing.name.as_deref(), Some("Eve Stranger @eve_s"));
        assert_eq!((pairing.expires_at - pairing.asked_at).num_seconds(), 3600);
    }

    #[test]
    fn strangers_cannot_dress_up() {
        let mut request = request();
        request["metadata"] = json!({ "firstName": "\u{202e}evE\u{1b}[31m\n", "username": "x".repeat(500) });
        request["senderId"] = json!("42\u{202e}42 \n");
        let pairing = read(&request, &Redactor::default()).unwrap();
        let name = pairing.name.unwrap();
        assert!(name.chars().count() <= WORD_CHARS_MAX && name.chars().all(|c| !c.is_control() && c != '\u{202e}'));
        assert_eq!(pairing.sender, "4242");
        request["metadata"] = Value::Null;
        assert_eq!(read(&request, &Redactor::default()).unwrap().name, None);
        for (key, bad) in [("requestId", json!("../x")), ("channel", json!("matrix")), ("createdAt", json!("soon"))] {
            let mut other = request.clone();
            other[key] = bad;
            assert_eq!(read(&other, &Redactor::default()), None, "{key}");
        }
    }
}
