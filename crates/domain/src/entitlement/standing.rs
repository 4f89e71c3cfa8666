//! In which of an operator's lists a tenant stands, by its entitlement.

use super::{Entitlement, Served};

/// One of the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The last payment was made, and the next one is due on a date.
    Paying,
    /// In its trial.
    Trial,
    /// Let off paying.
    Gift,
    /// Served to the end of what is paid, and not on.
    Ending,
    /// The last payment failed, and it is served on for some days.
    PastDue,
    /// Its agents are stopped until something is mended.
    Suspended,
    /// Its subscription is over: what it has is kept for some time, or that time is over too.
    Left,
    /// It never paid.
    Unpaid,
    /// Nobody pays here.
    BillingOff,
}

impl Standing {
    /// All of them.
    pub const EVERY: [Self; 9] = [
        Self::Paying,
        Self::Trial,
        Self::Gift,
        Self::Ending,
        Self::PastDue,
        Self::Suspended,
        Self::Left,
        Self::Unpaid,
        Self::BillingOff,
    ];

    /// Where somebody with this entitlement stands.
    #[must_use]
    pub const fn of(judged: &Entitlement) -> Self {
        match judged {
            Entitlement::Served { by: Served::Paid { .. } } => Self::Paying,
            Entitlement::Served { by: Served::Trial { .. } } => Self::Trial,
            Entitlement::Served { by: Served::Complimentary { .. } } => Self::Gift,
            Entitlement::Served { by: Served::Cancelled { .. } } => Self::Ending,
            Entitlement::Served { by: Served::PastDue { .. } } => Self::PastDue,
            Entitlement::Served { by: Served::BillingOff } => Self::BillingOff,
            Entitlement::Suspended { .. } => Self::Suspended,
            Entitlement::Leaving { .. } | Entitlement::Gone { .. } => Self::Left,
            Entitlement::Unpaid => Self::Unpaid,
        }
    }

    /// The word in addresses and in statements.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Paying => "paying",
            Self::Trial => "trial",
            Self::Gift => "gift",
            Self::Ending => "ending",
            Self::PastDue => "past_due",
            Self::Suspended => "suspended",
            Self::Left => "left",
            Self::Unpaid => "unpaid",
            Self::BillingOff => "billing_off",
        }
    }

    /// The word on pages.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Paying => "Paying",
            Self::Trial => "Trial",
            Self::Gift => "Gift",
            Self::Ending => "Ending",
            Self::PastDue => "Past due",
            Self::Suspended => "Suspended",
            Self::Left => "Left",
            Self::Unpaid => "Unpaid",
            Self::BillingOff => "Not billed",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|standing| standing.name() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    #[test]
    fn every_word_reads_back_and_every_entitlement_stands_somewhere() {
        for standing in Standing::EVERY {
            assert_eq!(Standing::parse(standing.name()), Some(standing));
        }
        assert_eq!(Standing::parse("resting"), None);
        let at = DateTime::UNIX_EPOCH;
        let table = [
            (Entitlement::Served { by: Served::Cancelled { ends: at } }, Standing::Ending),
            (Entitlement::Served { by: Served::PastDue { until: at } }, Standing::PastDue),
            (Entitlement::Leaving { until: at }, Standing::Left),
            (Entitlement::Gone { since: at }, Standing::Left),
            (Entitlement::Unpaid, Standing::Unpaid),
        ];
        for (judged, standing) in table {
            assert_eq!(Standing::of(&judged), standing);
        }
    }
}
