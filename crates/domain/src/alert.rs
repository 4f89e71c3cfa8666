//! Alerts: a person is needed. What they are about, how urgent they are, and when they are told again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, DeliveryId, FlowId, MachineId};

/// What an alert is about. Each has a runbook in `docs/runbooks/` of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// A machine showed another host key than the one pinned.
    HostKeyChanged,
    /// A flow gave up at a step.
    FlowFailed,
    /// A removal cannot finish: the machine may still exist.
    RemovalStuck,
    /// The provider holds a machine of ours that no row knows, or lost one that a row knows.
    MachineMismatch,
    /// So many machines are silent at once that the fault is rather ours; nothing is done to them.
    FleetUnreachable,
    /// A spare machine was given up: new agents may have to wait for a machine of their own.
    PoolLow,
    /// Alerts do not get through on a carrier.
    DeliveryFailing,
    /// What a tenant pays is not known for a while, or an event of Stripe's is not understood.
    BillingStuck,
    /// A tenant disputes a payment at its bank; it is suspended.
    PaymentDisputed,
    /// A tenant has more than one subscription that will be charged again.
    BilledTwice,
}

impl AlertKind {
    /// Every kind once.
    pub const EVERY: [Self; 10] = [
        Self::HostKeyChanged,
        Self::FlowFailed,
        Self::RemovalStuck,
        Self::MachineMismatch,
        Self::FleetUnreachable,
        Self::PoolLow,
        Self::DeliveryFailing,
        Self::BillingStuck,
        Self::PaymentDisputed,
        Self::BilledTwice,
    ];

    /// The word in the database, and the runbook's file name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HostKeyChanged => "host_key_changed",
            Self::FlowFailed => "flow_failed",
            Self::RemovalStuck => "removal_stuck",
            Self::MachineMismatch => "machine_mismatch",
            Self::FleetUnreachable => "fleet_unreachable",
            Self::PoolLow => "pool_low",
            Self::DeliveryFailing => "delivery_failing",
            Self::BillingStuck => "billing_stuck",
            Self::PaymentDisputed => "payment_disputed",
            Self::BilledTwice => "billed_twice",
        }
    }

    /// What happened, for a heading and the subject of a mail.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::HostKeyChanged => "A machine shows another host key",
            Self::FlowFailed => "An agent's flow gave up",
            Self::RemovalStuck => "A removal does not end",
            Self::MachineMismatch => "Database and provider disagree about a machine",
            Self::FleetUnreachable => "Much of the fleet does not answer",
            Self::PoolLow => "A spare machine could not be made",
            Self::DeliveryFailing => "Alerts do not get through",
            Self::BillingStuck => "What a tenant pays is not known",
            Self::PaymentDisputed => "A payment is disputed",
            Self::BilledTwice => "A tenant pays twice",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|kind| kind.name() == word)
    }

    /// How soon a person is needed.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            // Somebody's agent does not answer, or may be in other hands, or nobody would learn of it.
            Self::HostKeyChanged
            | Self::FlowFailed
            | Self::MachineMismatch
            | Self::FleetUnreachable
            | Self::DeliveryFailing => Severity::Critical,
            // It costs money or time until it ends, and nobody's agent is away.
            Self::RemovalStuck | Self::PoolLow | Self::BillingStuck | Self::PaymentDisputed | Self::BilledTwice => {
                Severity::Warning
            }
        }
    }

    /// Where its runbook stands in the repository.
    #[must_use]
    pub fn runbook(self) -> String {
        format!("docs/runbooks/{}.md", self.name())
    }
}

/// How soon a person is needed. The words are those of Prometheus' Alertmanager and of most pagers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Now, also at night.
    Critical,
    /// On the next working day.
    Warning,
}

impl Severity {
    /// Every severity once.
    pub const EVERY: [Self; 2] = [Self::Critical, Self::Warning];

    /// The word in the database, in notices and on pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
        }
    }

    /// What the word asks of a person.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Critical => "A person is needed now.",
            Self::Warning => "A person is needed on the next working day.",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|severity| severity.name() == word)
    }

    /// How long after a firing it fires again, while nobody has acknowledged it: doubled each time, up to a ceiling.
    ///
    /// `firings` counts those so far; the first interval follows the first.
    #[must_use]
    pub fn again_after(self, firings: u32) -> Duration {
        let (first, ceiling) = match self {
            Self::Critical => (Duration::from_mins(15), Duration::from_hours(4)),
            Self::Warning => (Duration::from_hours(8), Duration::from_hours(24)),
        };
        let doublings = firings.saturating_sub(1).min(16);
        first.saturating_mul(1 << doublings).min(ceiling)
    }
}

/// What an alert is about: its id, as it stands in the alert's `subject`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Related {
    /// An agent.
    Agent(AgentId),
    /// A machine.
    Machine(MachineId),
    /// A flow.
    Flow(FlowId),
    /// Something that no row knows: a stranger's name at the provider, a carrier.
    Other(String),
}

impl Related {
    /// Reads a subject: the prefix of the id says what it is.
    #[must_use]
    pub fn of(subject: &str) -> Self {
        let agent = subject.parse().map(Self::Agent);
        let machine = || subject.parse().map(Self::Machine);
        let flow = || subject.parse().map(Self::Flow);
        agent.or_else(|_| machine()).or_else(|_| flow()).unwrap_or_else(|_| Self::Other(subject.to_owned()))
    }

    /// `agent`, `machine`, `flow`, `other`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Agent(_) => "agent",
            Self::Machine(_) => "machine",
            Self::Flow(_) => "flow",
            Self::Other(_) => "other",
        }
    }

    /// The id, or the name where there is none.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::Agent(id) => id.to_string(),
            Self::Machine(id) => id.to_string(),
            Self::Flow(id) => id.to_string(),
            Self::Other(name) => name.clone(),
        }
    }
}

