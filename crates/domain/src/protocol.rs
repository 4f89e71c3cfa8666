//! What is said between the control plane and the guest program on a machine.
//!
//! One connection, one [`Request`] as JSON on stdin, one [`Answer`] as JSON on
//! stdout. Both carry the protocol's version; a guest that does not speak it
//! answers [`Refusal::Version`] and does nothing. A guest runs one request that
//! changes something at a time; `hello`, `status` and `logs` run beside it.

mod pairing;
mod secrets;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{channel::Channel, id::MachineId};
pub use pairing::{PAIRING_REQUEST_CHARS_MAX, Pairing, is_pairing_request};
pub use secrets::{SecretFile, SecretText, Variable, delivered};

/// The version spoken by this build.
pub const VERSION: u16 = 1;

/// Most bytes of a request or an answer, in JSON.
pub const BYTES_MAX: usize = 1024 * 1024;

/// Most log lines in one answer.
pub const LOG_LINES_MAX: u16 = 500;

/// One question to a machine.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// [`VERSION`] of the asking side.
    pub version: u16,
    /// What is asked.
    #[serde(flatten)]
    pub ask: Ask,
}

impl Request {
    /// A request in this build's version.
    #[must_use]
    pub const fn new(ask: Ask) -> Self {
        Self { version: VERSION, ask }
    }
}

/// The verbs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// Who are you, which versions, how far is the gateway?
    Hello,
    /// Put this configuration and these secrets in force. Idempotent; a lower fence than the last one begun is
    /// refused, and so is another document under the same fence. Other secrets under the same fence and document
    /// are a rotation. While the gateway is stopped it is kept for the next start ([`InForce::applied`] is false).
    Apply {
        /// Grows with every configuration of this machine; the same fence with the same document is a repetition.
        fence: u64,
        /// `openclaw.json` as the control plane wants it, without secrets.
        document: serde_json::Value,
        /// Every secret that the document refers to (`gateway_token` among them, each 8 bytes to 16 KiB); others on
        /// the machine are removed.
        secrets: Vec<SecretFile>,
        /// What the agent is told about itself, put beside the configuration as
        /// [`crate::openclaw::INSTRUCTIONS_FILE`]; absent: nothing, and what was there before is removed. A guest
        /// that does not know of it refuses a request that brings it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instructions: Option<SecretText>,
        /// The agent's environment variables, at most [`crate::variable::VARIABLES_MAX`]; others are removed. Where
        /// they changed, the gateway is started anew. Unknown to older guests, like `instructions`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        variables: Vec<Variable>,
        /// Where the machine may connect to beside its home, each as [`crate::reach::Reach`] writes it, at most
        /// [`crate::reach::REACH_MAX`]; an address of a private network only where the document names it too.
        /// Unknown to older guests, like `instructions`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        reach: Vec<String>,
    },
    /// Process, readiness and the configuration in force; changes nothing.
    Status,
    /// A real turn through the gateway's chat completions.
    Turn {
        /// The words; never logged.
        text: SecretText,
        /// Turns with the same session share a conversation.
        session: String,
        /// The guest gives up after this many milliseconds (at most 120,000).
        timeout_ms: u32,
    },
    /// Start the gateway's unit; "already running" is success.
    Start,
    /// Stop the gateway's unit after a drain; "already stopped" is success.
    Stop,
    /// Stop and start.
    Restart,
    /// The gateway's and the guest's last log lines, secrets redacted.
    Logs {
        /// At most [`LOG_LINES_MAX`].
        lines: u16,
    },
    /// Who waits to be let in at the agent's channels?
    Pairings,
    /// Let one of them in. They are told so where they asked.
    Approve {
        /// Where they asked.
        channel: Channel,
        /// [`Pairing::request`].
        request: String,
    },
    /// Seal what is kept here under this machine key from now on. Idempotent; whoever dies in between leaves a
    /// machine that opens what it kept, and the same request sent again finishes the work. One that was sent before
    /// the configuration begun last is refused.
    Rekey {
        /// Of the configuration that this key goes along with.
        fence: u64,
        /// 32 bytes in base64.
        key: SecretText,
    },
    /// Stop the gateway and destroy secrets, state and keys; the machine is to be removed next.
    Wipe,
}

