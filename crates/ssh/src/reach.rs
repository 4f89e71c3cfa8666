//! What the rest of Berth knows of a connection to a machine.

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::{
    MachineId,
    protocol::{Answer, Request},
};

use crate::{Authority, Pinned};

/// The machine to ask, and how to know it and be known by it.
#[derive(Debug)]
pub struct Target<'a> {
    /// Where its sshd listens.
    pub address: SocketAddr,
    /// Who it is; the principal of the certificate.
    pub machine: MachineId,
    /// The only host key it may show.
    pub host_key: &'a Pinned,
    /// Signs the certificate for this one connection.
    pub authority: &'a Authority,
    /// The certificate holds until five minutes after this.
    pub now: DateTime<Utc>,
}

/// Asks a machine one thing.
#[async_trait]
pub trait Reach: Send + Sync + 'static {
    /// Connects, proves both sides, sends the request, reads the answer, closes the line: all within `limit`.
    ///
    /// An error after the request was sent ([`SshError::Lost`],
    /// [`SshError::TimedOut`], [`SshError::Garbled`]) leaves open whether the
    /// machine did it; every verb but `turn` may simply be asked again.
    async fn ask(&self, target: &Target<'_>, request: &Request, limit: Duration) -> Result<Answer, SshError>;
}

/// Why there is no answer. Nothing in it comes from a request or an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SshError {
    /// Nobody listens there, or no SSH server does. Usual while a machine starts.
    #[error("the machine cannot be reached: {why}")]
    Unreachable {
        /// The operating system's or the SSH library's word for it.
        why: String,
    },
    /// Another key than the pinned one. Nothing was sent; a person has to look.
    #[error("the machine shows another host key: {shown} instead of {expected}")]
    HostKeyChanged {
        /// Fingerprint of the pinned key, `SHA256:…`.
        expected: String,
        /// Fingerprint of the key that was shown, or what was offered instead of one.
        shown: String,
    },
    /// It is the right machine, and it did not let us in or not let us ask.
    #[error("the machine refused us: {why}")]
    Refused {
        /// Which door was closed.
        why: &'static str,
    },
    /// The limit ran out.
    #[error("no answer within {} ms", limit.as_millis())]
    TimedOut {
        /// As given to [`Reach::ask`].
        limit: Duration,
    },
    /// The answer is too long, cut off, or not one of the protocol.
    #[error("the machine's answer cannot be read: {why}")]
    Garbled {
        /// What is wrong with it, without any of its content.
        why: String,
    },
    /// The connection broke after it was established.
    #[error("the connection to the machine was lost: {why}")]
    Lost {
        /// The operating system's or the SSH library's word for it.
        why: String,
    },
}

impl SshError {
    /// Whether the same request may succeed a little later without anybody doing anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Lost { .. } => true,
            Self::HostKeyChanged { .. } | Self::Refused { .. } | Self::Garbled { .. } => false,
        }
    }
}