/// A way on which an alert reaches a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Carrier {
    /// To the operator's address.
    Mail,
    /// To the operator's own program.
    Webhook,
}

impl Carrier {
    /// Every carrier once.
    pub const EVERY: [Self; 2] = [Self::Mail, Self::Webhook];

    /// The word in the database and on pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Webhook => "webhook",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|carrier| carrier.name() == word)
    }
}

/// How far the delivery of one firing on one carrier is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// To be tried, or to be tried again.
    Pending,
    /// The other side took it.
    Delivered,
    /// Another firing took its place, or a day passed.
    GivenUp,
    /// Somebody acknowledged the alert first.
    NotNeeded,
}

impl DeliveryState {
    /// Every state once.
    pub const EVERY: [Self; 4] = [Self::Pending, Self::Delivered, Self::GivenUp, Self::NotNeeded];

    /// The word in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::GivenUp => "given_up",
            Self::NotNeeded => "not_needed",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|state| state.name() == word)
    }
}

/// How long to wait before a delivery is tried again: 5 s, 10 s, 20 s … up to ten minutes.
#[must_use]
pub fn try_again_after(tries: u32) -> Duration {
    Duration::from_secs(5).saturating_mul(1 << tries.saturating_sub(1).min(16)).min(Duration::from_mins(10))
}

/// The steps of a notice's flow, as data: one flow for each alert, while it is open.
/// The word in JSON (`step`) is stored: it may be added to, never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Notice {
    /// Write down one delivery a carrier, before anything leaves the house.
    Fire {
        /// Which firing of the alert: 1 is the first.
        firing: u32,
    },
    /// Deliver what is pending, one after the other.
    Deliver {
        /// Which firing.
        firing: u32,
    },
    /// Wait until the alert is due to fire again, or is closed.
    Rest {
        /// The last firing.
        firing: u32,
    },
}

impl Notice {
    /// Every step once, for tests that must not forget one.
    pub const EVERY: [Self; 3] = [Self::Fire { firing: 1 }, Self::Deliver { firing: 1 }, Self::Rest { firing: 1 }];

    /// The word in the database and in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fire { .. } => "fire",
            Self::Deliver { .. } => "deliver",
            Self::Rest { .. } => "rest",
        }
    }

    /// How long the flow may stay in this step. `None` where it rests.
    #[must_use]
    pub const fn deadline(self) -> Option<Duration> {
        match self {
            Self::Fire { .. } => Some(Duration::from_mins(5)),
            // Whoever could not be told within a day is told by a later firing.
            Self::Deliver { .. } => Some(Duration::from_hours(24)),
            Self::Rest { .. } => None,
        }
    }
}

/// A delivery that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Its identity, the same at every try: what the other side recognises a repetition by.
    pub id: DeliveryId,
    /// Which firing.
    pub firing: u32,
    /// On which way.
    pub carrier: Carrier,
    /// How often it was tried without success.
    pub tries: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn every_word_reads_back() {
        for kind in AlertKind::EVERY {
            assert_eq!(AlertKind::parse(kind.name()), Some(kind));
            assert_eq!(serde_json::json!(kind), kind.name());
            assert!(!kind.title().is_empty() && kind.runbook().ends_with(&format!("{}.md", kind.name())));
        }
        assert!(Severity::EVERY.iter().all(|s| Severity::parse(s.name()) == Some(*s)));
        assert!(Carrier::EVERY.iter().all(|c| Carrier::parse(c.name()) == Some(*c)));
        assert!(DeliveryState::EVERY.iter().all(|s| DeliveryState::parse(s.name()) == Some(*s)));
    }

    /// Rows written by older builds hold these words. A line may be added; none may change.
    #[test]
    fn stored_words_never_change() {
        let words = Notice::EVERY.map(|step| serde_json::to_string(&step).unwrap());
        let golden =
            [r#"{"step":"fire","firing":1}"#, r#"{"step":"deliver","firing":1}"#, r#"{"step":"rest","firing":1}"#];
        assert_eq!(words, golden);
        for step in Notice::EVERY {
            assert_eq!(serde_json::json!(step)["step"], step.name());
        }
    }

    #[test]
    fn it_fires_again_later_and_later_up_to_a_ceiling() {
        let minutes = |severity: Severity| [1, 2, 3, 4, 5, 6, u32::MAX].map(|n| severity.again_after(n).as_secs() / 60);
        assert_eq!(minutes(Severity::Critical), [15, 30, 60, 120, 240, 240, 240]);
        assert_eq!(minutes(Severity::Warning), [480, 960, 1440, 1440, 1440, 1440, 1440]);
    }

    #[test]
    fn a_delivery_is_tried_later_and_later_up_to_a_ceiling() {
        let seconds = [1, 2, 3, 7, 8, u32::MAX].map(|tries| try_again_after(tries).as_secs());
        assert_eq!(seconds, [5, 10, 20, 320, 600, 600]);
    }

    #[test]
    fn a_subject_says_what_it_is() {
        let uuid = Uuid::from_u128(7);
        let agent = AgentId::from_uuid(uuid);
        assert_eq!(Related::of(&agent.to_string()), Related::Agent(agent));
        assert_eq!(Related::of(&MachineId::from_uuid(uuid).to_string()).kind(), "machine");
        assert_eq!(Related::of(&FlowId::from_uuid(uuid).to_string()).kind(), "flow");
        assert_eq!(Related::of("berth-00").kind(), "other");
    }
}
