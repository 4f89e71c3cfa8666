//! What a month of each tenant brings and costs, as operators read it.
//!
//! Paid is what the price said while it was a plan's; a machine costs what an operator said on the plan; model calls cost
//! what those of the last thirty days came to, in dollars. What is not known makes the difference unknown, never zero.

use chrono::{DateTime, Utc};
use domain::{TenantId, currency::Currency, entitlement::Standing, model::Micros, rates::DollarRates};

use crate::{db::SystemTx, error::StoreError};

/// A tenant's month. Amounts are in hundredths of its currency; what is `None` is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantMonth {
    /// Whose.
    pub tenant: TenantId,
    /// How it stood.
    pub standing: Standing,
    /// When that was looked at.
    pub at: DateTime<Utc>,
    /// The title of the plan that it is served as.
    pub plan: Option<String>,
    /// Of what it pays, else of its plan; `None` without either.
    pub currency: Option<Currency>,
    /// What its price said: paid, owed while it is past due, or from the end of the trial on.
    pub price: Option<i64>,
    /// What a month brings: nothing, unless it is paying.
    pub brings: Option<i64>,
    /// Machines that are there, running or not.
    pub machines: i64,
    /// What they cost together, by its plan's figure in the same currency.
    pub machine_cost: Option<i64>,
    /// What its model calls of the last thirty days came to.
    pub model: Micros,
    /// What is left of what it brings; below nothing where it costs more.
    pub left: Option<i64>,
}

/// Which tenants, by what is left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Which {
    /// All that are kept in view.
    #[default]
    All,
    /// Those of whom less than nothing is left.
    Losing,
    /// Those of whom it is not known.
    Unknown,
}

impl Which {
    /// All of them.
    pub const EVERY: [Self; 3] = [Self::All, Self::Losing, Self::Unknown];

    /// The word in addresses and in statements.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Losing => "losing",
            Self::Unknown => "unknown",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|which| which.name() == word)
    }
}

/// Which tenants' months. What is `None` does not matter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MonthFilter {
    /// By what is left.
    pub which: Which,
    /// Of this tenant alone.
    pub tenant: Option<TenantId>,
    /// Of those older than this one.
    pub after: Option<TenantId>,
}

/// All of one currency together, in its hundredths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonthSum {
    /// Which; `None`: of tenants that have no plan.
    pub currency: Option<Currency>,
    /// Tenants that pay.
    pub paying: i64,
    /// What a month of them brings, as far as it is known.
    pub brings: i64,
    /// What those owe whose last payment failed.
    pub owed: i64,
    /// What the machines of all cost, as far as it is known.
    pub machine_cost: i64,
    /// What their model calls of the last thirty days came to.
    pub model: Micros,
    /// Of how many tenants something of it is not known.
    pub unknown: i64,
}

/// Months of tenants that are kept in view, newest tenant first. One statement.
pub async fn list(
    tx: &mut SystemTx,
    filter: MonthFilter,
    rates: &DollarRates,
    limit: i64,
) -> Result<Vec<TenantMonth>, StoreError> {
    let (currencies, worth) = rates.columns();
    // Millionths of a dollar, times millionths of the currency for a dollar, are hundredths by ten thousand million.
    let rows = sqlx::query!(
        r#"select m.tenant_id as "tenant_id!", m.at as "at!", m.standing as "standing!", m.plan, m.currency,
                  m.price_cents::bigint as price, m.brings_cents::bigint as brings, m.machines as "machines!",
                  m.machine_cents::bigint as machine_cost, m.model_micros as "model_micros!", cost.left_over as "left_over?"
           from tenant_months m
           left join unnest($1::text[], $2::bigint[]) as rate (currency, worth) on rate.currency = m.currency
           cross join lateral (
               select m.brings_cents - m.machine_cents
                    - case when m.model_micros = 0 then 0
                           else ceil(m.model_micros * rate.worth::numeric / 10000000000)::bigint end as left_over
           ) cost
           where ($3 = 'all' or ($3 = 'losing' and cost.left_over < 0) or ($3 = 'unknown' and cost.left_over is null))
             and ($4::uuid is null or m.tenant_id = $4)
             and ($5::uuid is null or m.tenant_id < $5)
           order by m.tenant_id desc
           limit $6"#,
        &currencies,
        &worth,
        filter.which.name(),
        filter.tenant.map(TenantId::uuid),
        filter.after.map(TenantId::uuid),
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    let standing = |word: &str| {
        Standing::parse(word).ok_or_else(|| StoreError::corrupt("standings", "standing", "no such standing"))
    };
    let month = rows.into_iter().map(|row| {
        Ok(TenantMonth {
            tenant: TenantId::from_uuid(row.tenant_id),
            standing: standing(&row.standing)?,
            at: row.at,
            plan: row.plan,
            currency: row.currency.as_deref().and_then(Currency::parse),
            price: row.price,
            brings: row.brings,
            machines: row.machines,
            machine_cost: row.machine_cost,
            model: Micros::new(row.model_micros.unsigned_abs()),
            left: row.left_over,
        })
    });
    month.collect()
}

/// All of them together, by currency. One statement.
pub async fn sums(tx: &mut SystemTx) -> Result<Vec<MonthSum>, StoreError> {
    let rows = sqlx::query!(
        r#"select m.currency, count(*) filter (where m.standing = 'paying') as "paying!",
                  coalesce(sum(m.brings_cents), 0)::bigint as "brings!",
                  coalesce(sum(m.price_cents) filter (where m.standing = 'past_due'), 0)::bigint as "owed!",
                  coalesce(sum(m.machine_cents), 0)::bigint as "machine_cost!",
                  coalesce(sum(m.model_micros), 0)::bigint as "model_micros!",
                  count(*) filter (where m.brings_cents is null or m.machine_cents is null) as "unknown!"
           from tenant_months m
           group by m.currency
           order by m.currency"#
    )
    .fetch_all(tx.conn())
    .await?;
    let sum = rows.into_iter().map(|row| MonthSum {
        currency: row.currency.as_deref().and_then(Currency::parse),
        paying: row.paying,
        brings: row.brings,
        owed: row.owed,
        machine_cost: row.machine_cost,
        model: Micros::new(row.model_micros.unsigned_abs()),
        unknown: row.unknown,
    });
    Ok(sum.collect())
}
