//! What must hold at every moment, and what was found when somebody looked: the words of `berth verify`.
//!
//! Start with [`Invariant`] (the list), then [`Check`] (what can be wrong about
//! each, with its way out) and [`Report`] (what was found). [`judge`] decides,
//! from rows as they were at one instant; it reads no clock and no database.
//!
//! Invariant: what nobody looked at is never reported as held. A list that may
//! be incomplete is [`State::Unknown`], and what Berth does not have yet is
//! [`State::NotBuilt`].

pub mod judge;

use chrono::{DateTime, Utc};
use serde::Serialize;

/// Violations of one invariant that are kept with their ids; the rest is counted.
pub const KEPT_MAX: usize = 100;

/// What must hold. The numbers are the fault plan's and do not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// I1.
    Machines,
    /// I2.
    Owners,
    /// I3.
    Entitlements,
    /// I4.
    Inbox,
    /// I5.
    Effects,
    /// I6.
    InForce,
    /// I7.
    Flows,
    /// I8.
    Sealed,
    /// I9.
    Audit,
}

impl Invariant {
    /// Every one, in order.
    pub const EVERY: [Self; 9] = [
        Self::Machines,
        Self::Owners,
        Self::Entitlements,
        Self::Inbox,
        Self::Effects,
        Self::InForce,
        Self::Flows,
        Self::Sealed,
        Self::Audit,
    ];

    /// `I1` to `I9`.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Machines => "I1",
            Self::Owners => "I2",
            Self::Entitlements => "I3",
            Self::Inbox => "I4",
            Self::Effects => "I5",
            Self::InForce => "I6",
            Self::Flows => "I7",
            Self::Sealed => "I8",
            Self::Audit => "I9",
        }
    }

    /// What holds while it holds.
    #[must_use]
    pub const fn says(self) -> &'static str {
        match self {
            Self::Machines => "the machines at the provider are the rows that are not gone",
            Self::Owners => "a machine has one agent and its tenant, an agent one living machine",
            Self::Entitlements => "what agents may run is what was paid for, and somebody keeps it in view",
            Self::Inbox => "every webhook in the inbox is understood, or a flow is at it",
            Self::Effects => "every effect outside happened once",
            Self::InForce => "a live agent runs on the configuration wanted, and proved it",
            Self::Flows => "every flow moves or rests, and every agent has one",
            Self::Sealed => "every secret in the database is sealed and opens",
            Self::Audit => "every audit chain is whole",
        }
    }

    /// Why it cannot be looked at in this build. Such a one is never reported as held.
    #[must_use]
    pub const fn not_built(self) -> Option<&'static str> {
        match self {
            Self::Effects => Some("Berth keeps no ledger of effects; the tests count them at the other side"),
            Self::Machines
            | Self::Owners
            | Self::Entitlements
            | Self::Inbox
            | Self::InForce
            | Self::Flows
            | Self::Sealed
            | Self::Audit => None,
        }
    }
}

macro_rules! checks {
    ($($(#[$doc:meta])* $check:ident of $invariant:ident, $name:literal, $way_out:literal;)*) => {
        /// What can be wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Check {$( $(#[$doc])* $check, )*}
        impl Check {
            /// Every one once.
            pub const EVERY: &'static [Self] = &[$(Self::$check,)*];

            /// The word for programs.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {$(Self::$check => $name,)*}
            }

            /// The invariant that it breaks.
            #[must_use]
            pub const fn invariant(self) -> Invariant {
                match self {$(Self::$check => Invariant::$invariant,)*}
            }

            /// What a person does about it.
            #[must_use]
            pub const fn way_out(self) -> &'static str {
                match self {$(Self::$check => $way_out,)*}
            }
        }
    };
}

