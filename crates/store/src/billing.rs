//! What is known of a tenant's payments. The house's to write: no tenant's role says what a tenant is entitled to.

use chrono::{DateTime, Utc};
use domain::{
    AgentId, FlowId, TenantId,
    billing::{BillingStep, CustomerId, Subscription},
    entitlement::{Billing, Complimentary, Entitlement, Facts},
};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    db::{SystemTx, TenantTx},
    error::{StoreError, json, read},
    flows::{self, NewFlow},
};

/// Kind of the flow that keeps a tenant's payments in view; its subject is the tenant.
pub const BILLING: &str = "billing";

/// What is known of a tenant's payments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Whose.
    pub tenant: TenantId,
    /// Who that is at Stripe.
    pub customer: Option<CustomerId>,
    /// Everything that the judgement rests on, but whether this Berth bills.
    pub facts: Facts,
    /// When Stripe was asked for it.
    pub asked_at: Option<DateTime<Utc>>,
    /// The judgement that was acted upon last.
    pub entitlement: Option<Entitlement>,
    /// Agents that were stopped because nobody paid.
    pub rested: Vec<AgentId>,
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

/// Makes a tenant's row, if there is none, and starts the flow that keeps it in view.
pub async fn open(tx: &mut TenantTx, flow: FlowId) -> Result<(), StoreError> {
    let tenant = tx.tenant();
    let conn = tx.enter_house().await?;
    sqlx::query!("insert into billing (tenant_id) values ($1) on conflict do nothing", tenant.uuid())
        .execute(conn)
        .await?;
    tx.leave_house().await?;
    let step = BillingStep::Refresh;
    let new =
        NewFlow { id: flow, kind: BILLING, subject: tenant.uuid(), step: json(&step)?, deadline: step.deadline() };
    flows::start(tx, &new).await
}

/// Writes down who a tenant is at Stripe. `false`: it is somebody already, or somebody else is that customer.
pub async fn set_customer(tx: &mut SystemTx, tenant: TenantId, customer: &CustomerId) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update billing set customer = $2
         where tenant_id = $1 and (customer is null or customer = $2)
           and not exists (select from billing other where other.customer = $2 and other.tenant_id <> $1)",
        tenant.uuid(),
        customer.as_str(),
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() > 0)
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

/// A tenant's row, kept from everybody else until the commit, and the database's time.
pub async fn lock(tx: &mut SystemTx, tenant: TenantId) -> Result<Option<(Account, DateTime<Utc>)>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"select tenant_id, customer, subscription, past_due_since, disputed_since, is_complimentary,
                  complimentary_until, asked_at, entitlement, rested, berth.now() as "now!"
           from billing where tenant_id = $1 for no key update"#,
        tenant.uuid(),
    );
    row.fetch_optional(tx.conn()).await?.map(known).transpose()
}

/// The caller's own row, and the database's time.
pub async fn own(tx: &mut TenantTx) -> Result<Option<(Account, DateTime<Utc>)>, StoreError> {
    let tenant = tx.tenant();
    let conn = tx.enter_house().await?;
    let row = sqlx::query_as!(
        Row,
        r#"select tenant_id, customer, subscription, past_due_since, disputed_since, is_complimentary,
                  complimentary_until, asked_at, entitlement, rested, berth.now() as "now!"
           from billing where tenant_id = $1"#,
        tenant.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    tx.leave_house().await?;
    row.map(known).transpose()
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

/// Writes down what was acted upon, and whose agents rest because of it.
pub async fn acted(tx: &mut TenantTx, entitlement: &Entitlement, rested: &[AgentId]) -> Result<(), StoreError> {
    let tenant = tx.tenant();
    let conn = tx.enter_house().await?;
    let rested: Vec<Uuid> = rested.iter().map(|agent| agent.uuid()).collect();
    sqlx::query!(
        "update billing set entitlement = $2, entitled_at = berth.now(), rested = $3 where tenant_id = $1",
        tenant.uuid(),
        json(entitlement)?,
        &rested,
    )
    .execute(conn)
    .await?;
    tx.leave_house().await
}

struct Row {
    tenant_id: Uuid,
    customer: Option<String>,
    subscription: Option<Value>,
    past_due_since: Option<DateTime<Utc>>,
    disputed_since: Option<DateTime<Utc>>,
    is_complimentary: bool,
    complimentary_until: Option<DateTime<Utc>>,
    asked_at: Option<DateTime<Utc>>,
    entitlement: Option<Value>,
    rested: Vec<Uuid>,
    now: DateTime<Utc>,
}

fn known(row: Row) -> Result<(Account, DateTime<Utc>), StoreError> {
    let facts = Facts {
        billing: Billing::Off,
        complimentary: row.is_complimentary.then_some(Complimentary { until: row.complimentary_until }),
        subscription: row.subscription.map(|value| read("billing", "subscription", value)).transpose()?,
        past_due_since: row.past_due_since,
        disputed_since: row.disputed_since,
    };
    let customer = row.customer.as_deref().map(CustomerId::parse).transpose();
    let account = Account {
        tenant: TenantId::from_uuid(row.tenant_id),
        customer: customer.map_err(|error| StoreError::corrupt("billing", "customer", error))?,
        facts,
        asked_at: row.asked_at,
        entitlement: row.entitlement.map(|value| read("billing", "entitlement", value)).transpose()?,
        rested: row.rested.into_iter().map(AgentId::from_uuid).collect(),
    };
    Ok((account, row.now))
}
