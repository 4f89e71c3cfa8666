//! What can be bought, and who is let off paying: operators say it.

use std::num::{NonZeroU16, NonZeroU32};

use chrono::TimeDelta;
use domain::{
    Entropy, TenantId,
    audit::Act,
    billing::PriceId,
    currency::Currency,
    machine::{CPUS_MAX, MEMORY_MIB_MAX, MEMORY_MIB_MIN, MachineSize},
    model::Micros,
    people::{Caller, shown_name},
    plan::{AGENTS_MAX, CENTS_MAX, Money, Plan, PlanLimits, PlanName, TRIAL_DAYS_MAX},
};
use store::{StoreError, SystemTx, plans::Changed};

use crate::{audit, billing};

/// The longest gift with an end, in days: ten years.
pub const GIFT_DAYS_MAX: u16 = 3650;

/// A plan as an operator wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenPlan<'a> {
    /// Which one.
    pub name: &'a str,
    /// What people read: 1 to 60 characters.
    pub title: &'a str,
    /// What a month costs at Stripe, `price_…`; empty: it is not sold.
    pub price: &'a str,
    /// The same in hundredths, for pages.
    pub cents: Option<u32>,
    /// Of which currency: three letters.
    pub currency: &'a str,
    /// How long the first one is free, in days; 0 is not at all.
    pub trial_days: Option<u16>,
    /// How many agents it holds.
    pub agents: Option<u16>,
    /// What model calls may cost a day; `None`: what the installation allows; nothing: people bring their own key.
    pub daily_model: Option<Micros>,
    /// Processors of each agent's machine; `None`: as the installation has it.
    pub cpus: Option<u32>,
    /// Memory of each agent's machine, in MiB; `None`: as the installation has it.
    pub memory_mib: Option<u32>,
    /// What a month of such a machine costs whoever runs Berth, in hundredths; `None`: nobody says.
    pub machine_cents: Option<u32>,
}

/// What cannot be used of it: the field's name, and a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct BadPlan {
    /// Which field.
    pub field: &'static str,
    words: &'static str,
}

impl WrittenPlan<'_> {
    /// Reads it.
    ///
    /// # Errors
    /// [`BadPlan`]: the first field that cannot be used.
    pub fn read(&self) -> Result<Plan, BadPlan> {
        let bad = |field, words| BadPlan { field, words };
        let title = shown_name(self.title).ok_or_else(|| bad("title", "a title has 1 to 60 characters"))?;
        let price = match self.price.trim() {
            "" => None,
            text => Some(PriceId::parse(text).map_err(|_| bad("price", "a price of Stripe's begins with price_"))?),
        };
        let cents = self.cents.filter(|cents| *cents <= CENTS_MAX);
        let trial = self.trial_days.filter(|days| *days <= TRIAL_DAYS_MAX);
        let agents = self.agents.filter(|agents| (1..=AGENTS_MAX).contains(agents));
        Ok(Plan {
            name: PlanName::parse(self.name).map_err(|_| bad("plan", "there is no plan of that name"))?,
            title: title.to_owned(),
            price,
            money: Money {
                cents: cents.ok_or_else(|| bad("cents", "write whole hundredths, such as 1900 for 19.00"))?,
                currency: Currency::parse(self.currency.trim())
                    .ok_or_else(|| bad("currency", "a currency has three small letters, such as eur"))?,
            },
            trial_days: NonZeroU16::new(trial.ok_or_else(|| bad("trial_days", "a trial has 0 to 90 days"))?),
            limits: PlanLimits {
                agents: agents.ok_or_else(|| bad("agents", "a plan holds 1 to 1000 agents"))?,
                daily_model: self.daily_model,
                machine: self.machine()?,
            },
            machine_cents: match self.machine_cents {
                Some(cents) if cents > CENTS_MAX => {
                    return Err(bad("machine_cents", "a machine costs at most a million a month"));
                }
                other => other,
            },
        })
    }

    fn machine(&self) -> Result<MachineSize, BadPlan> {
        let bad = |field, words| BadPlan { field, words };
        let is_whole = |cpus: &u16| (1..=CPUS_MAX).contains(cpus);
        let cpus = self.cpus.map(|cpus| {
            let cpus = u16::try_from(cpus).ok().filter(is_whole).and_then(NonZeroU16::new);
            cpus.ok_or_else(|| bad("cpus", "a machine has 1 to 64 processors"))
        });
        let memory = self.memory_mib.map(|mib| {
            let mib = Some(mib).filter(|mib| (MEMORY_MIB_MIN..=MEMORY_MIB_MAX).contains(mib)).and_then(NonZeroU32::new);
            mib.ok_or_else(|| bad("memory_mib", "a machine has 2048 to 262144 MiB of memory"))
        });
        Ok(MachineSize { cpus: cpus.transpose()?, memory_mib: memory.transpose()? })
    }
}