impl Ask {
    /// The verb's name, for logs.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Apply { .. } => "apply",
            Self::Status => "status",
            Self::Turn { .. } => "turn",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Logs { .. } => "logs",
            Self::Pairings => "pairings",
            Self::Approve { .. } => "approve",
            Self::Rekey { .. } => "rekey",
            Self::Wipe => "wipe",
        }
    }
}

/// One answer from a machine.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// [`VERSION`] of the answering side.
    pub version: u16,
    /// What came of it.
    pub outcome: Outcome,
}

/// Either half of an answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Done(Reply),
    /// It was not, and the machine is as it was before unless the refusal says otherwise.
    Refused(Refusal),
}

/// What a verb returns.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// To `hello`.
    Hello(Hello),
    /// To `apply`, after the configuration was seen in force, or kept for the next start of a stopped gateway.
    Applied(InForce),
    /// To `status`.
    Status(Status),
    /// To `turn`.
    Turn {
        /// The agent's words; never logged.
        text: SecretText,
        /// From sending the turn to the gateway until its answer was complete.
        latency_ms: u32,
    },
    /// To `start`, `stop`, `restart`, `approve`, `wipe`.
    Ok,
    /// To `logs`, oldest first.
    Logs {
        /// Redacted lines, each at most 2,000 characters.
        lines: Vec<LogLine>,
    },
    /// To `pairings`, oldest first.
    Pairings {
        /// At most 3 a channel, as OpenClaw keeps no more.
        pairings: Vec<Pairing>,
    },
    /// To `rekey`, after what is kept was opened with the new key alone, read back from the disk.
    Rekeyed(Rekeyed),
}

/// Who a machine is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// As written into the machine before its first start.
    pub machine: MachineId,
    /// Changes with every boot (`/proc/sys/kernel/random/boot_id`).
    pub boot: String,
    /// Version of the machine image.
    pub image: String,
    /// Version of the guest program.
    pub guest: String,
    /// OpenClaw's version.
    pub openclaw: String,
    /// How far the gateway is.
    pub gateway: Gateway,
    /// Highest fence ever applied here.
    pub fence: u64,
}

/// How far the gateway is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gateway {
    /// The unit is not running.
    Stopped,
    /// Running, not ready yet.
    Starting,
    /// `/readyz` says yes, or names nothing but channels that do not run.
    Ready,
    /// The unit failed and will not be started again by itself.
    Failed,
}

/// What the gateway holds, read back from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// Fence of the last apply.
    pub fence: u64,
    /// SHA-256, in hexadecimal, of `openclaw::whole(openclaw::ours(document), instructions)`: the document as the
    /// gateway reports it, the instructions as they lie on the disk.
    pub digest: String,
    /// Whether the gateway's `configRevisionHash` equals its `appliedConfigHash`; false while it is stopped.
    pub applied: bool,
    /// SHA-256, in hexadecimal, of [`delivered`] over the secrets as they lie opened on the machine, or, while the
    /// gateway is stopped, as they are kept. `None` from a guest that does not know of it, and where they cannot be read.
    #[serde(default)]
    pub secrets_digest: Option<String>,
}

/// That a machine's key was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rekeyed {
    /// The id of the key that now opens what is kept: that of the key that was sent.
    pub key: String,
    /// What it opened, as in [`InForce::secrets_digest`]; `None` where nothing was kept.
    pub secrets_digest: Option<String>,
}

/// A machine's health as it sees itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// See [`Hello::boot`].
    pub boot: String,
    /// How far the gateway is.
    pub gateway: Gateway,
    /// Present while the gateway answers its admin calls.
    pub in_force: Option<InForce>,
    /// Memory of the gateway's unit, if known; with file cache where the kernel does not tell it apart.
    pub memory_bytes: Option<u64>,
    /// Space left on the root file system, if known.
    pub disk_free_bytes: Option<u64>,
    /// Channels that are on and do not run: above all, a token that its vendor does not know any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<Channel>,
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written.
    pub at: DateTime<Utc>,
    /// `openclaw` or `berth-guest`.
    pub unit: String,
    /// The redacted text; hostile.
    pub text: String,
}

