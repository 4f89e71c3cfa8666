//! Letters: single mails of the house to a person, and the flow that sends one.
//!
//! [`Told`] is what a letter about a tenant tells, as data; [`words`] says it, once, as a [`Written`], and
//! `dress.rs` beside it turns that into plain text and HTML. When a letter about payments is due is in
//! [`crate::dunning`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

mod dress;
mod told;
pub mod words;

pub use dress::{Block, Link, Written};
pub use told::{Backups, Certificate, Destroyed, GoneMachine, Stopped, Told};

/// What a letter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LetterKind {
    /// A link that signs its reader in, if they may.
    SignIn,
    /// A code that lets its reader sign up.
    Invite,
    /// Somebody signed up.
    Welcome,
    /// The first agent of a tenant is live.
    Ready,
    /// A trial ends in three days.
    TrialEnding,
    /// What was given ends in three days.
    GiftEnding,
    /// A payment failed.
    PaymentFailed,
    /// Agents are stopped, because nobody pays for them.
    Suspended,
    /// Agents are started again.
    Restored,
    /// A subscription ends, or has ended.
    Cancelled,
    /// The agents of who left are destroyed.
    Removed,
}

impl LetterKind {
    /// All of them, in the order of a tenant's life.
    pub const EVERY: [Self; 11] = [
        Self::SignIn,
        Self::Invite,
        Self::Welcome,
        Self::Ready,
        Self::TrialEnding,
        Self::GiftEnding,
        Self::PaymentFailed,
        Self::Suspended,
        Self::Restored,
        Self::Cancelled,
        Self::Removed,
    ];

    /// The word in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Invite => "invite",
            Self::Welcome => "welcome",
            Self::Ready => "ready",
            Self::TrialEnding => "trial_ending",
            Self::GiftEnding => "gift_ending",
            Self::PaymentFailed => "payment_failed",
            Self::Suspended => "suspended",
            Self::Restored => "restored",
            Self::Cancelled => "cancelled",
            Self::Removed => "removed",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|kind| kind.name() == word)
    }
}

/// The steps of a letter's flow: one, and a second where no mail server was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum LetterStep {
    /// Looks whether it is to be sent, and hands it over.
    Send,
    /// The same, later and later, for a letter with a cause: nobody waits for it, and nobody may miss it.
    Tell,
}

impl LetterStep {
    /// Both.
    pub const EVERY: [Self; 2] = [Self::Send, Self::Tell];

    /// The word in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Tell => "tell",
        }
    }

    /// How long it is tried: a link is good for a quarter of an hour, and nobody waits longer; a mail server may be
    /// down over a weekend.
    #[must_use]
    pub const fn deadline(self) -> Duration {
        match self {
            Self::Send => Duration::from_mins(15),
            Self::Tell => Duration::from_hours(72),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_word() {
        for kind in LetterKind::EVERY {
            assert_eq!(LetterKind::parse(kind.name()), Some(kind));
            assert_eq!(serde_json::json!(kind), kind.name());
        }
        assert_eq!(LetterKind::parse("advert"), None);
    }
}
