//! Which letters about payments are due: one pure function, asked whenever a tenant's payments were judged.
//!
//! Each letter has a cause, made of what it is about and the dates that it rests on. The same cause is told once, so
//! asking twice does no harm; and of several dates that were slept through only the latest is told.

use chrono::{DateTime, Duration, Utc};

use crate::{
    entitlement::{Entitlement, KEPT, Served},
    letter::{Stopped, Told},
};

/// How long before its end a trial is told of, and a gift.
pub const TOLD_BEFORE: Duration = Duration::days(3);
/// On which days after the first failure a failed payment is told of. On the seventh agents are stopped.
pub const FAILED_ON: [u8; 3] = [0, 3, 5];
/// Stripe ends a subscription within this long of the date that it named.
const AS_NAMED: Duration = Duration::hours(1);

/// What the letters rest on: two judgements, and the facts of the second.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// The judgement that was acted upon before. `None`: this is the first.
    pub before: Option<&'a Entitlement>,
    /// The judgement now.
    pub after: &'a Entitlement,
    /// Since when payments fail.
    pub past_due_since: Option<DateTime<Utc>>,
    /// The title of the plan.
    pub plan: Option<&'a str>,
    /// When the tenant is to be erased, if its owner wants that.
    pub erase_after: Option<DateTime<Utc>>,
    /// The database's clock.
    pub now: DateTime<Utc>,
}

/// A letter that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The same within a tenant for the same reason: told once.
    pub cause: String,
    /// What it tells.
    pub told: Told,
}

/// The letters that are due now: at most one about what has changed, and one about a date.
#[must_use]
pub fn due(change: &Change<'_>) -> Vec<Due> {
    changed(change).into_iter().chain(dated(change)).collect()
}

/// When the next letter is due if nothing changes. `None`: none is.
#[must_use]
pub fn next_at(
    judged: &Entitlement,
    past_due_since: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let dates = match (judged, past_due_since) {
        (Entitlement::Served { by: Served::Trial { ends } | Served::Complimentary { until: Some(ends) } }, _) => {
            vec![*ends - TOLD_BEFORE]
        }
        (Entitlement::Served { by: Served::PastDue { .. } }, Some(since)) => {
            FAILED_ON.iter().map(|day| failed_on(since, *day)).collect()
        }
        _ => Vec::new(),
    };
    dates.into_iter().find(|at| *at > now)
}

fn changed(change: &Change<'_>) -> Option<Due> {
    let before = change.before.copied().unwrap_or(Entitlement::Unpaid);
    match (before, *change.after) {
        (Entitlement::Suspended { since, .. } | Entitlement::Leaving { until: since }, Entitlement::Served { by })
            if !matches!(by, Served::Cancelled { .. }) =>
        {
            Some(Due { cause: format!("restored:{}", since.timestamp()), told: Told::Restored { at: change.now } })
        }
        (
            Entitlement::Served { by: Served::Cancelled { ends: told } },
            Entitlement::Served { by: Served::Cancelled { ends } },
        ) if told == ends => None,
        (_, Entitlement::Served { by: Served::Cancelled { ends } }) => Some(cancelled(change, ends)),
        // It ended on the day that it was told of.
        (Entitlement::Served { by: Served::Cancelled { ends } }, Entitlement::Leaving { until })
            if until - KEPT >= ends - AS_NAMED =>
        {
            None
        }
        (Entitlement::Leaving { .. } | Entitlement::Gone { .. }, Entitlement::Leaving { .. }) => None,
        (_, Entitlement::Leaving { until }) => Some(cancelled(change, until - KEPT)),
        (Entitlement::Suspended { why: told, .. }, Entitlement::Suspended { why, .. }) if told == why => None,
        (_, Entitlement::Suspended { why, since }) => Some(suspended(why.into(), since)),
        (Entitlement::Served { by: Served::Complimentary { until: Some(until) } }, Entitlement::Unpaid) => {
            Some(suspended(Stopped::GiftOver, until))
        }
        (_, Entitlement::Served { .. } | Entitlement::Gone { .. } | Entitlement::Unpaid) => None,
    }
}

fn dated(change: &Change<'_>) -> Option<Due> {
    let plan = change.plan.map(str::to_owned);
    match (*change.after, change.past_due_since) {
        (Entitlement::Served { by: Served::Trial { ends } }, _)
            if ends - TOLD_BEFORE <= change.now && change.now < ends =>
        {
            Some(Due { cause: format!("trial_ending:{}", ends.timestamp()), told: Told::TrialEnding { ends, plan } })
        }
        (Entitlement::Served { by: Served::Complimentary { until: Some(ends) } }, _)
            if ends - TOLD_BEFORE <= change.now && change.now < ends =>
        {
            Some(Due { cause: format!("gift_ending:{}", ends.timestamp()), told: Told::GiftEnding { ends, plan } })
        }
        (Entitlement::Served { by: Served::PastDue { until } }, Some(since)) => {
            let day = FAILED_ON.into_iter().rfind(|day| failed_on(since, *day) <= change.now)?;
            let cause = format!("payment_failed:{day}:{}", since.timestamp());
            Some(Due { cause, told: Told::PaymentFailed { since, day, until, plan } })
        }
        _ => None,
    }
}

fn failed_on(since: DateTime<Utc>, day: u8) -> DateTime<Utc> {
    since + Duration::days(i64::from(day))
}

fn suspended(why: Stopped, since: DateTime<Utc>) -> Due {
    Due { cause: format!("suspended:{}:{}", why.name(), since.timestamp()), told: Told::Suspended { why, since } }
}

fn cancelled(change: &Change<'_>, served_until: DateTime<Utc>) -> Due {
    let kept_until = served_until + KEPT;
    let kept_until = change.erase_after.map_or(kept_until, |erased| kept_until.min(erased));
    let plan = change.plan.map(str::to_owned);
    Due {
        cause: format!("cancelled:{}", served_until.timestamp()),
        told: Told::Cancelled { served_until, kept_until, plan },
    }
}

#[cfg(test)]
mod tests;
