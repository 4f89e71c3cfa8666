//! Whether a tenant is entitled: one pure function, asked by everything that creates, stops, removes or reaps.
//!
//! What is at stake is somebody's machine, so every doubt is on the tenant's side: an
//! unknown state is served, and nothing but a subscription that ended, thirty days ago
//! and more, lets anything be removed.

mod month;
mod standing;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use crate::billing::{Subscription, SubscriptionStatus};

pub use month::Month;
pub use standing::Standing;

/// How long a tenant is served on after a payment failed.
pub const PAST_DUE: Duration = Duration::days(7);
/// How long the machines of who has left are kept, stopped.
pub const KEPT: Duration = Duration::days(30);

/// Everything that the judgement rests on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Whether anybody pays at all. Off: everybody is served.
    pub billing: Billing,
    /// Until when an operator or an invite lets the tenant off paying.
    pub complimentary: Option<Complimentary>,
    /// The subscription that matters, as Stripe had it last.
    pub subscription: Option<Subscription>,
    /// Since when payments fail without one that succeeded. Berth's clock: the database's.
    pub past_due_since: Option<DateTime<Utc>>,
    /// Since when a payment is disputed at the tenant's bank.
    pub disputed_since: Option<DateTime<Utc>>,
}

/// Whether this Berth bills.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Billing {
    /// Nobody pays.
    #[default]
    Off,
    /// Through Stripe.
    On,
}

/// Served without paying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complimentary {
    /// Until when; for good without one.
    pub until: Option<DateTime<Utc>>,
}

/// What a tenant may expect, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entitlement", rename_all = "snake_case")]
pub enum Entitlement {
    /// All of its plan.
    Served {
        /// What that rests on.
        by: Served,
    },
    /// Machines are stopped, everything is kept, and it is mended by paying.
    Suspended {
        /// What is wrong.
        why: Suspended,
        /// Since when.
        since: DateTime<Utc>,
    },
    /// It has left. Machines are stopped and kept.
    Leaving {
        /// Until when.
        until: DateTime<Utc>,
    },
    /// It has left, and the time in which it could come back is over.
    Gone {
        /// Since when.
        since: DateTime<Utc>,
    },
    /// It never paid. Nothing is there to keep.
    Unpaid,
}

/// What being served rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Served {
    /// Nobody pays here.
    BillingOff,
    /// An operator or an invite.
    Complimentary {
        /// Until when.
        until: Option<DateTime<Utc>>,
    },
    /// The trial.
    Trial {
        /// When it ends.
        ends: DateTime<Utc>,
    },
    /// A payment.
    Paid {
        /// When the next one is due.
        renews: DateTime<Utc>,
    },
    /// A payment or a trial, and no further one comes.
    Cancelled {
        /// When it ends.
        ends: DateTime<Utc>,
    },
    /// Patience: the last payment failed.
    PastDue {
        /// When agents are stopped unless it is paid.
        until: DateTime<Utc>,
    },
}

/// What is to be mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suspended {
    /// A payment failed seven days ago.
    PastDue,
    /// A payment is disputed.
    Disputed,
    /// The trial ended, and there is no way to pay.
    Paused,
}

impl Entitlement {
    /// Whether an agent may be made, started or kept running.
    #[must_use]
    pub const fn may_run(&self) -> bool {
        matches!(self, Self::Served { .. })
    }

    /// Whether the tenant's agents may be removed without its wish. Ask again with fresh facts before it is done.
    #[must_use]
    pub const fn may_be_removed(&self) -> bool {
        matches!(self, Self::Gone { .. })
    }

    /// When the judgement changes by itself, with nobody doing anything. `None`: it does not.
    #[must_use]
    pub const fn changes_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Served { by: Served::Complimentary { until } } => *until,
            Self::Served { by: Served::PastDue { until } } | Self::Leaving { until } => Some(*until),
            // What Stripe does on its own date, Stripe tells; looked at then, it has done so.
            Self::Served {
                by: Served::Trial { ends: at } | Served::Cancelled { ends: at } | Served::Paid { renews: at },
            } => Some(*at),
            Self::Served { by: Served::BillingOff } | Self::Suspended { .. } | Self::Gone { .. } | Self::Unpaid => None,
        }
    }

    /// The word in the database, in logs and on pages.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Served { .. } => "served",
            Self::Suspended { .. } => "suspended",
            Self::Leaving { .. } => "leaving",
            Self::Gone { .. } => "gone",
            Self::Unpaid => "unpaid",
        }
    }
}

