//! What a tenant's payments mean for its agents: judged in one place, acted upon in one transaction.
//!
//! Facts come from Stripe, by the flow; the judgement is [`domain::entitlement::entitlement`], and nothing else decides.

use chrono::{DateTime, Utc};
use domain::{
    AgentId, Entropy, TenantId,
    audit::Act,
    dunning::{self, Change},
    entitlement::Entitlement,
    entropy::mint,
    letter::Told,
    plan::AGENTS_MAX,
};
use store::{
    StoreError, SystemTx, TenantTx,
    billing::{Account, Judged, Seen},
};

use crate::{audit, certificates, letters, rests};

pub use store::billing::BILLING;

/// What the flow hears when somebody knows that something changed.
pub const LOOK: &str = "look";

/// Who has agents stopped and started, in the words of their timeline.
const BY: &str = "billing";

/// Why an agent may not be made or run: with the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPaid {
    /// An operator has taken the tenant out of service, maybe a moment ago.
    #[error("this tenant is suspended; nothing was deleted. Ask whoever runs this Berth")]
    Suspended,
    /// The tenant is not served.
    #[error("{}", unserved(.0))]
    Unserved(Entitlement),
    /// The plan holds no more agents.
    #[error(
        "your plan holds {most} {}, and you have that many; delete or stop one, or choose a larger plan on the billing page",
        if *.most == 1 { "agent" } else { "agents" }
    )]
    PlanFull {
        /// How many it holds.
        most: u16,
    },
}

fn unserved(judged: &Entitlement) -> &'static str {
    use domain::entitlement::Suspended as Why;
    match judged {
        Entitlement::Unpaid | Entitlement::Served { .. } => "there is no plan yet; choose one on the billing page",
        Entitlement::Suspended { why: Why::PastDue, .. } => {
            "the last payment failed more than seven days ago; pay on the billing page, and agents start by themselves"
        }
        Entitlement::Suspended { why: Why::Disputed, .. } => {
            "a payment is disputed at your bank; settle that, or write to whoever runs this Berth"
        }
        Entitlement::Suspended { why: Why::Paused, .. } => {
            "the trial ended without a way to pay; add one on the billing page, and agents start by themselves"
        }
        Entitlement::Leaving { .. } | Entitlement::Gone { .. } => {
            "the subscription has ended; take out a new one on the billing page, and agents start by themselves"
        }
    }
}

/// How much room a tenant has, counted alone: nobody else makes, starts or stops agents of it until the commit.
/// To be asked before any flow is locked.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    /// The database's time.
    pub(crate) now: DateTime<Utc>,
    is_suspended: bool,
    judged: Entitlement,
    most: Option<u16>,
    count: store::agents::Count,
}

impl Room {
    pub(crate) async fn of(tx: &mut TenantTx) -> Result<Self, StoreError> {
        store::agents::alone(tx).await?;
        let account = store::billing::own(tx).await?;
        let count = store::agents::count(tx).await?;
        let most = account.plan.as_ref().map(|plan| plan.limits.agents);
        Ok(Self { now: account.now, is_suspended: account.is_suspended, judged: account.judge(), most, count })
    }

    /// Whether one more agent may be made.
    pub(crate) fn for_a_new_one(&self) -> Result<(), NotPaid> {
        self.beside(self.count.there)
    }

    /// Whether one more agent may run.
    pub(crate) fn to_run(&self) -> Result<(), NotPaid> {
        self.beside(self.count.running)
    }

    fn beside(&self, count: i64) -> Result<(), NotPaid> {
        match self.most {
            _ if self.is_suspended => Err(NotPaid::Suspended),
            _ if !self.judged.may_run() => Err(NotPaid::Unserved(self.judged)),
            Some(most) if count >= i64::from(most) => Err(NotPaid::PlanFull { most }),
            _ => Ok(()),
        }
    }
}

/// Begins to keep a tenant's payments in view, or has them looked at again, at once.
///
/// # Errors
/// The database; the caller does not commit.
pub async fn open(tx: &mut TenantTx, entropy: &dyn Entropy) -> Result<(), StoreError> {
    store::billing::open(tx, mint(entropy), LOOK).await
}

/// Has a tenant's payments looked at again, at once. Whose are in view already.
///
/// # Errors
/// The database; the caller does not commit.
pub async fn look_again(tx: &mut SystemTx, tenant: TenantId) -> Result<(), StoreError> {
    store::flows::signal_house(tx, BILLING, &[tenant.uuid()], LOOK).await
}

/// What was done about a judgement.
#[derive(Debug, Clone, PartialEq)]
pub struct Acted {
    /// What was known before.
    pub before: Account,
    /// What is known now.
    pub account: Account,
    /// The judgement.
    pub entitlement: Entitlement,
    /// Whether what Stripe said differs from what was known.
    pub differs: bool,
    /// Whether agents are being removed of which no certificate is written yet: look again soon.
    pub is_removing: bool,
}

impl Acted {
    /// When to look again though nobody did anything: the judgement changes, or a letter is due.
    #[must_use]
    pub fn next_at(&self) -> Option<DateTime<Utc>> {
        let letter = dunning::next_at(&self.entitlement, self.account.facts.past_due_since, self.account.now);
        self.entitlement.changes_at().into_iter().chain(letter).min()
    }
}

