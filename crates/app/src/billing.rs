//! What a tenant's payments mean for its agents: judged in one place, acted upon in one transaction.
//!
//! Facts come from Stripe, by the flow; the judgement is [`domain::entitlement::entitlement`], and nothing else decides.

use chrono::{DateTime, Utc};
use domain::{
    Entropy, TenantId,
    audit::Act,
    entitlement::{Billing, Entitlement, Facts, entitlement},
    entropy::mint,
};
use store::{
    StoreError, SystemTx, TenantTx,
    billing::{Account, Seen},
};

use crate::{agents, audit};

pub use store::billing::BILLING;

/// What the flow hears when somebody knows that something changed.
pub const LOOK: &str = "look";

/// Who has agents stopped and started, in the words of their timeline.
const BY: &str = "billing";

/// The judgement for the caller's own tenant, at this moment. No row at Stripe's is a tenant that never paid.
///
/// # Errors
/// The database.
pub async fn of_caller(tx: &mut TenantTx, billing: Billing) -> Result<Entitlement, StoreError> {
    if billing == Billing::Off {
        return Ok(entitlement(&Facts::default(), DateTime::UNIX_EPOCH));
    }
    let account = store::billing::own(tx).await?;
    Ok(account.map_or(Entitlement::Unpaid, |(account, now)| judge(&account, billing, now)))
}

/// Begins to keep a tenant's payments in view. Begun already is success.
///
/// # Errors
/// The database; the caller does not commit.
pub async fn open(tx: &mut TenantTx, entropy: &dyn Entropy) -> Result<(), StoreError> {
    store::billing::open(tx, mint(entropy)).await
}

/// Has a tenant's payments looked at again, at once.
///
/// # Errors
/// The database; the caller does not commit.
pub async fn look_again(tx: &mut SystemTx, tenant: TenantId) -> Result<(), StoreError> {
    store::flows::signal_house(tx, BILLING, &[tenant.uuid()], LOOK).await
}

/// What was done about a judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acted {
    /// The judgement.
    pub entitlement: Entitlement,
    /// The database's time at which it was made.
    pub at: DateTime<Utc>,
    /// Whether what Stripe said differs from what was known, though nobody had said that something changed.
    pub differs: bool,
}

/// Writes down what Stripe said, judges, and has agents stopped, started or removed where the judgement has changed.
/// `None`: the tenant is gone, or Stripe was asked again meanwhile and that answer stands.
///
/// Nothing is removed on what was known before: only on what Stripe said just now.
///
/// # Errors
/// The database; nothing is changed then.
pub async fn act(
    mut tx: SystemTx,
    tenant: TenantId,
    billing: Billing,
    seen: Option<&Seen>,
) -> Result<Option<Acted>, StoreError> {
    let Some((before, _)) = store::billing::lock(&mut tx, tenant).await? else { return Ok(None) };
    if let Some(seen) = seen
        && !store::billing::see(&mut tx, tenant, seen).await?
    {
        return Ok(None);
    }
    let Some((account, now)) = store::billing::lock(&mut tx, tenant).await? else { return Ok(None) };
    let judged = judge(&account, billing, now);
    let differs = account.facts != before.facts;
    let acted = Acted { entitlement: judged, at: now, differs };
    let mut tx = tx.into_tenant(tenant).await?;
    let mut rested = account.rested;
    // Whatever the last judgement was: who asks twice does no harm, and an agent started meanwhile is found.
    let (act, agents) = if judged.may_run() {
        (Act::BillingRestore, agents::wake_all(&mut tx, &std::mem::take(&mut rested), BY).await?)
    } else if judged.may_be_removed() && seen.is_some() {
        rested.clear();
        (Act::BillingRemove, agents::remove_all(&mut tx, BY).await?)
    } else {
        let now = agents::rest_all(&mut tx, BY).await?;
        rested.extend(&now);
        (Act::BillingSuspend, now)
    };
    store::billing::acted(&mut tx, &judged, &rested).await?;
    if !agents.is_empty() {
        let count = agents.len().to_string();
        let details = [("entitlement", judged.name()), ("agents", &count)];
        audit::record_own(&mut tx, act, &tenant, &details).await?;
    }
    tx.commit().await?;
    Ok(Some(acted))
}

fn judge(account: &Account, billing: Billing, now: DateTime<Utc>) -> Entitlement {
    entitlement(&Facts { billing, ..account.facts.clone() }, now)
}
