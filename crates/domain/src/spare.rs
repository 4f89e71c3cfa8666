//! The steps of a spare machine's life, as data: made, configured, warmed, ready; claimed or retired.
//!
//! The machine is the flow's subject. Behaviour is in `flows::spare`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One step. The word in JSON (`step`) is stored: it may be added to, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Spare {
    /// Make the machine at its provider, with its own files, and start it.
    Create,
    /// Wait until the machine takes connections.
    Await,
    /// Meet the guest over the pinned connection; wait for its gateway.
    Hello,
    /// Put configuration and secrets in force.
    Apply,
    /// Take the first turn, which costs a gateway seconds, before anybody waits for it.
    Warm,
    /// May be claimed; looked at now and then.
    Ready,
    /// Destroy the machine and see that it is gone.
    Retire {
        /// Why, for the log.
        why: String,
    },
}

impl Spare {
    /// Every step once, for tests that must not forget one.
    #[must_use]
    pub fn every() -> Vec<Self> {
        vec![
            Self::Create,
            Self::Await,
            Self::Hello,
            Self::Apply,
            Self::Warm,
            Self::Ready,
            Self::Retire { why: String::new() },
        ]
    }

    /// The word in the database and in logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Await => "await",
            Self::Hello => "hello",
            Self::Apply => "apply",
            Self::Warm => "warm",
            Self::Ready => "ready",
            Self::Retire { .. } => "retire",
        }
    }

    /// How long the flow may stay in this step. `None` where it rests. A spare that takes longer is retired.
    #[must_use]
    pub const fn deadline(&self) -> Option<Duration> {
        match self {
            Self::Create | Self::Hello => Some(Duration::from_mins(5)),
            Self::Await | Self::Apply | Self::Warm => Some(Duration::from_mins(4)),
            Self::Ready => None,
            Self::Retire { .. } => Some(Duration::from_mins(15)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows written by older builds hold these words. A line may be added; none may change.
    #[test]
    fn stored_words_never_change() {
        let words: Vec<String> = Spare::every().iter().map(|s| serde_json::to_string(s).unwrap()).collect();
        assert_eq!(
            words,
            [
                r#"{"step":"create"}"#,
                r#"{"step":"await"}"#,
                r#"{"step":"hello"}"#,
                r#"{"step":"apply"}"#,
                r#"{"step":"warm"}"#,
                r#"{"step":"ready"}"#,
                r#"{"step":"retire","why":""}"#,
            ]
        );
    }

    #[test]
    fn only_a_ready_spare_rests() {
        for step in Spare::every() {
            assert_eq!(serde_json::to_value(&step).unwrap()["step"], step.name());
            assert_eq!(step.deadline().is_none(), step == Spare::Ready, "{}", step.name());
        }
    }
}
