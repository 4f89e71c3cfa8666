//! Who was sent to Stripe to pay. A row's id is the idempotency key, committed before Stripe is asked.

use chrono::{DateTime, Utc};
use domain::{
    CheckoutRowId, UserId,
    billing::{CheckoutId, PriceId},
    plan::PlanName,
};

use crate::{db::TenantTx, error::StoreError};

/// A visit to Stripe that may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// Its row.
    pub id: CheckoutRowId,
    /// The page at Stripe, once there is one.
    pub session: Option<CheckoutId>,
}

/// The visit that somebody began for this price and can go on with: Stripe repeats what it answered for a day. Whoever
/// presses the button twice waits here for themselves, until the commit.
pub async fn begun(tx: &mut TenantTx, user: UserId, price: &PriceId) -> Result<Option<Visit>, StoreError> {
    let tenant = tx.tenant();
    let conn = tx.enter_house().await?;
    let alone = sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended('checkouts of ' || $1::uuid::text, 0))",
        tenant.uuid()
    );
    alone.execute(&mut *conn).await?;
    let row = sqlx::query!(
        "select id, session from checkouts
         where tenant_id = $1 and asked_by = $2 and price_id = $3
           and asked_at > berth.now() - interval '23 hours' and coalesce(expires_at > berth.now(), true)
         order by asked_at desc limit 1",
        tenant.uuid(),
        user.uuid(),
        price.as_str(),
    )
    .fetch_optional(conn)
    .await?;
    tx.leave_house().await?;
    let Some(row) = row else { return Ok(None) };
    let session = row.session.as_deref().map(CheckoutId::parse).transpose();
    let session = session.map_err(|error| StoreError::corrupt("checkouts", "session", error))?;
    Ok(Some(Visit { id: CheckoutRowId::from_uuid(row.id), session }))
}

/// Begins one.
pub async fn begin(
    tx: &mut TenantTx,
    id: CheckoutRowId,
    user: UserId,
    (plan, price): (&PlanName, &PriceId),
) -> Result<(), StoreError> {
    let tenant = tx.tenant();
    let conn = tx.enter_house().await?;
    sqlx::query!(
        "insert into checkouts (id, tenant_id, plan, price_id, asked_by) values ($1, $2, $3, $4, $5)",
        id.uuid(),
        tenant.uuid(),
        plan.as_str(),
        price.as_str(),
        user.uuid(),
    )
    .execute(conn)
    .await?;
    tx.leave_house().await
}

/// Writes down what page Stripe opened for it, and until when.
pub async fn opened(
    tx: &mut TenantTx,
    id: CheckoutRowId,
    session: &CheckoutId,
    expires: DateTime<Utc>,
) -> Result<(), StoreError> {
    let tenant = tx.tenant();
    let conn = tx.enter_house().await?;
    sqlx::query!(
        "update checkouts set session = $3, expires_at = $4 where id = $1 and tenant_id = $2",
        id.uuid(),
        tenant.uuid(),
        session.as_str(),
        expires,
    )
    .execute(conn)
    .await?;
    tx.leave_house().await
}
