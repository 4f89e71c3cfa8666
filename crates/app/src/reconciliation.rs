//! Taking in what Stripe tells when it is asked, and saying what was otherwise here.

use std::fmt::Write as _;

use domain::{
    Entropy,
    billing::{Difference, DifferenceKind, Told, ToldEvent},
    entitlement::Facts,
    event::KIND_BYTES_MAX,
};
use store::{StoreError, SystemTx, billing_differences};

use crate::{
    billing,
    events::{KeepError, keep},
};

/// Kind of the flow that compares all that is known with what stands at Stripe; its subject is a run of the job `billing`.
pub const RECONCILIATION: &str = "reconciliation";

/// What a tenant's flow hears when everybody is looked at, without anybody having said that something changed.
pub const RECONCILE: &str = "reconcile";

/// Most bytes of an event that are kept.
const BODY_MAX: usize = 1 << 20;

/// What came of events that Stripe told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// How many.
    pub told: Told,
    /// Those that were missing: name, kind and moment of each.
    pub missing: Vec<String>,
}

/// Keeps those of Stripe's events that are not here, as if they had been delivered, and writes each of them down as a
/// difference. With `look_again`, the tenants of those that were here are looked at again, too.
///
/// # Errors
/// The database; the caller does not commit.
pub async fn take(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    events: &[ToldEvent],
    look_again: bool,
) -> Result<Taken, StoreError> {
    let names: Vec<&str> = events.iter().map(|event| event.id.as_str()).collect();
    let here = store::events::here(tx, &names).await?;
    let mut told = Told { asked: u64::try_from(events.len()).unwrap_or(u64::MAX), ..Told::default() };
    let mut missing = Vec::new();
    for event in events.iter().filter(|event| !here.contains_key(event.id.as_str())) {
        told.missing += 1;
        let body = event.payload.to_string();
        let kept = if body.len() > BODY_MAX { Ok(false) } else { keep(tx, entropy, body.as_bytes()).await };
        match kept {
            Ok(true) => told.kept += 1,
            // It came by itself since a moment; or nobody can make sense of it.
            Ok(false) | Err(KeepError::Bad(_)) => {}
            Err(KeepError::Store(error)) => return Err(error),
        }
        let kind: String = event.kind.chars().filter(char::is_ascii_graphic).take(KIND_BYTES_MAX).collect();
        let after = format!("{} {kind} of {}", event.id, event.at.format("%Y-%m-%d %H:%M:%S UTC"));
        let kind = DifferenceKind::Event;
        let difference = Difference { tenant: None, kind, before: None, after: after.clone() };
        billing_differences::keep(tx, entropy.uuid(), &difference).await?;
        missing.push(after);
    }
    if look_again {
        let mut tenants: Vec<_> = here.into_values().flatten().collect();
        tenants.sort_unstable();
        tenants.dedup();
        for tenant in tenants {
            billing::look_again(tx, tenant).await?;
        }
    }
    Ok(Taken { told, missing })
}

/// What is known of a tenant's payments, in words without names of people, for operators.
#[must_use]
pub fn in_words(facts: &Facts) -> String {
    const TIME: &str = "%Y-%m-%d %H:%M UTC";
    let mut words = match &facts.subscription {
        None => "no subscription".to_owned(),
        Some(one) => {
            format!("{} {}, {}, until {}", one.id, one.status.name(), one.price, one.period_ends.format(TIME))
        }
    };
    let ends = facts.subscription.as_ref().and_then(|one| one.ends);
    let ended = facts.subscription.as_ref().and_then(|one| one.ended);
    let moments = [
        ("ends", ends),
        ("ended", ended),
        ("past due since", facts.past_due_since),
        ("disputed since", facts.disputed_since),
    ];
    for (what, at) in moments {
        if let Some(at) = at {
            write!(words, ", {what} {}", at.format(TIME)).ok();
        }
    }
    words
}
