//! What Stripe is asked about a customer, as far as Berth needs it: names, states and moments, no amounts.
//!
//! What is seen of a subscription is always the whole of it, as Stripe has it at one
//! moment. An event only says that something changed; so the order of events does not
//! matter. Source: Stripe API Reference, "The Subscription object".

mod call;
mod reconciliation;

use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use call::{
    BadIdempotencyKey, Checkout, CheckoutState, Dispute, DisputeState, IDEMPOTENCY_KEY_CHARS_MAX, IdempotencyKey,
    NamedPrice, ToldEvent,
};
pub use reconciliation::{Difference, DifferenceKind, LOOKS_BACK, ReconcileStep, TOLD_FOR, Told};

/// Most characters of a name that Stripe gave something.
pub const NAME_CHARS_MAX: usize = 100;

/// That is no name of Stripe's for this kind of thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("that is no id of Stripe's of this kind")]
pub struct BadName;

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The only constructor: its prefix, then 1 to 100 letters, digits and underscores in all.
            ///
            /// # Errors
            /// [`BadName`].
            pub fn parse(text: &str) -> Result<Self, BadName> {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
                let fits = text.len() <= NAME_CHARS_MAX && text.len() > $prefix.len() && text.bytes().all(plain);
                if fits && text.starts_with($prefix) { Ok(Self(text.to_owned())) } else { Err(BadName) }
            }

            /// As Stripe writes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

names! {
    /// Who pays, at Stripe: one a tenant.
    CustomerId, "cus_";
    /// What a customer pays for again and again.
    SubscriptionId, "sub_";
    /// What a plan costs a month. An old one stays good for who has it.
    PriceId, "price_";
    /// What happened at Stripe.
    StripeEventId, "evt_";
    /// A page at Stripe on which somebody pays.
    CheckoutId, "cs_";
}

/// How a subscription is. Source: Stripe API Reference, "The Subscription object", `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionStatus {
    /// The first payment is not made yet.
    Incomplete,
    /// The first payment was not made within 23 hours. An end.
    IncompleteExpired,
    /// Nothing is to pay yet.
    Trialing,
    /// Paid.
    Active,
    /// The last payment failed; Stripe tries again.
    PastDue,
    /// Stripe has stopped to try.
    Unpaid,
    /// The trial ended without a way to pay.
    Paused,
    /// Over. An end.
    Canceled,
}

impl SubscriptionStatus {
    /// All of them.
    pub const EVERY: [Self; 8] = [
        Self::Active,
        Self::Trialing,
        Self::PastDue,
        Self::Unpaid,
        Self::Paused,
        Self::Incomplete,
        Self::Canceled,
        Self::IncompleteExpired,
    ];

    /// Stripe's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::IncompleteExpired => "incomplete_expired",
            Self::Trialing => "trialing",
            Self::Active => "active",
            Self::PastDue => "past_due",
            Self::Unpaid => "unpaid",
            Self::Paused => "paused",
            Self::Canceled => "canceled",
        }
    }

    /// Reads Stripe's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|status| status.name() == word)
    }

    /// How much it says for a customer who has several: the first of [`Self::EVERY`] the most.
    fn rank(self) -> usize {
        Self::EVERY.iter().position(|status| *status == self).unwrap_or(Self::EVERY.len())
    }
}

/// A subscription as Stripe has it at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Which one.
    pub id: SubscriptionId,
    /// How it is.
    pub status: SubscriptionStatus,
    /// What is paid for it.
    pub price: PriceId,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// Until when the current period goes. Stripe keeps it with the subscription's item.
    pub period_ends: DateTime<Utc>,
    /// When the trial ends or ended, if there was one.
    pub trial_ends: Option<DateTime<Utc>>,
    /// When it will end, if its customer has cancelled it.
    pub ends: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended: Option<DateTime<Utc>>,
}

impl Subscription {
    /// The one that says most of all that a customer has: one that is paid before one that is not, and of equals the
    /// youngest.
    #[must_use]
    pub fn that_matters(all: Vec<Self>) -> Option<Self> {
        all.into_iter()
            .min_by_key(|one| (one.status.rank(), std::cmp::Reverse(one.ended), std::cmp::Reverse(one.created)))
    }
}

/// The steps of the flow that keeps a tenant's payments in view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum BillingStep {
    /// Asks Stripe how things are, judges, and acts upon the judgement.
    Refresh,
    /// Waits: for an event, for the next date that changes the judgement, for six hours.
    Rest,
}

impl BillingStep {
    /// Both, in order.
    pub const EVERY: [Self; 2] = [Self::Refresh, Self::Rest];

    /// The word in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Rest => "rest",
        }
    }

    /// How long a flow may stay in it before a person is told; it goes on all the same.
    #[must_use]
    pub const fn deadline(self) -> Option<Duration> {
        match self {
            Self::Refresh => Some(Duration::from_hours(1)),
            Self::Rest => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_of_its_kind_and_plain() {
        assert_eq!(CustomerId::parse("cus_NffrFeUfNV2Hib").unwrap().as_str(), "cus_NffrFeUfNV2Hib");
        let long = format!("cus_{}", "a".repeat(97));
        for bad in ["", "cus_", "sub_1", "cus_a b", "cus_a/b", "cus_é", " cus_a", &long] {
            assert_eq!(CustomerId::parse(bad), Err(BadName), "{bad:?}");
        }
        assert!(serde_json::from_str::<CustomerId>("\"price_1\"").is_err());
    }

    #[test]
    fn every_status_has_its_own_word() {
        for status in SubscriptionStatus::EVERY {
            assert_eq!(SubscriptionStatus::parse(status.name()), Some(status));
            assert_eq!(serde_json::json!(status), status.name());
        }
        assert_eq!(SubscriptionStatus::parse("resting"), None);
    }

    #[test]
    fn what_is_paid_matters_more_than_what_is_not_and_the_younger_more_than_the_older() {
        let at = |day: u32| DateTime::from_timestamp(i64::from(day) * 86_400, 0).unwrap();
        let one = |id: &str, status, created| Subscription {
            id: SubscriptionId::parse(id).unwrap(),
            status,
            price: PriceId::parse("price_1").unwrap(),
            created: at(created),
            period_ends: at(created + 30),
            trial_ends: None,
            ends: None,
            ended: (status == SubscriptionStatus::Canceled).then(|| at(created + 30)),
        };
        let ids = |all: Vec<Subscription>| Subscription::that_matters(all).map(|one| one.id.to_string());
        assert_eq!(ids(Vec::new()), None);
        let (old, paid) =
            (one("sub_old", SubscriptionStatus::Canceled, 90), one("sub_paid", SubscriptionStatus::Active, 1));
        let (older, late) =
            (one("sub_older", SubscriptionStatus::Canceled, 2), one("sub_late", SubscriptionStatus::PastDue, 3));
        assert_eq!(ids(vec![old.clone(), late.clone(), paid.clone()]).as_deref(), Some("sub_paid"));
        assert_eq!(ids(vec![old.clone(), late]).as_deref(), Some("sub_late"));
        assert_eq!(ids(vec![older, old]).as_deref(), Some("sub_old"));
        let younger = one("sub_younger", SubscriptionStatus::Active, 2);
        assert_eq!(ids(vec![paid, younger]).as_deref(), Some("sub_younger"));
    }
}
