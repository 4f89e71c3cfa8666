//! What is known of a tenant's payments. The house's to write: no tenant's role says what a tenant is entitled to.

mod watched;

use chrono::{DateTime, Utc};
use domain::{
    AgentId, FlowId, TenantId,
    billing::{BillingStep, CustomerId, Subscription},
    currency::Currency,
    entitlement::{Billing, Complimentary, Entitlement, Facts, Month, Standing, entitlement},
    model::Micros,
    plan::{Money, Plan, PlanName},
};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    db::{SystemTx, TenantTx},
    error::{StoreError, json, read},
    flows::{self, NewFlow},
    invites::Gift,
    order,
    plans::PlanRow,
};

pub use watched::{open_after, to_be_looked_at, unwatched, watch};

/// Kind of the flow that keeps a tenant's payments in view; its subject is the tenant.
pub const BILLING: &str = "billing";

/// What is known of a tenant's payments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Who that is at Stripe.
    pub customer: Option<CustomerId>,
    /// Everything that the judgement rests on.
    pub facts: Facts,
    /// What it is served as, if a plan of ours is paid for or given.
    pub plan: Option<Plan>,
    /// What its subscription's price was said to be, while it was a plan's. `None`: it has none, or it never was.
    pub price: Option<Money>,
    /// When Stripe was asked for it.
    pub asked_at: Option<DateTime<Utc>>,
    /// The judgement that was acted upon last.
    pub entitlement: Option<Entitlement>,
    /// Agents that were stopped because nobody paid for them.
    pub rested: Vec<AgentId>,
    /// Whether an operator has suspended the tenant: then nothing starts by itself.
    pub is_suspended: bool,
    /// When the tenant is to be erased, if its owner wants that.
    pub erase_after: Option<DateTime<Utc>>,
    /// The database's time.
    pub now: DateTime<Utc>,
}

impl Account {
    /// The judgement, now.
    #[must_use]
    pub fn judge(&self) -> Entitlement {
        entitlement(&self.facts, self.now)
    }
}

/// What Stripe said, and when it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The subscription that matters.
    pub subscription: Option<Subscription>,
    /// Since when payments fail.
    pub past_due_since: Option<DateTime<Utc>>,
    /// Since when a payment is disputed.
    pub disputed_since: Option<DateTime<Utc>>,
    /// By the database's clock, from before the question.
    pub asked_at: DateTime<Utc>,
}

/// Makes a tenant's row, if there is none, and starts the flow that keeps it in view, or wakes it.
///
/// The flow is locked first, as its own settling does: it does not end meanwhile.
pub async fn open(tx: &mut TenantTx, flow: FlowId, signal: &str) -> Result<(), StoreError> {
    let tenant = tx.tenant();
    order::flow_first(tx, BILLING, tenant.uuid()).await?;
    let step = BillingStep::Refresh;
    let new =
        NewFlow { id: flow, kind: BILLING, subject: tenant.uuid(), step: json(&step)?, deadline: step.deadline() };
    flows::start(tx, &new).await?;
    flows::signal(tx, BILLING, tenant.uuid(), signal).await?;
    let conn = tx.enter_house().await?;
    sqlx::query!("insert into billing (tenant_id) values ($1) on conflict do nothing", tenant.uuid())
        .execute(conn)
        .await?;
    tx.leave_house().await
}

/// Lets a tenant that is made in this transaction off paying, as on a plan, for some days or for good, and keeps it in view.
pub async fn begin_given(tx: &mut SystemTx, tenant: TenantId, flow: FlowId, gift: &Gift) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into billing (tenant_id, gift_plan, gift_until) values ($1, $2, berth.now() + make_interval(days => $3))",
        tenant.uuid(),
        gift.plan.as_str(),
        gift.days.map(i32::from),
    )
    .execute(tx.conn())
    .await?;
    watch(tx, tenant, flow).await
}

