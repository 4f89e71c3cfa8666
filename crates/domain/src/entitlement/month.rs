//! What a month of a tenant brings, if it goes on as it is.

use chrono::{DateTime, Utc};

use super::{Entitlement, Served};
use crate::plan::Money;

/// What a month of a tenant brings, if it goes on as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Month {
    /// As its price was said on pages; `None`: it pays a price that was never any plan's.
    pub money: Option<Money>,
    /// From when on, while nothing is to pay yet.
    pub from: Option<DateTime<Utc>>,
    /// Whether the last one is not paid.
    pub is_owed: bool,
}

impl Month {
    /// Of a tenant with this entitlement, whose subscription is at this price. `None`: nothing is to be paid.
    #[must_use]
    pub const fn of(judged: &Entitlement, price: Option<Money>) -> Option<Self> {
        let Entitlement::Served { by } = judged else { return None };
        let (from, is_owed) = match by {
            Served::Paid { .. } => (None, false),
            Served::Trial { ends } => (Some(*ends), false),
            Served::PastDue { .. } => (None, true),
            Served::BillingOff | Served::Complimentary { .. } | Served::Cancelled { .. } => return None,
        };
        Some(Self { money: price, from, is_owed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::currency::Currency;
    use crate::entitlement::Suspended;

    #[test]
    fn only_who_goes_on_paying_brings_something() {
        let at = DateTime::UNIX_EPOCH;
        let price = Some(Money { cents: 4900, currency: Currency::EUR });
        let of = |by| Month::of(&Entitlement::Served { by }, price).map(|month| (month.from, month.is_owed));
        assert_eq!(of(Served::Paid { renews: at }), Some((None, false)));
        assert_eq!(of(Served::Trial { ends: at }), Some((Some(at), false)));
        assert_eq!(of(Served::PastDue { until: at }), Some((None, true)));
        for nothing in [Served::BillingOff, Served::Complimentary { until: None }, Served::Cancelled { ends: at }] {
            assert_eq!(of(nothing), None, "{nothing:?}");
        }
        let suspended = Entitlement::Suspended { why: Suspended::PastDue, since: at };
        assert_eq!(Month::of(&suspended, price), None);
        assert_eq!(Month::of(&Entitlement::Unpaid, price), None);
        let unknown = Month::of(&Entitlement::Served { by: Served::Paid { renews: at } }, None);
        assert_eq!(unknown.map(|month| month.money), Some(None));
    }
}
