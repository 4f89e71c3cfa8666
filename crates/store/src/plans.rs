//! What can be bought. Operators edit it; what somebody bought before stays good for them.

use std::num::{NonZeroU16, NonZeroU32};

use domain::{
    billing::PriceId,
    currency::Currency,
    machine::MachineSize,
    model::Micros,
    plan::{Money, Plan, PlanLimits, PlanName},
};

use sqlx::PgConnection;

use crate::{
    db::{SystemTx, TenantTx},
    error::StoreError,
};

/// All plans, in the order in which pages show them.
pub async fn list(tx: &mut SystemTx) -> Result<Vec<Plan>, StoreError> {
    read_all(tx.conn()).await
}

/// The same, for a tenant that chooses.
pub async fn offered(tx: &mut TenantTx) -> Result<Vec<Plan>, StoreError> {
    let conn = tx.enter_house().await?;
    let mut all = read_all(conn).await?;
    tx.leave_house().await?;
    all.retain(|plan| plan.price.is_some());
    Ok(all)
}

async fn read_all(conn: &mut PgConnection) -> Result<Vec<Plan>, StoreError> {
    let rows = sqlx::query_as!(
        PlanRow,
        "select plan, title, price_id, cents, currency, trial_days, agents_max, daily_micros, cpus, memory_mib, machine_cents
         from plans order by position"
    );
    rows.fetch_all(conn).await?.into_iter().map(PlanRow::read).collect()
}

/// What became of a wish to change a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It is so.
    So,
    /// There is no such plan.
    Unknown,
    /// Its price buys another plan, now or for those who have it from before.
    PriceTaken,
}

/// Puts a plan in the place of the one of its name. Its price buys it from now on, and for good for who has it; what it said
/// last while it was the plan's is what who keeps it brings.
pub async fn change(tx: &mut SystemTx, plan: &Plan) -> Result<Changed, StoreError> {
    let price = plan.price.as_ref().map(PriceId::as_str);
    let cents = i32::try_from(plan.money.cents).unwrap_or(i32::MAX);
    let bought = sqlx::query!(
        "insert into plan_prices (price_id, plan, cents, currency)
         select $2::text, plan, $3, $4 from plans where plan = $1 and $2::text is not null
         on conflict (price_id) do update set cents = excluded.cents, currency = excluded.currency
         where plan_prices.plan = excluded.plan",
        plan.name.as_str(),
        price,
        cents,
        plan.money.currency.as_str(),
    );
    bought.execute(tx.conn()).await?;
    // A statement of its own: it sees what whoever came first has committed.
    let others = sqlx::query_scalar!(
        r#"select exists (select from plan_prices where price_id = $2 and plan <> $1) as "is!""#,
        plan.name.as_str(),
        price,
    );
    if others.fetch_one(tx.conn()).await? {
        return Ok(Changed::PriceTaken);
    }
    let done = sqlx::query!(
        "update plans set title = $2, price_id = $3, cents = $4, currency = $5, trial_days = $6, agents_max = $7,
                          daily_micros = $8, cpus = $9, memory_mib = $10, machine_cents = $11, changed_at = berth.now()
         where plan = $1",
        plan.name.as_str(),
        plan.title,
        price,
        cents,
        plan.money.currency.as_str(),
        i32::from(plan.trial_days.map_or(0, NonZeroU16::get)),
        i32::from(plan.limits.agents),
        plan.limits.daily_model.map(|most| i64::try_from(most.get()).unwrap_or(i64::MAX)),
        plan.limits.machine.cpus.map(|cpus| i32::from(cpus.get())),
        plan.limits.machine.memory_mib.map(|mib| i32::try_from(mib.get()).unwrap_or(i32::MAX)),
        plan.machine_cents.map(|cents| i32::try_from(cents).unwrap_or(i32::MAX)),
    )
    .execute(tx.conn())
    .await?;
    Ok(if done.rows_affected() > 0 { Changed::So } else { Changed::Unknown })
}

/// A plan as it is stored.
pub(crate) struct PlanRow {
    pub(crate) plan: String,
    pub(crate) title: String,
    pub(crate) price_id: Option<String>,
    pub(crate) cents: i32,
    pub(crate) currency: String,
    pub(crate) trial_days: i32,
    pub(crate) agents_max: i32,
    pub(crate) daily_micros: Option<i64>,
    pub(crate) cpus: Option<i32>,
    pub(crate) memory_mib: Option<i32>,
    pub(crate) machine_cents: Option<i32>,
}

impl PlanRow {
    pub(crate) fn read(self) -> Result<Plan, StoreError> {
        let corrupt = |column, why: &'static str| StoreError::corrupt("plans", column, why);
        let price = self.price_id.as_deref().map(PriceId::parse).transpose();
        Ok(Plan {
            name: PlanName::parse(&self.plan).map_err(|error| StoreError::corrupt("plans", "plan", error))?,
            title: self.title,
            price: price.map_err(|error| StoreError::corrupt("plans", "price_id", error))?,
            money: Money {
                cents: u32::try_from(self.cents).map_err(|_| corrupt("cents", "is negative"))?,
                currency: Currency::parse(&self.currency).ok_or_else(|| corrupt("currency", "is none"))?,
            },
            trial_days: u16::try_from(self.trial_days).ok().and_then(NonZeroU16::new),
            limits: PlanLimits {
                agents: u16::try_from(self.agents_max).map_err(|_| corrupt("agents_max", "is out of range"))?,
                daily_model: self.daily_micros.map(|most| Micros::new(most.unsigned_abs())),
                machine: machine_size(self.cpus, self.memory_mib),
            },
            machine_cents: self.machine_cents.map(i32::unsigned_abs),
        })
    }
}

/// How large a machine is, as two columns say it.
pub(crate) fn machine_size(cpus: Option<i32>, memory_mib: Option<i32>) -> MachineSize {
    MachineSize {
        cpus: cpus.and_then(|cpus| u16::try_from(cpus).ok()).and_then(NonZeroU16::new),
        memory_mib: memory_mib.and_then(|mib| u32::try_from(mib).ok()).and_then(NonZeroU32::new),
    }
}