/// Forgets a tenant's row, of which nothing is to be kept in view.
///
/// # Errors
/// The database; also when there is something since a moment: then the flow must not end.
pub async fn close(tx: &mut SystemTx, tenant: TenantId) -> Result<(), StoreError> {
    let row = sqlx::query!(
        "delete from billing where tenant_id = $1 and customer is null and gift_plan is null",
        tenant.uuid()
    );
    row.execute(tx.conn()).await?;
    if is_open(tx, tenant).await? {
        return Err(StoreError::corrupt("billing", "customer", "there is one since a moment"));
    }
    Ok(())
}

/// Writes down who a tenant is at Stripe, in its row. `false`: it is somebody already, or somebody else is that customer.
pub async fn set_customer(tx: &mut TenantTx, customer: &CustomerId) -> Result<bool, StoreError> {
    let tenant = tx.tenant();
    let conn = tx.enter_house().await?;
    let done = sqlx::query!(
        "update billing set customer = $2
         where tenant_id = $1 and (customer is null or customer = $2)
           and not exists (select from billing other where other.customer = $2 and other.tenant_id <> $1)",
        tenant.uuid(),
        customer.as_str(),
    )
    .execute(conn)
    .await?;
    tx.leave_house().await?;
    Ok(done.rows_affected() > 0)
}

/// Lets a tenant off paying, as on a plan, until a moment or for good; or no longer (`None`), in its row.
pub async fn set_gift(tx: &mut TenantTx, gift: Option<(&PlanName, Option<DateTime<Utc>>)>) -> Result<(), StoreError> {
    let tenant = tx.tenant();
    let conn = tx.enter_house().await?;
    sqlx::query!(
        "update billing set gift_plan = $2, gift_until = $3 where tenant_id = $1",
        tenant.uuid(),
        gift.map(|(plan, _)| plan.as_str()),
        gift.and_then(|(_, until)| until),
    )
    .execute(conn)
    .await?;
    tx.leave_house().await
}

/// The tenant who is this customer.
pub async fn tenant_of(tx: &mut SystemTx, customer: &CustomerId) -> Result<Option<TenantId>, StoreError> {
    let found = sqlx::query_scalar!("select tenant_id from billing where customer = $1", customer.as_str())
        .fetch_optional(tx.conn())
        .await?;
    Ok(found.map(TenantId::from_uuid))
}

/// Whether a tenant has a row.
pub async fn is_open(tx: &mut SystemTx, tenant: TenantId) -> Result<bool, StoreError> {
    let found =
        sqlx::query_scalar!(r#"select exists (select from billing where tenant_id = $1) as "found!""#, tenant.uuid(),);
    Ok(found.fetch_one(tx.conn()).await?)
}

/// Keeps a tenant's row from everybody else until the commit. `false`: there is none.
pub async fn lock(tx: &mut SystemTx, tenant: TenantId) -> Result<bool, StoreError> {
    let row =
        sqlx::query_scalar!(r#"select 1 as "one!" from billing where tenant_id = $1 for no key update"#, tenant.uuid());
    Ok(row.fetch_optional(tx.conn()).await?.is_some())
}

/// What is known of a tenant, whether it has a row or not. `None`: there is no such tenant.
pub async fn known(tx: &mut SystemTx, tenant: TenantId) -> Result<Option<Account>, StoreError> {
    Ok(read_known(tx.conn(), &[tenant.uuid()]).await?.pop().map(|(_, account)| account))
}

/// The same of several, in one statement.
pub async fn known_of(tx: &mut SystemTx, tenants: &[TenantId]) -> Result<Vec<(TenantId, Account)>, StoreError> {
    let tenants: Vec<Uuid> = tenants.iter().map(|tenant| tenant.uuid()).collect();
    read_known(tx.conn(), &tenants).await
}

/// What is known of the caller's own tenant.
pub async fn own(tx: &mut TenantTx) -> Result<Account, StoreError> {
    let tenant = tx.tenant();
    let conn = tx.enter_house().await?;
    let known = read_known(conn, &[tenant.uuid()]).await?.pop();
    tx.leave_house().await?;
    let (_, account) = known.ok_or_else(|| StoreError::corrupt("tenants", "id", "a caller without a tenant"))?;
    Ok(account)
}

/// Writes down what Stripe said, unless it was asked again meanwhile.
pub async fn see(tx: &mut SystemTx, tenant: TenantId, seen: &Seen) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update billing set subscription = $2, past_due_since = $3, disputed_since = $4, asked_at = $5
         where tenant_id = $1 and (asked_at is null or asked_at < $5)",
        tenant.uuid(),
        seen.subscription.as_ref().map(json).transpose()?,
        seen.past_due_since,
        seen.disputed_since,
        seen.asked_at,
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() > 0)
}