checks! {
    /// The provider holds a machine of ours that no living row knows.
    Leaked of Machines, "leaked", "docs/runbooks/machine_mismatch.md, \"A stranger at the provider\"";
    /// A row says that a machine was made, and the provider does not have it.
    Lost of Machines, "lost", "docs/runbooks/machine_mismatch.md, \"A machine that is not there\"";
    /// An agent has two living machines.
    TwoMachines of Owners, "two_machines", "stop Berth's workers; find out which of the two the agent's flow names, and remove the other by hand";
    /// Two agents name one machine.
    Shared of Owners, "shared", "stop both agents at once: one of them may read the other's data; then delete the one that the machine's row does not name";
    /// A machine is given to an agent that its tenant does not have.
    ForeignOwner of Owners, "foreign_owner", "take the machine off the network; its agent is gone or another tenant's, and nothing removes it by itself";
    /// Agents are wanted running for whom nobody pays.
    UnpaidRunning of Entitlements, "unpaid_running", "start the job billing, which has the payments of every tenant looked at again; if the agents run on, stop them by hand and report it";
    /// The judgement that was acted upon is not the one that its facts give now, and nobody is about to look.
    Misjudged of Entitlements, "misjudged", "start the job billing, which has the payments of every tenant looked at again, then report it: a look was slept over";
    /// A tenant's payments that no flow keeps in view.
    Unwatched of Entitlements, "unwatched", "somebody may pay for what nobody gives: start the job billing, which begins to look at them again";
    /// An event that nobody has understood, and that no flow will.
    EventForgotten of Inbox, "event_forgotten", "have the event read again, on its page under Events";
    /// A live agent's gateway does not hold the configuration that was wanted last.
    NotInForce of InForce, "not_in_force", "restart the agent: its configuration is sent and read back again";
    /// A live agent without a good proof since its last configuration.
    NotProved of InForce, "not_proved", "ask the agent for a proof; if it fails, its page says why";
    /// What the tenant is shown is not what the flow is at.
    SeenDiffers of InForce, "seen_differs", "restart or retry the agent, which writes anew what is seen; then report it: the two are written together";
    /// A flow has been past its deadline for longer than its worker needs to notice.
    Overdue of Flows, "overdue", "is a worker running, and does the database answer? For the step remove: docs/runbooks/removal_stuck.md";
    /// A flow is due and nobody takes it.
    Untaken of Flows, "untaken", "start a worker (berth work, or berth all)";
    /// A step that does not rest has no deadline.
    NoDeadline of Flows, "no_deadline", "set deadline_at on the flow's row; without one nobody is ever told that it hangs";
    /// Half a lease, or one that no worker takes.
    BrokenLease of Flows, "broken_lease", "set lease_until and lease_token of the flow's row to null: another worker takes it";
    /// A step that this build does not know.
    UnreadableStep of Flows, "unreadable_step", "run the build that wrote it, or a newer one";
    /// An agent that nobody drives.
    AgentWithoutFlow of Flows, "agent_without_flow", "its machine still costs money: restore the flow's row from a backup, or remove machine and agent by hand";
    /// A life without an agent.
    FlowWithoutAgent of Flows, "flow_without_agent", "it ends at its next run; if it stays, is a worker running?";
    /// The agent is wanted gone and its flow does not know.
    RemovalForgotten of Flows, "removal_forgotten", "delete the agent again";
    /// A wish or a signal that a resting flow sleeps over.
    WakeUpLost of Flows, "wake_up_lost", "set run_at of the flow's row to now, then report it: a wake-up was lost";
    /// Berth gave up and no open alert says so.
    FailedUntold of Flows, "failed_untold", "tell the tenant; docs/runbooks/flow_failed.md";
    /// Words of an exchange that no flow will forget.
    StrayWords of Flows, "stray_words", "delete the rows of these exchanges: their ten minutes are over or will never be counted";
    /// A signal to a flow that does not exist.
    StraySignal of Flows, "stray_signal", "delete these rows of flow_signals";
    /// A column for sealed values holds something else.
    NotSealed of Sealed, "not_sealed", "treat the secret as read by everybody who reads the database: make a new one";
    /// A sealed value that does not open at its place.
    DoesNotOpen of Sealed, "does_not_open", "is every key that ever sealed in CREDENTIAL_ENCRYPTION_KEY? If so the row was altered: remove its agent or machine";
    /// A machine that is gone still has its keys.
    KeysLeft of Sealed, "keys_left", "empty the sealed columns of these machines' rows";
    /// A chain of audit events that does not hold together.
    ChainBroken of Audit, "chain_broken", "keep a copy of the database first: somebody who may write to it has changed the trail; hold a head that was kept elsewhere against it, docs/AUDIT.md says how";
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What kind of thing.
    pub check: Check,
    /// The printed ids of what it is about; never a secret.
    pub ids: Vec<String>,
    /// A sentence.
    pub what: String,
}

impl Violation {
    /// One thing that is wrong with these.
    #[must_use]
    pub fn new(check: Check, ids: &[&dyn std::fmt::Display], what: impl Into<String>) -> Self {
        Self { check, ids: ids.iter().map(ToString::to_string).collect(), what: what.into() }
    }
}

impl Serialize for Violation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut fields = serializer.serialize_struct("Violation", 4)?;
        fields.serialize_field("check", self.check.name())?;
        fields.serialize_field("ids", &self.ids)?;
        fields.serialize_field("what", &self.what)?;
        fields.serialize_field("way_out", self.check.way_out())?;
        fields.end()
    }
}

/// How it stands with one invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// All of it was looked at, and nothing was wrong.
    Held,
    /// Something was wrong.
    Violated,
    /// Nothing wrong was seen, and not all could be looked at.
    Unknown,
    /// This build has nothing to look at.
    NotBuilt,
}

/// What was found of one invariant.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Which.
    pub invariant: Invariant,
    /// Rows, machines and values that were judged.
    pub looked_at: u64,
    /// Why not all could be looked at.
    pub unknown: Option<String>,
    /// What was wrong, at most [`KEPT_MAX`].
    pub violations: Vec<Violation>,
    /// How much was wrong in all.
    pub violations_count: u64,
}

