//! Tenants by what they pay, as an operator reads them. One statement.

use domain::{
    TenantId,
    billing::CustomerId,
    entitlement::{PAST_DUE, Standing},
};

use crate::{
    billing::{Account, AccountRow},
    db::SystemTx,
    error::StoreError,
};

/// Which tenants. What is `None` does not matter.
#[derive(Debug, Clone, Copy, Default)]
pub struct SubscriptionFilter<'a> {
    /// Those that stand so now.
    pub standing: Option<Standing>,
    /// The one who is this customer at Stripe.
    pub customer: Option<&'a CustomerId>,
    /// Those older than this one.
    pub after: Option<TenantId>,
}

/// Tenants that pay, are let off or would have to pay, newest first. Where nobody pays: those of whom something is known.
///
/// The statement finds by the same rules by which [`domain::entitlement::entitlement`] judges; a test compares the two. What
/// is shown of a tenant is that judgement, never the statement's word.
pub async fn list(
    tx: &mut SystemTx,
    filter: SubscriptionFilter<'_>,
    limit: i64,
) -> Result<Vec<(TenantId, Account)>, StoreError> {
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
           cross join lateral (
               select case
                   when not coalesce(i.is_billing, false) then 'billing_off'
                   when b.gift_plan is not null and coalesce(b.gift_until > clock.now, true) then 'gift'
                   when b.subscription is null then 'unpaid'
                   when b.subscription ->> 'status' in ('incomplete', 'incomplete_expired') then 'unpaid'
                   when b.subscription ->> 'status' = 'canceled' then 'left'
                   when b.disputed_since is not null or b.subscription ->> 'status' = 'paused' then 'suspended'
                   when b.subscription ->> 'status' in ('past_due', 'unpaid')
                       then case when clock.now < coalesce(b.past_due_since, clock.now) + make_interval(secs => $4)
                                 then 'past_due' else 'suspended' end
                   when b.subscription ->> 'ends' is not null then 'ending'
                   when b.subscription ->> 'status' = 'trialing' and b.subscription ->> 'trial_ends' is not null then 'trial'
                   else 'paying'
               end as standing
           ) judged
           where (b.tenant_id is not null or coalesce(i.is_billing, false))
             and ($1::text is null or judged.standing = $1)
             and ($2::text is null or b.customer = $2)
             and ($3::uuid is null or t.id < $3)
           order by t.id desc
           limit $5"#,
        filter.standing.map(Standing::name),
        filter.customer.map(CustomerId::as_str),
        filter.after.map(TenantId::uuid),
        PAST_DUE.as_seconds_f64(),
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(|row| Ok((TenantId::from_uuid(row.tenant_id), row.read()?))).collect()
}