/// Why a tenant was not let off paying.
#[derive(Debug, thiserror::Error)]
pub enum GiftError {
    /// Not an operator.
    #[error("only operators let tenants off paying")]
    Forbidden,
    /// There is no such tenant.
    #[error("there is no such tenant")]
    NotFound,
    /// There is no such plan.
    #[error("there is no such plan")]
    NoPlan,
    /// The number of days cannot be used.
    #[error("a gift lasts 1 to 3650 days, or, with no number, for good")]
    Days,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Lets a tenant off paying, as on a plan, for some days from now or for good (`None`). It counts before anything that
/// Stripe says. Once more puts it in the place of the one before.
///
/// # Errors
/// [`GiftError`]; nothing is changed then.
pub async fn give(
    mut tx: SystemTx,
    entropy: &dyn Entropy,
    tenant: TenantId,
    (plan, days): (&PlanName, Option<u16>),
    by: &Caller,
) -> Result<(), GiftError> {
    if days.is_some_and(|days| !(1..=GIFT_DAYS_MAX).contains(&days)) {
        return Err(GiftError::Days);
    }
    if !store::plans::list(&mut tx).await?.iter().any(|one| one.name == *plan) {
        return Err(GiftError::NoPlan);
    }
    let now = known(&mut tx, tenant, by).await?;
    let until = days.map(|days| now + TimeDelta::days(i64::from(days)));
    let mut tx = tx.into_tenant(tenant).await?;
    billing::open(&mut tx, entropy).await?;
    store::billing::set_gift(&mut tx, Some((plan, until))).await?;
    let lasts = until.map_or_else(|| "for good".to_owned(), |until| until.to_rfc3339());
    audit::record(&mut tx, by, Act::BillingGift, &tenant, &[("plan", plan.as_str()), ("until", &lasts)]).await?;
    Ok(tx.commit().await?)
}

/// Has a tenant pay again. It did not get anything given: success, and nothing changes.
///
/// # Errors
/// [`GiftError`]; nothing is changed then.
pub async fn end_gift(mut tx: SystemTx, entropy: &dyn Entropy, tenant: TenantId, by: &Caller) -> Result<(), GiftError> {
    known(&mut tx, tenant, by).await?;
    let account = store::billing::known(&mut tx, tenant).await?.ok_or(GiftError::NotFound)?;
    if account.facts.complimentary.is_none() {
        return Ok(());
    }
    let mut tx = tx.into_tenant(tenant).await?;
    billing::open(&mut tx, entropy).await?;
    store::billing::set_gift(&mut tx, None).await?;
    audit::record(&mut tx, by, Act::BillingGiftEnd, &tenant, &[]).await?;
    Ok(tx.commit().await?)
}

async fn known(tx: &mut SystemTx, tenant: TenantId, by: &Caller) -> Result<chrono::DateTime<chrono::Utc>, GiftError> {
    if !by.is_operator {
        return Err(GiftError::Forbidden);
    }
    let account = store::billing::known(tx, tenant).await?;
    account.map(|account| account.now).ok_or(GiftError::NotFound)
}

/// Why a plan was left as it is.
#[derive(Debug, thiserror::Error)]
pub enum ChangePlanError {
    /// Not an operator.
    #[error("only operators change plans")]
    Forbidden,
    /// There is no such plan.
    #[error("there is no such plan")]
    NotFound,
    /// A price stays with its plan, for those who have it.
    #[error("that price buys another plan, now or for people who took it out before; make a new price at Stripe")]
    PriceTaken,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Puts a plan in the place of the one of its name. Who has it at an older price keeps that price; its limits change for
/// everybody at once, and agents over them are stopped at the next look, at most six hours later.
///
/// # Errors
/// [`ChangePlanError`]; the caller does not commit.
pub async fn change(tx: &mut SystemTx, plan: &Plan, by: &Caller) -> Result<(), ChangePlanError> {
    if !by.is_operator {
        return Err(ChangePlanError::Forbidden);
    }
    match store::plans::change(tx, plan).await? {
        Changed::So => {}
        Changed::Unknown => return Err(ChangePlanError::NotFound),
        Changed::PriceTaken => return Err(ChangePlanError::PriceTaken),
    }
    let price = plan.price.as_ref().map_or("none", PriceId::as_str);
    let (money, agents) = (plan.money.to_string(), plan.limits.agents.to_string());
    let machine = plan.limits.machine.to_string();
    let details = [("price", price), ("money", &money), ("agents", &agents), ("machine", &machine)];
    audit::record_house(tx, by, Act::PlanChange, &plan.name, &details).await?;
    Ok(())
}