impl Finding {
    /// How it stands.
    #[must_use]
    pub const fn state(&self) -> State {
        if self.violations_count > 0 {
            State::Violated
        } else if self.invariant.not_built().is_some() {
            State::NotBuilt
        } else if self.unknown.is_some() {
            State::Unknown
        } else {
            State::Held
        }
    }
}

impl Serialize for Finding {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut fields = serializer.serialize_struct("Finding", 7)?;
        fields.serialize_field("id", self.invariant.id())?;
        fields.serialize_field("says", self.invariant.says())?;
        fields.serialize_field("state", &self.state())?;
        fields.serialize_field("why", &self.unknown.as_deref().or_else(|| self.invariant.not_built()))?;
        fields.serialize_field("looked_at", &self.looked_at)?;
        fields.serialize_field("violations_count", &self.violations_count)?;
        fields.serialize_field("violations", &self.violations)?;
        fields.end()
    }
}

/// What a whole look found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The instant of the database that was judged.
    pub at: DateTime<Utc>,
    /// One for each invariant, in order.
    pub invariants: Vec<Finding>,
}

impl Report {
    /// Nothing was looked at yet.
    #[must_use]
    pub fn new(at: DateTime<Utc>) -> Self {
        let fresh =
            |invariant| Finding { invariant, looked_at: 0, unknown: None, violations: Vec::new(), violations_count: 0 };
        Self { at, invariants: Invariant::EVERY.map(fresh).into() }
    }

    /// So much more was judged.
    pub fn looked(&mut self, invariant: Invariant, more: usize) {
        if let Some(finding) = self.invariants.iter_mut().find(|finding| finding.invariant == invariant) {
            finding.looked_at += u64::try_from(more).unwrap_or(u64::MAX);
        }
    }

    /// This was wrong.
    pub fn found(&mut self, violations: impl IntoIterator<Item = Violation>) {
        for violation in violations {
            let invariant = violation.check.invariant();
            if let Some(finding) = self.invariants.iter_mut().find(|finding| finding.invariant == invariant) {
                finding.violations_count += 1;
                if finding.violations.len() < KEPT_MAX {
                    finding.violations.push(violation);
                }
            }
        }
    }

    /// Not all of it could be looked at.
    pub fn unknown(&mut self, invariant: Invariant, why: impl Into<String>) {
        if let Some(finding) = self.invariants.iter_mut().find(|finding| finding.invariant == invariant) {
            finding.unknown = Some(why.into());
        }
    }

    /// How it stands with all of them: violated before unknown before held.
    #[must_use]
    pub fn state(&self) -> State {
        let any = |state| self.invariants.iter().any(|finding| finding.state() == state);
        match () {
            () if any(State::Violated) => State::Violated,
            () if any(State::Unknown) => State::Unknown,
            () => State::Held,
        }
    }

    /// Every violation that was kept.
    pub fn violations(&self) -> impl Iterator<Item = &Violation> {
        self.invariants.iter().flat_map(|finding| &finding.violations)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_was_not_looked_at_is_never_held() {
        let mut report = Report::new(DateTime::UNIX_EPOCH);
        let state = |report: &Report, id: &str| {
            report.invariants.iter().find(|finding| finding.invariant.id() == id).map(Finding::state)
        };
        assert_eq!(state(&report, "I5"), Some(State::NotBuilt));
        assert_eq!(report.state(), State::Held);
        report.unknown(Invariant::Machines, "the provider is away");
        assert_eq!((state(&report, "I1"), report.state()), (Some(State::Unknown), State::Unknown));
        report.found([Violation::new(Check::Leaked, &[&"berth-1"], "x")]);
        assert_eq!((state(&report, "I1"), report.state()), (Some(State::Violated), State::Violated));
    }

    #[test]
    fn violations_are_counted_beyond_those_that_are_kept() {
        let mut report = Report::new(DateTime::UNIX_EPOCH);
        report.found((0..KEPT_MAX + 7).map(|n| Violation::new(Check::Leaked, &[&n], "x")));
        let finding = report.invariants.first().expect("I1");
        assert_eq!((finding.violations.len(), finding.violations_count), (KEPT_MAX, 107));
    }

    #[test]
    fn every_check_has_a_word_and_a_way_out_and_breaks_what_is_built() {
        let names: BTreeSet<&str> = Check::EVERY.iter().map(|check| check.name()).collect();
        assert_eq!(names.len(), Check::EVERY.len());
        for check in Check::EVERY {
            assert!(check.way_out().len() > 20, "{}", check.name());
            assert_eq!(check.invariant().not_built(), None, "{}", check.name());
        }
        for built in Invariant::EVERY.iter().filter(|invariant| invariant.not_built().is_none()) {
            assert!(Check::EVERY.iter().any(|check| check.invariant() == *built), "{} has no check", built.id());
        }
    }
}