/// The judgement, at a moment of the database's clock.
#[must_use]
pub fn entitlement(facts: &Facts, now: DateTime<Utc>) -> Entitlement {
    use SubscriptionStatus as Is;
    let served = |by| Entitlement::Served { by };
    if facts.billing == Billing::Off {
        return served(Served::BillingOff);
    }
    if let Some(Complimentary { until }) = facts.complimentary
        && until.is_none_or(|until| now < until)
    {
        return served(Served::Complimentary { until });
    }
    let Some(subscription) = &facts.subscription else { return Entitlement::Unpaid };
    let is_over = matches!(subscription.status, Is::Canceled | Is::Incomplete | Is::IncompleteExpired);
    if let Some(since) = facts.disputed_since
        && !is_over
    {
        return Entitlement::Suspended { why: Suspended::Disputed, since };
    }
    match subscription.status {
        Is::Trialing | Is::Active => served(match (subscription.ends, subscription.status, subscription.trial_ends) {
            (Some(ends), _, _) => Served::Cancelled { ends },
            (None, Is::Trialing, Some(ends)) => Served::Trial { ends },
            _ => Served::Paid { renews: subscription.period_ends },
        }),
        Is::PastDue | Is::Unpaid => {
            // Nobody has written down yet since when: the count begins now.
            let until = facts.past_due_since.unwrap_or(now) + PAST_DUE;
            if now < until {
                served(Served::PastDue { until })
            } else {
                Entitlement::Suspended { why: Suspended::PastDue, since: until }
            }
        }
        Is::Paused => {
            let since = subscription.trial_ends.unwrap_or(subscription.period_ends).min(now);
            Entitlement::Suspended { why: Suspended::Paused, since }
        }
        Is::Canceled => {
            // An end that Stripe does not date is taken for one of this moment, over and over: nothing is removed.
            let until = subscription.ended.unwrap_or(now) + KEPT;
            if now < until { Entitlement::Leaving { until } } else { Entitlement::Gone { since: until } }
        }
        Is::Incomplete | Is::IncompleteExpired => Entitlement::Unpaid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::billing::{PriceId, SubscriptionId};

    const SECOND: Duration = Duration::seconds(1);

    fn at(day: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(day * 86_400, 0).unwrap()
    }

    /// Made on day 0, paid until day 30.
    fn with(status: SubscriptionStatus) -> Facts {
        let subscription = Subscription {
            id: SubscriptionId::parse("sub_1").unwrap(),
            status,
            price: PriceId::parse("price_1").unwrap(),
            created: at(0),
            period_ends: at(30),
            trial_ends: Some(at(7)),
            ends: None,
            ended: (status == SubscriptionStatus::Canceled).then(|| at(30)),
        };
        Facts { billing: Billing::On, subscription: Some(subscription), ..Facts::default() }
    }

    #[test]
    fn nobody_pays_where_billing_is_off() {
        let facts = Facts { billing: Billing::Off, disputed_since: Some(at(1)), ..with(SubscriptionStatus::Canceled) };
        assert_eq!(entitlement(&facts, at(900)), Entitlement::Served { by: Served::BillingOff });
    }

    #[test]
    fn each_status_has_its_answer() {
        use SubscriptionStatus as Is;
        let table = [
            (Is::Trialing, "served"),
            (Is::Active, "served"),
            (Is::PastDue, "served"),
            (Is::Unpaid, "served"),
            (Is::Paused, "suspended"),
            (Is::Canceled, "leaving"),
            (Is::Incomplete, "unpaid"),
            (Is::IncompleteExpired, "unpaid"),
        ];
        for (status, expected) in table {
            assert_eq!(entitlement(&with(status), at(31)).name(), expected, "{status:?}");
        }
        assert_eq!(entitlement(&Facts { billing: Billing::On, ..Facts::default() }, at(0)), Entitlement::Unpaid);
    }

    #[test]
    fn seven_days_after_a_failed_payment_to_the_second() {
        let facts = Facts { past_due_since: Some(at(30)), ..with(SubscriptionStatus::PastDue) };
        assert!(entitlement(&facts, at(37) - SECOND).may_run());
        let suspended = Entitlement::Suspended { why: Suspended::PastDue, since: at(37) };
        assert_eq!(entitlement(&facts, at(37)), suspended);
        assert_eq!(entitlement(&facts, at(37) + SECOND), suspended);
        // However long: who does not pay is stopped, never removed.
        assert!(!entitlement(&facts, at(3_700)).may_be_removed());
    }

    #[test]
    fn thirty_days_after_the_end_to_the_second() {
        let facts = with(SubscriptionStatus::Canceled);
        assert_eq!(entitlement(&facts, at(60) - SECOND), Entitlement::Leaving { until: at(60) });
        assert!(!entitlement(&facts, at(60) - SECOND).may_be_removed());
        assert!(!entitlement(&facts, at(60) - SECOND).may_run());
        assert_eq!(entitlement(&facts, at(60)), Entitlement::Gone { since: at(60) });
    }

    #[test]
    fn a_doubt_removes_nothing() {
        let mut facts = with(SubscriptionStatus::Canceled);
        if let Some(subscription) = &mut facts.subscription {
            subscription.ended = None;
        }
        assert!(!entitlement(&facts, at(9_999)).may_be_removed(), "an end without a date");
        assert!(entitlement(&with(SubscriptionStatus::PastDue), at(9_999)).may_run(), "nobody wrote down since when");
        for status in SubscriptionStatus::EVERY {
            let judged = entitlement(&with(status), at(9_999));
            assert_eq!(judged.may_be_removed(), status == SubscriptionStatus::Canceled, "{status:?}");
        }
    }

    #[test]
    fn a_dispute_suspends_and_a_gift_serves() {
        let disputed = Facts { disputed_since: Some(at(3)), ..with(SubscriptionStatus::Active) };
        let why = Suspended::Disputed;
        assert_eq!(entitlement(&disputed, at(5)), Entitlement::Suspended { why, since: at(3) });
        // A dispute keeps nobody from leaving.
        let left = Facts { disputed_since: Some(at(3)), ..with(SubscriptionStatus::Canceled) };
        assert_eq!(entitlement(&left, at(31)).name(), "leaving");
        let gift = Facts { complimentary: Some(Complimentary { until: Some(at(9)) }), ..disputed };
        assert!(entitlement(&gift, at(9) - SECOND).may_run());
        assert!(!entitlement(&gift, at(9)).may_run());
    }

    #[test]
    fn who_has_cancelled_is_served_until_the_end() {
        let mut facts = with(SubscriptionStatus::Active);
        if let Some(subscription) = &mut facts.subscription {
            subscription.ends = Some(at(30));
        }
        assert_eq!(entitlement(&facts, at(29)), Entitlement::Served { by: Served::Cancelled { ends: at(30) } });
    }
}
