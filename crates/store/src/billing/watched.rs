//! Who has a row, and which flow keeps it in view.

use domain::{FlowId, TenantId, billing::BillingStep};
use uuid::Uuid;

use super::BILLING;
use crate::{
    db::SystemTx,
    error::{StoreError, json},
    flows::{self, NewFlow},
};

/// Tenants that have a row, after one of them, in their order, at most so many.
pub async fn open_after(tx: &mut SystemTx, after: Option<TenantId>, most: i64) -> Result<Vec<TenantId>, StoreError> {
    let rows = sqlx::query_scalar!(
        "select tenant_id from billing where $1::uuid is null or tenant_id > $1 order by tenant_id limit $2",
        after.map(TenantId::uuid),
        most,
    );
    Ok(rows.fetch_all(tx.conn()).await?.into_iter().map(TenantId::from_uuid).collect())
}

/// Of these tenants, those that have a row and no flow that keeps it in view.
pub async fn unwatched(tx: &mut SystemTx, tenants: &[TenantId]) -> Result<Vec<TenantId>, StoreError> {
    let tenants: Vec<Uuid> = tenants.iter().map(|tenant| tenant.uuid()).collect();
    let rows = sqlx::query_scalar!(
        "select tenant_id from billing b
         where tenant_id = any ($1)
           and not exists (select from flows f where f.kind = $2 and f.subject = b.tenant_id)",
        &tenants,
        BILLING,
    );
    Ok(rows.fetch_all(tx.conn()).await?.into_iter().map(TenantId::from_uuid).collect())
}

/// Starts the flow that keeps a tenant's row in view, unless there is one.
pub async fn watch(tx: &mut SystemTx, tenant: TenantId, flow: FlowId) -> Result<(), StoreError> {
    let step = BillingStep::Refresh;
    let new =
        NewFlow { id: flow, kind: BILLING, subject: tenant.uuid(), step: json(&step)?, deadline: step.deadline() };
    flows::start_for(tx, tenant, &new).await
}

/// How many tenants were asked to be looked at with this signal and are not yet.
pub async fn to_be_looked_at(tx: &mut SystemTx, signal: &str) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from flow_signals join flows on flows.id = flow_signals.flow_id
           where flows.kind = $1 and flow_signals.signal = $2"#,
        BILLING,
        signal,
    );
    Ok(count.fetch_one(tx.conn()).await?)
}
