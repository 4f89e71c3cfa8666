//! Setting up the first agent, step by step: what was said so far, and how it ended.

use serde::{Deserialize, Serialize};

use crate::{id::AgentId, instructions::Choices, names::AgentName};

/// A question of the wizard. The words are stored and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// What is it called?
    Name,
    /// Which model answers?
    Model,
    /// Where do people reach it?
    Channel,
    /// What is it told about itself?
    Instructions,
}

impl Step {
    /// All of them, in their order.
    pub const EVERY: [Self; 4] = [Self::Name, Self::Model, Self::Channel, Self::Instructions];

    /// The word in addresses and in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Model => "model",
            Self::Channel => "channel",
            Self::Instructions => "instructions",
        }
    }

    /// Reads a word back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|step| step.name() == word)
    }

    /// What is asked next; the last one stays.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Name => Self::Model,
            Self::Model => Self::Channel,
            Self::Channel | Self::Instructions => Self::Instructions,
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// An agent came of it.
    Finished(AgentId),
    /// It was not wanted.
    Skipped,
}

/// What somebody said so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The id of the agent that will come of it: chosen when the draft was begun, so that only one comes of it.
    pub agent: AgentId,
    /// The furthest question that was reached.
    pub step: Step,
    /// Its name.
    pub name: Option<AgentName>,
    /// Model and instructions.
    pub choices: Choices,
    /// How it ended; `None`: it goes on.
    pub ended: Option<Ended>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_leads_to_the_last() {
        for step in Step::EVERY {
            assert_eq!(Step::parse(step.name()), Some(step));
            assert!(step.next() > step || step == Step::Instructions);
        }
        assert_eq!(Step::parse("key"), None);
    }
}