/// A judgement, and what is written down with it.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// What was judged.
    pub entitlement: &'a Entitlement,
    /// Whose agents rest because of it.
    pub rested: &'a [AgentId],
    /// What its subscription's price was said to be.
    pub price: Option<Money>,
    /// What its model calls of the last thirty days came to.
    pub model: Micros,
}

/// Writes down what was acted upon, and how the tenant stands where that has changed. One statement.
pub async fn acted(tx: &mut TenantTx, judged: &Judged<'_>) -> Result<(), StoreError> {
    let tenant = tx.tenant();
    let conn = tx.enter_house().await?;
    let rested: Vec<Uuid> = judged.rested.iter().map(|agent| agent.uuid()).collect();
    let brings = Month::of(judged.entitlement, judged.price).and_then(|month| month.money);
    sqlx::query!(
        "with told as (
             update billing set entitlement = $2, entitled_at = berth.now(), rested = $3, model_micros = $4
             where tenant_id = $1 returning payer
         )
         insert into standings (payer, standing, cents, currency)
         select told.payer, $5, $6, $7 from told
         where not exists (
             select from (select * from standings s where s.payer = told.payer order by s.id desc limit 1) last
             where (last.standing, last.cents, last.currency) is not distinct from ($5::text, $6::integer, $7::text))",
        tenant.uuid(),
        json(judged.entitlement)?,
        &rested,
        i64::try_from(judged.model.get()).unwrap_or(i64::MAX),
        Standing::of(judged.entitlement).name(),
        brings.map(|money| i32::try_from(money.cents).unwrap_or(i32::MAX)),
        brings.as_ref().map(|money| money.currency.as_str()),
    )
    .execute(conn)
    .await?;
    tx.leave_house().await?;
    // What pages say of it to the tenant's people.
    tx.forget_access();
    Ok(())
}

async fn read_known(conn: &mut PgConnection, tenants: &[Uuid]) -> Result<Vec<(TenantId, Account)>, StoreError> {
    let rows = sqlx::query_as!(
        AccountRow,
        r#"select t.id as "tenant_id!", coalesce(i.is_billing, false) as "is_billing!", b.customer as "customer?",
                  b.subscription as "subscription?", b.past_due_since as "past_due_since?",
                  b.disputed_since as "disputed_since?", b.gift_plan as "gift_plan?", b.gift_until as "gift_until?",
                  b.asked_at as "asked_at?", b.entitlement as "entitlement?", b.rested as "rested?",
                  t.erase_after, t.suspended_at is not null as "is_suspended!", clock.now as "now!",
                  p.plan as "plan?", p.title as "title?", p.price_id as "price_id?", p.cents as "cents?",
                  p.currency as "currency?", p.trial_days as "trial_days?", p.agents_max as "agents_max?",
                  p.daily_micros as "daily_micros?", p.cpus as "cpus?", p.memory_mib as "memory_mib?",
                  p.machine_cents as "machine_cents?", bought.cents as "paid_cents?", bought.currency as "paid_currency?"
           from tenants t
           left join installation i on true
           cross join (select berth.now() as now) clock
           left join billing b on b.tenant_id = t.id
           left join plans p on p.plan = berth.plan_of(b, clock.now)
           left join plan_prices bought on bought.price_id = b.subscription ->> 'price'
           where t.id = any ($1)"#,
        tenants,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|row| Ok((TenantId::from_uuid(row.tenant_id), row.read()?))).collect()
}