/// Writes down what Stripe said, judges, has agents stopped, started or removed where that follows, and tells the tenant's
/// owners what is due to be told. `None`: the tenant is gone, or Stripe was asked again meanwhile and that answer stands.
///
/// Nothing is removed on what was known before: only on what Stripe said just now.
///
/// # Errors
/// The database; nothing is changed then.
pub async fn act(
    mut tx: SystemTx,
    entropy: &dyn Entropy,
    tenant: TenantId,
    seen: Option<&Seen>,
) -> Result<Option<Acted>, StoreError> {
    if !store::billing::lock(&mut tx, tenant).await? {
        return Ok(None);
    }
    let Some(before) = store::billing::known(&mut tx, tenant).await? else { return Ok(None) };
    let account = match seen {
        None => before.clone(),
        Some(seen) if store::billing::see(&mut tx, tenant, seen).await? => {
            let Some(now) = store::billing::known(&mut tx, tenant).await? else { return Ok(None) };
            now
        }
        Some(_) => return Ok(None),
    };
    let judged = account.judge();
    tell(&mut tx, entropy, tenant, (before.entitlement.as_ref(), &judged), &account).await?;
    let mut tx = tx.into_tenant(tenant).await?;
    store::agents::alone(&mut tx).await?;
    // Whoever held that before may have suspended the tenant.
    let is_suspended = store::billing::own(&mut tx).await?.is_suspended;
    let account = Account { is_suspended, ..account };
    rests::fit(&mut tx).await?;
    let (act, agents, rested) = follow(&mut tx, &account, &judged, seen.is_some()).await?;
    let going: &[AgentId] = if act == Act::BillingRemove { &agents } else { &[] };
    let (mut tx, is_removing) = certificates::follow(tx, entropy, going).await?;
    let model = store::model_usage::of_thirty_days(&mut tx).await?;
    let price = account.price;
    store::billing::acted(&mut tx, &Judged { entitlement: &judged, rested: &rested, price, model }).await?;
    if !agents.is_empty() {
        let count = agents.len().to_string();
        let details = [("entitlement", judged.name()), ("agents", &count)];
        audit::record_own(&mut tx, act, &tenant, &details).await?;
    }
    tx.commit().await?;
    Ok(Some(Acted { entitlement: judged, differs: account.facts != before.facts, is_removing, before, account }))
}

/// Writes the letters that are due, in the transaction of what they tell.
async fn tell(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    tenant: TenantId,
    (before, after): (Option<&Entitlement>, &Entitlement),
    account: &Account,
) -> Result<(), StoreError> {
    let change = Change {
        before,
        after,
        past_due_since: account.facts.past_due_since,
        plan: account.plan.as_ref().map(|plan| plan.title.as_str()),
        erase_after: account.erase_after,
        now: account.now,
    };
    for due in dunning::due(&change) {
        // Whom an operator has taken out of service, nothing starts for.
        if !(account.is_suspended && matches!(due.told, Told::Restored { .. })) {
            letters::tell(tx, entropy, tenant, &due.cause, &due.told).await?;
        }
    }
    Ok(())
}

/// What follows for the agents, whatever the last judgement was: who asks twice does no harm, and an agent that was
/// started meanwhile is found. Returns which were touched, and all that rest because of payments.
async fn follow(
    tx: &mut TenantTx,
    account: &Account,
    judged: &Entitlement,
    is_fresh: bool,
) -> Result<(Act, Vec<AgentId>, Vec<AgentId>), StoreError> {
    let mut rested = account.rested.clone();
    if judged.may_be_removed() && is_fresh {
        return Ok((Act::BillingRemove, rests::remove_all(tx, BY).await?, Vec::new()));
    }
    let running = rests::running(tx).await?;
    let room = match (judged.may_run(), &account.plan) {
        // Who never was served ran before anybody paid here: nothing new starts, and what runs is an operator's to stop.
        (false, _) if *judged == Entitlement::Unpaid && !was_served(account) => running.len(),
        (false, _) => 0,
        (true, Some(plan)) => usize::from(plan.limits.agents),
        (true, None) => usize::from(AGENTS_MAX),
    };
    // The newest stop first, and the oldest start first.
    if let Some(over) = running.get(room..).filter(|over| !over.is_empty()) {
        rests::rest(tx, over, BY).await?;
        rested.extend(over);
        rested.sort_unstable();
        return Ok((Act::BillingSuspend, over.to_vec(), rested));
    }
    let most = if account.is_suspended { 0 } else { room - running.len() };
    let woken = rests::wake(tx, &rested, most, BY).await?;
    if judged.may_run() && !account.is_suspended {
        // One that its owner has started or removed since then is nobody's to start any more.
        let is_full = running.len() + woken.len() == room;
        rested.retain(|agent| is_full && !woken.contains(agent) && !running.contains(agent));
    }
    Ok((Act::BillingRestore, woken, rested))
}

fn was_served(account: &Account) -> bool {
    account.entitlement.is_some_and(|before| before.may_run())
}
