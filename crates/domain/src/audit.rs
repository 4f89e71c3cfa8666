//! Who did what: the events of a chain, and the exact bytes that are hashed.
//!
//! `docs/AUDIT.md` specifies the encoding for strangers. No event holds a name, an
//! address, words of a tenant or a secret: ids and small facts only, because an
//! event cannot be taken back.

use std::{collections::BTreeMap, fmt, str::FromStr};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    id::{BadId, TenantId},
    people::{Caller, Shown},
};

/// The version of the encoding, in every event.
pub const VERSION: u8 = 1;
/// Most characters of one detail; what is longer is cut.
pub const DETAIL_MAX: usize = 500;

macro_rules! acts {
    ($($act:ident, $word:literal, $told:literal;)*) => {
        /// What was done. The words never change: they stand in hashed events.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Act {
            $(#[doc = $told] $act,)*
        }

        impl Act {
            /// All of them.
            pub const EVERY: &'static [Self] = &[$(Self::$act,)*];

            /// The word in the event.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$act => $word,)* }
            }

            /// What was done, for people: what follows on "who".
            #[must_use]
            pub const fn told(self) -> &'static str {
                match self { $(Self::$act => $told,)* }
            }
        }
    };
}

acts! {
    AccountErase, "account.erase", "erased their own account";
    AgentCreate, "agent.create", "created an agent";
    AgentDelete, "agent.delete", "asked for an agent's deletion";
    AgentProve, "agent.prove", "asked for a proof";
    AgentRestart, "agent.restart", "restarted an agent";
    AgentRetry, "agent.retry", "tried again after a failure";
    AgentRotate, "agent.rotate", "had an agent's gateway token and machine key replaced";
    AgentStart, "agent.start", "started an agent";
    AgentStop, "agent.stop", "stopped an agent";
    AlertAcknowledge, "alert.acknowledge", "acknowledged an alert";
    AlertTakeBack, "alert.take_back", "took an acknowledgement back";
    EventRead, "event.read", "had an event of Stripe's read again";
    InviteMake, "invite.make", "made invites";
    InviteRevoke, "invite.revoke", "took an invite back";
    JobRun, "job.run", "ran a job";
    ScheduleChange, "schedule.change", "changed when a job runs";
    WaitlistInvite, "waitlist.invite", "invited somebody who waited";
    BillingCheckout, "billing.checkout", "went to Stripe to take out a plan";
    BillingDestroyed, "billing.destroyed", "saw that removed agents and their machines are gone";
    BillingGift, "billing.gift", "let the tenant off paying";
    BillingGiftEnd, "billing.gift_end", "had the tenant pay again";
    BillingPortal, "billing.portal", "went to Stripe to see invoices and ways to pay";
    PlanChange, "plan.change", "changed a plan";
    BillingRemove, "billing.remove", "had agents removed: the tenant left thirty days ago";
    BillingRestore, "billing.restore", "had agents started again: the tenant is entitled again";
    BillingSuspend, "billing.suspend", "had agents stopped: the tenant is not entitled";
    KeysRetire, "keys.retire", "retired a master key";
    KeysRotate, "keys.rotate", "made another master key the current one";
    KeysShred, "keys.shred", "destroyed a tenant's data key";
    LogsAsk, "logs.ask", "asked for an agent's logs";
    MachinesRotate, "machines.rotate", "had machines' gateway tokens and machine keys replaced";
    InvitationCreate, "invitation.create", "invited somebody";
    InvitationRevoke, "invitation.revoke", "took an invitation back";
    MemberJoin, "member.join", "joined the tenant";
    MemberLeave, "member.leave", "left the tenant";
    MemberRemove, "member.remove", "removed a member";
    MemberRole, "member.role", "changed a member's role";
    OwnershipTransfer, "ownership.transfer", "handed the ownership over";
    CredentialOpen, "credential.open", "opened a credential";
    CredentialRemove, "credential.remove", "removed a credential";
    CredentialSet, "credential.set", "set a credential";
    CredentialTest, "credential.test", "had a credential tested";
    FactorEnrol, "factor.enrol", "set up a second factor";
    FactorGive, "factor.give", "gave a second factor";
    FactorRecover, "factor.recover", "used a recovery code";
    FactorReset, "factor.reset", "reset a second factor";
    OperatorMake, "operator.make", "became an operator";
    OperatorRead, "operator.read", "read the tenant's data as an operator";
    SessionClose, "session.close", "signed out";
    SessionOpen, "session.open", "signed in";
    SessionStolen, "session.stolen", "showed a spent cookie: the session was ended";
    SessionSwitch, "session.switch", "switched to this tenant";
    TenantRestore, "tenant.restore", "took the tenant back into service";
    TenantSuspend, "tenant.suspend", "suspended the tenant";
    UserRestore, "user.restore", "let somebody in again";
    UserSuspend, "user.suspend", "suspended somebody";
    TenantErase, "tenant.erase", "asked for the tenant to be erased";
    TenantExport, "tenant.export", "downloaded everything of the tenant";
    TenantKeep, "tenant.keep", "kept the tenant after all";
    PairingApprove, "pairing.approve", "let somebody in at an agent's channel";
    PairingsAsk, "pairings.ask", "asked who waits at an agent's channels";
    TokenIssue, "token.issue", "issued a personal token";
    TokenRevoke, "token.revoke", "revoked a personal token";
    TurnAsk, "turn.ask", "said something to an agent";
    UserSignOut, "user.sign_out", "ended all sessions and tokens of a person";
}

impl Act {
    /// Reads a word back. `None`: a newer version of Berth wrote it.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::EVERY.iter().copied().find(|act| act.word() == word)
    }
}

/// Whose chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Chain {
    /// What happened in a tenant.
    Tenant(TenantId),
    /// What operators did.
    House,
}

