//! Proofs: the only evidence that an agent answers.

use domain::{AgentId, ProofId, agent::ProofFacts};

use crate::{db::TenantTx, error::StoreError};

/// Begins a proof: its nonce is committed before the turn is taken.
pub async fn begin(tx: &mut TenantTx, id: ProofId, agent: AgentId, nonce: &str) -> Result<(), StoreError> {
    let tenant = tx.tenant();
    sqlx::query!(
        "insert into proofs (tenant_id, id, agent_id, nonce) values ($1, $2, $3, $4)",
        tenant.uuid(),
        id.uuid(),
        agent.uuid(),
        nonce,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Writes how a proof ended and returns it with the database's time. `None` when the agent is gone.
pub async fn end(
    tx: &mut TenantTx,
    id: ProofId,
    latency_ms: Option<u32>,
    why: Option<&str>,
) -> Result<Option<ProofFacts>, StoreError> {
    let latency = latency_ms.map(|ms| i32::try_from(ms).unwrap_or(i32::MAX));
    let ended = sqlx::query_scalar!(
        r#"update proofs
           set ended_at = berth.now(), ok = $2, latency_ms = $3, why = $4
           where id = $1
           returning ended_at as "ended_at!""#,
        id.uuid(),
        why.is_none(),
        latency,
        why,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(ended.map(|at| ProofFacts { id, at, ok: why.is_none(), latency_ms, why: why.map(str::to_owned) }))
}

/// Whether this is the nonce of a proof of this agent that began within the last ten minutes.
pub async fn is_fresh_nonce(tx: &mut TenantTx, agent: AgentId, nonce: &str) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select exists (
               select from proofs
               where agent_id = $1 and asked_at > berth.now() - interval '10 minutes' and nonce = $2
           ) as "fresh!""#,
        agent.uuid(),
        nonce,
    )
    .fetch_one(tx.conn())
    .await?)
}
