//! What a certificate of destruction rests on: which agents were asked to go when their tenant had left, and what of
//! them is still there.

use domain::{
    AgentId, MachineId, TenantId,
    letter::{Destroyed, GoneMachine},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    db::{SystemTx, TenantTx},
    error::{StoreError, json, read},
};

/// An agent that is being removed. Its name goes with its row, so it is kept here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removing {
    /// Which.
    pub agent: AgentId,
    /// What it is called.
    pub name: String,
}

/// The tenant's agents that are being removed and are on no certificate yet.
pub async fn removing(tx: &mut SystemTx, tenant: TenantId) -> Result<Vec<Removing>, StoreError> {
    let row = sqlx::query_scalar!("select removing from billing where tenant_id = $1", tenant.uuid());
    row.fetch_optional(tx.conn()).await?.map_or(Ok(Vec::new()), |value| read("billing", "removing", value))
}

/// Keeps them until they are on a certificate, in the tenant's row; none where that is written.
pub async fn keep(tx: &mut SystemTx, tenant: TenantId, removing: &[Removing]) -> Result<(), StoreError> {
    sqlx::query!("update billing set removing = $2 where tenant_id = $1", tenant.uuid(), json(&removing)?)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Whether any of these agents is still there: its row goes in the same commit that says that its machine is gone.
pub async fn are_there(tx: &mut TenantTx, agents: &[Removing]) -> Result<bool, StoreError> {
    let ids = ids(agents);
    let found = sqlx::query_scalar!(r#"select exists (select from agents where id = any ($1)) as "is!""#, &ids);
    Ok(found.fetch_one(tx.conn()).await?)
}

/// These agents with every machine that each of them had. `None`: a machine of one is not proved gone.
pub async fn destroyed(
    tx: &mut SystemTx,
    tenant: TenantId,
    agents: &[Removing],
) -> Result<Option<Vec<Destroyed>>, StoreError> {
    let rows = sqlx::query!(
        r#"select id, agent_id as "agent_id!", created_at, gone_at from machines
           where tenant_id = $1 and agent_id = any ($2) order by created_at, id"#,
        tenant.uuid(),
        &ids(agents),
    )
    .fetch_all(tx.conn())
    .await?;
    let mut all: Vec<Destroyed> =
        agents.iter().map(|one| Destroyed { agent: one.agent, name: one.name.clone(), machines: Vec::new() }).collect();
    for row in rows {
        let Some(gone) = row.gone_at else { return Ok(None) };
        let machine = GoneMachine { id: MachineId::from_uuid(row.id), made: row.created_at, gone };
        let agent = AgentId::from_uuid(row.agent_id);
        if let Some(one) = all.iter_mut().find(|one| one.agent == agent) {
            one.machines.push(machine);
        }
    }
    Ok(Some(all))
}

fn ids(agents: &[Removing]) -> Vec<Uuid> {
    agents.iter().map(|one| one.agent.uuid()).collect()
}