impl Chain {
    /// The text whose digest stands before the first event.
    #[must_use]
    pub fn beginning(self) -> String {
        format!("berth audit v{VERSION} {self}")
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(tenant) => tenant.fmt(f),
            Self::House => f.write_str("house"),
        }
    }
}

impl FromStr for Chain {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        if text == "house" { Ok(Self::House) } else { text.parse().map(Self::Tenant) }
    }
}

/// Who did it, and what they showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// A user's id; `shell` for somebody at the server's command line, `berth` for Berth itself.
    pub id: String,
    /// The session or token; empty where there was none.
    pub via: String,
}

impl Actor {
    /// Whoever is calling.
    #[must_use]
    pub fn of(caller: &Caller) -> Self {
        let via = match caller.shown {
            Shown::Session { id, .. } => id.to_string(),
            Shown::Token(id) => id.to_string(),
        };
        Self { id: caller.user.to_string(), via }
    }

    /// Somebody with a shell on the server.
    #[must_use]
    pub fn shell() -> Self {
        Self { id: "shell".to_owned(), via: String::new() }
    }

    /// Berth itself.
    #[must_use]
    pub fn berth() -> Self {
        Self { id: "berth".to_owned(), via: String::new() }
    }
}

/// Small facts of an event: plain words to short texts.
pub type Details = BTreeMap<String, String>;

/// An event that is to be written.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Who.
    pub actor: Actor,
    /// What.
    pub act: Act,
    /// To what: an id, or empty.
    pub subject: String,
    /// With what.
    pub details: Details,
}

impl NewEvent {
    /// An event; details are cut at [`DETAIL_MAX`] characters, and lose what a database cannot hold.
    #[must_use]
    pub fn new(actor: Actor, act: Act, subject: &dyn fmt::Display, details: &[(&str, &str)]) -> Self {
        let cut = |text: &str| text.chars().filter(|c| *c != '\0').take(DETAIL_MAX).collect();
        let details = details.iter().map(|(name, text)| ((*name).to_owned(), cut(text))).collect();
        Self { actor, act, subject: subject.to_string(), details }
    }
}

/// An event of a chain, without its own hash. The fields stand in the order of the canonical encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// What was done: a word of [`Act`].
    pub act: String,
    /// Who did it: see [`Actor::id`].
    pub actor: String,
    /// When it was written, UTC, to the microsecond.
    pub at: String,
    /// Whose chain: a tenant's id, or `house`.
    pub chain: String,
    /// Small facts.
    pub details: Details,
    /// The hash of the event before it, or of the chain's beginning: 64 hexadecimal digits.
    pub prior: String,
    /// Its place: the first is 1, and none is missing.
    pub seq: u64,
    /// To what it was done: an id, or empty.
    pub subject: String,
    /// The version of this encoding.
    pub v: u8,
    /// What the actor showed: see [`Actor::via`].
    pub via: String,
}

impl Event {
    /// The bytes that are hashed: JSON as in RFC 8785, all members present.
    #[must_use]
    pub fn canonical(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() // strings and small numbers always serialise
    }

    /// One line of an export, without its end: the event and its hash.
    #[must_use]
    pub fn line(&self, hash: &str) -> String {
        format!(r#"{{"event":{},"hash":"{hash}"}}"#, self.canonical())
    }
}

/// The time as events write it.
#[must_use]
pub fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Where a chain ends: kept elsewhere, it shows whether a tail was cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Whose chain.
    pub chain: String,
    /// The hash of the last event: 64 hexadecimal digits.
    pub hash: String,
    /// How many events there are.
    pub seq: u64,
}

impl Head {
    /// The last line of an export, without its end.
    #[must_use]
    pub fn line(&self) -> String {
        format!(r#"{{"head":{}}}"#, serde_json::to_string(self).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone as _;
    use std::collections::BTreeSet;

    #[test]
    fn the_encoding_has_its_members_in_order_and_escapes_as_rfc_8785() {
        let event = Event {
            act: "agent.stop".into(),
            actor: "usr_1".into(),
            at: stamp(Utc.timestamp_micros(1_795_283_521_000_001).unwrap()),
            chain: "house".into(),
            details: [("b".into(), "é\u{1b}/\n\"\\\u{7f}".into()), ("a".into(), String::new())].into(),
            prior: "00".into(),
            seq: 7,
            subject: "agt_1".into(),
            v: VERSION,
            via: "tok_1".into(),
        };
        let said = "{\"act\":\"agent.stop\",\"actor\":\"usr_1\",\"at\":\"2026-11-21T17:12:01.000001Z\",\"chain\":\"house\",\"details\":{\"a\":\"\",\"b\":\"é\\u001b/\\n\\\"\\\\\u{7f}\"},\"prior\":\"00\",\"seq\":7,\"subject\":\"agt_1\",\"v\":1,\"via\":\"tok_1\"}";
        assert_eq!(event.canonical(), said.replace("2026-11-21T17:12:01.000001Z", &event.at));
        assert!(event.at.ends_with(".000001Z") && event.at.len() == 27, "{}", event.at);
    }

    #[test]
    fn every_word_reads_back_and_stands_once() {
        let words: BTreeSet<_> = Act::EVERY.iter().map(|act| act.word()).collect();
        assert_eq!(words.len(), Act::EVERY.len());
        assert!(Act::EVERY.iter().all(|act| Act::parse(act.word()) == Some(*act)));
    }

    #[test]
    fn a_detail_is_cut_and_holds_no_nul() {
        let event = NewEvent::new(Actor::berth(), Act::TurnAsk, &"", &[("why", &format!("\0{}", "x".repeat(600)))]);
        assert_eq!(event.details["why"], "x".repeat(DETAIL_MAX));
    }
}