/// A tenant beside what is known of its payments, as it is stored.
pub(crate) struct AccountRow {
    pub(crate) tenant_id: Uuid,
    pub(crate) is_billing: bool,
    pub(crate) customer: Option<String>,
    pub(crate) subscription: Option<Value>,
    pub(crate) past_due_since: Option<DateTime<Utc>>,
    pub(crate) disputed_since: Option<DateTime<Utc>>,
    pub(crate) gift_plan: Option<String>,
    pub(crate) gift_until: Option<DateTime<Utc>>,
    pub(crate) asked_at: Option<DateTime<Utc>>,
    pub(crate) entitlement: Option<Value>,
    pub(crate) rested: Option<Vec<Uuid>>,
    pub(crate) erase_after: Option<DateTime<Utc>>,
    pub(crate) is_suspended: bool,
    pub(crate) now: DateTime<Utc>,
    pub(crate) plan: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) price_id: Option<String>,
    pub(crate) cents: Option<i32>,
    pub(crate) currency: Option<String>,
    pub(crate) trial_days: Option<i32>,
    pub(crate) agents_max: Option<i32>,
    pub(crate) daily_micros: Option<i64>,
    pub(crate) cpus: Option<i32>,
    pub(crate) memory_mib: Option<i32>,
    pub(crate) machine_cents: Option<i32>,
    pub(crate) paid_cents: Option<i32>,
    pub(crate) paid_currency: Option<String>,
}

impl AccountRow {
    pub(crate) fn read(self) -> Result<Account, StoreError> {
        let facts = Facts {
            billing: if self.is_billing { Billing::On } else { Billing::Off },
            complimentary: self.gift_plan.is_some().then_some(Complimentary { until: self.gift_until }),
            subscription: self.subscription.map(|value| read("billing", "subscription", value)).transpose()?,
            past_due_since: self.past_due_since,
            disputed_since: self.disputed_since,
        };
        let customer = self.customer.as_deref().map(CustomerId::parse).transpose();
        let plan = match (self.plan, self.title, self.cents, self.currency, self.trial_days, self.agents_max) {
            (Some(plan), Some(title), Some(cents), Some(currency), Some(trial_days), Some(agents_max)) => {
                let row = PlanRow {
                    plan,
                    title,
                    price_id: self.price_id,
                    cents,
                    currency,
                    trial_days,
                    agents_max,
                    daily_micros: self.daily_micros,
                    cpus: self.cpus,
                    memory_mib: self.memory_mib,
                    machine_cents: self.machine_cents,
                };
                Some(row.read()?)
            }
            _ => None,
        };
        Ok(Account {
            customer: customer.map_err(|error| StoreError::corrupt("billing", "customer", error))?,
            facts,
            plan,
            price: money(self.paid_cents, self.paid_currency.as_deref()),
            asked_at: self.asked_at,
            entitlement: self.entitlement.map(|value| read("billing", "entitlement", value)).transpose()?,
            rested: self.rested.unwrap_or_default().into_iter().map(AgentId::from_uuid).collect(),
            is_suspended: self.is_suspended,
            erase_after: self.erase_after,
            now: self.now,
        })
    }
}

/// An amount, as two columns say it.
pub(crate) fn money(cents: Option<i32>, currency: Option<&str>) -> Option<Money> {
    Some(Money { cents: u32::try_from(cents?).ok()?, currency: Currency::parse(currency?)? })
}
