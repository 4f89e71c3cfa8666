//! Identifiers that the compiler keeps apart.
//!
//! An id prints as `agt_0198f…`: a prefix for its noun and a UUIDv7 (RFC 9562)
//! without dashes, so that keys sort by age. An id of one noun does not parse as
//! another's.

use std::{fmt, marker::PhantomData, str::FromStr};

use uuid::Uuid;

/// The noun that an identifier points at.
pub trait Kind {
    /// Shown in URLs and logs, before the underscore.
    const PREFIX: &'static str;
}

/// An identifier of one noun.
pub struct Id<K> {
    uuid: Uuid,
    kind: PhantomData<fn() -> K>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident => $alias:ident, $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $kind {}
        impl Kind for $kind { const PREFIX: &'static str = $prefix; }
        $(#[$doc])*
        pub type $alias = Id<$kind>;
    )*};
}

kinds! {
    /// What a tenant owns and talks to.
    Agent => AgentId, "agt";
    /// A person is needed.
    Alert => AlertId, "alr";
    /// Somebody was sent to Stripe to pay.
    CheckoutRow => CheckoutRowId, "chk";
    /// What a tenant gives Berth to use: a key, a token, a variable. Sealed.
    Credential => CredentialId, "crd";
    /// One firing of an alert on its way to a person.
    Delivery => DeliveryId, "dlv";
    /// What another system told Berth, kept before it is understood.
    Event => EventId, "evt";
    /// One question to an agent's machine and its answer, kept ten minutes.
    Exchange => ExchangeId, "exc";
    /// A running state machine.
    Flow => FlowId, "flw";
    /// What is set aside for one model call until its cost is known.
    Hold => HoldId, "hld";
    /// One database of Berth; written on everything it makes elsewhere.
    Installation => InstallationId, "ins";
    /// Somebody is asked to join a tenant.
    Invitation => InvitationId, "itn";
    /// What lets people sign up.
    Invite => InviteId, "inv";
    /// One mail of the house to a person.
    Letter => LetterId, "ltr";
    /// A machine, spare or given to one agent.
    Machine => MachineId, "mch";
    /// A user in a tenant with a role.
    Member => MemberId, "mem";
    /// A real turn through an agent's gateway.
    Proof => ProofId, "prf";
    /// A browser that is signed in.
    Session => SessionId, "ses";
    /// One attempt to sign in at a vendor.
    SignIn => SignInId, "sgn";
    /// The customer: the unit of isolation and of billing.
    Tenant => TenantId, "ten";
    /// A credential that Berth issued.
    Token => TokenId, "tok";
    /// A person who can sign in.
    User => UserId, "usr";
    /// Somebody who asked to be let in.
    Waiting => WaitingId, "wtg";
}

impl<K> Id<K> {
    /// Takes a uuid as it comes from the database.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self { uuid, kind: PhantomData }
    }

    /// The uuid inside, as the database stores it.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        self.uuid
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.uuid.cmp(&other.uuid)
    }
}
impl<K> std::hash::Hash for Id<K> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}
impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", K::PREFIX, self.uuid.simple())
    }
}
impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no id of the noun that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {expected}_ id")]
pub struct BadId {
    expected: &'static str,
}

impl<K: Kind> FromStr for Id<K> {
    type Err = BadId;

    /// Accepts exactly the printed form: 32 lower-case hexadecimal digits after the prefix.
    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = BadId { expected: K::PREFIX };
        let digits = text.strip_prefix(K::PREFIX).and_then(|rest| rest.strip_prefix('_')).ok_or(bad)?;
        let canonical = digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !canonical {
            return Err(bad);
        }
        Uuid::try_parse(digits).map(Self::from_uuid).map_err(|_| bad)
    }
}

impl<K: Kind> serde::Serialize for Id<K> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: Kind> serde::Deserialize<'de> for Id<K> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_one_kind_does_not_parse_as_another() {
        let tenant = TenantId::from_uuid(Uuid::from_u128(7));
        assert!(tenant.to_string().parse::<AgentId>().is_err());
        assert_eq!(tenant.to_string().parse::<TenantId>(), Ok(tenant));
    }

    #[test]
    fn only_the_printed_form_parses() {
        let id = AgentId::from_uuid(Uuid::from_u128(0xab));
        let printed = id.to_string();
        assert!(printed.to_uppercase().parse::<AgentId>().is_err());
        assert!(printed.replace("agt_", "agt_{").parse::<AgentId>().is_err());
        assert!(id.uuid().to_string().parse::<AgentId>().is_err());
        assert!(format!("agt_{}", id.uuid()).parse::<AgentId>().is_err(), "dashes are another form");
    }
}
