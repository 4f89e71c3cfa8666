//! Letters: single mails of the house to a person, and the flow that sends one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a letter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LetterKind {
    /// A link that signs its reader in, if they may.
    SignIn,
    /// A code that lets its reader sign up.
    Invite,
}

impl LetterKind {
    /// The word in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Invite => "invite",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::SignIn, Self::Invite].into_iter().find(|kind| kind.name() == word)
    }
}

/// The steps of a letter's flow: one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum LetterStep {
    /// Looks whether it is to be sent, and hands it over.
    Send,
}

impl LetterStep {
    /// The word in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
        }
    }

    /// How long it is tried: a link is good for a quarter of an hour, and nobody waits longer.
    #[must_use]
    pub const fn deadline(self) -> Duration {
        match self {
            Self::Send => Duration::from_mins(15),
        }
    }
}