/// Why a verb was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "refusal", rename_all = "snake_case")]
pub enum Refusal {
    /// The other side speaks another version.
    #[error("the guest speaks version {guest}")]
    Version {
        /// The guest's.
        guest: u16,
    },
    /// Not JSON, no such verb, out of bounds.
    #[error("the guest could not read the request: {why}")]
    Malformed {
        /// A short reason without any of the request's content.
        why: String,
    },
    /// A newer configuration was applied already.
    #[error("fence {fence} is behind {applied}")]
    Fenced {
        /// As asked.
        fence: u64,
        /// The highest applied.
        applied: u64,
    },
    /// The gateway did not get ready, or did not answer, in time. The same request may succeed later.
    #[error("the gateway is not ready: {why}")]
    NotReady {
        /// What was seen last.
        why: String,
    },
    /// The gateway refused the configuration; the last good one goes on running.
    #[error("the gateway refused the configuration: {why}")]
    Invalid {
        /// The gateway's reason, redacted.
        why: String,
    },
    /// The gateway answered the turn with an error.
    #[error("the turn failed: {why}")]
    TurnFailed {
        /// The gateway's reason, redacted.
        why: String,
    },
    /// Nobody waits under that name: let in already, lapsed, or never there.
    #[error("there is no such request for access any more")]
    NoPairing,
    /// Another request that changes something is under way.
    #[error("the machine is busy with another request")]
    Busy,
    /// Something broke on the machine (disk full, unit missing).
    #[error("the machine could not do it: {why}")]
    Broken {
        /// A short reason, redacted.
        why: String,
    },
}

/// What a machine tells the control plane by itself: `POST /api/internal/machine/events`, bearer: its machine token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum MachineEvent {
    /// The guest service is up and takes requests.
    Up,
    /// The gateway became ready.
    GatewayReady,
    /// The gateway stopped being ready, without having been asked to.
    GatewayLost,
}

/// `/etc/berth/guest.json`: what the control plane writes into a machine before its first start.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestConfig {
    /// Who this machine is.
    pub machine: MachineId,
    /// Base URL of the control plane's machine routes, without a slash at the end.
    pub home: String,
    /// Bearer for `home`.
    pub machine_token: SecretText,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reads_as_documented() {
        let text = r#"{"version":1,"verb":"apply","fence":3,"document":{"a":1},"secrets":[{"name":"k","value":"v"}]}"#;
        let request: Request = serde_json::from_str(text).unwrap();
        assert_eq!(request.ask.verb(), "apply");
        assert!(!format!("{request:?}").contains("\"v\""), "a secret shows in Debug");
        let written = serde_json::to_string(&request).unwrap();
        for newer in ["instructions", "variables", "reach"] {
            assert!(!written.contains(newer), "older guests go on reading it");
        }
        assert!(serde_json::from_str::<Request>(r#"{"version":1,"verb":"shell"}"#).is_err());
    }

    /// PRV-15: a machine can be asked twelve things, and none is "read me this" or "run this".
    #[test]
    fn there_are_twelve_verbs() {
        let refused = serde_json::from_str::<Request>(r#"{"version":1,"verb":"shell"}"#).unwrap_err().to_string();
        let verbs: Vec<&str> = refused.split('`').skip(1).step_by(2).skip(1).collect();
        let twelve = "hello apply status turn start stop restart logs pairings approve rekey wipe";
        assert_eq!(verbs.join(" "), twelve, "{refused}");
    }

    #[test]
    fn an_answer_of_an_older_guest_still_reads() {
        let older = r#"{"fence":1,"digest":"d","applied":true}"#;
        let in_force: InForce = serde_json::from_str(older).unwrap();
        assert_eq!(in_force.secrets_digest, None);
    }

    #[test]
    fn an_answer_round_trips() {
        let answer = Answer { version: VERSION, outcome: Outcome::Refused(Refusal::Fenced { fence: 1, applied: 2 }) };
        let text = serde_json::to_string(&answer).unwrap();
        assert_eq!(text, r#"{"version":1,"outcome":{"refused":{"refusal":"fenced","fence":1,"applied":2}}}"#);
    }
}
