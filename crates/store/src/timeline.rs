//! What happened to an agent, in order.

use domain::{
    AgentId,
    timeline::{Entry, Happening},
};

use crate::{
    db::TenantTx,
    error::{StoreError, json, read},
};

/// Adds entries to an agent's timeline, in the order given. Does nothing when the agent is gone.
pub async fn append(tx: &mut TenantTx, agent: AgentId, what: &[Happening]) -> Result<(), StoreError> {
    if what.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant();
    let rows = what.iter().map(json).collect::<Result<Vec<_>, _>>()?;
    // Taking the numbers from the agent's row puts writers in line, so that a reader never skips one.
    sqlx::query!(
        "with numbers as (
             update agents set next_seq = next_seq + $4 where id = $2 returning next_seq - $4 as first
         )
         insert into timeline (tenant_id, agent_id, seq, what)
         select $1, $2, numbers.first + entry.place - 1, entry.what
         from numbers, unnest($3::jsonb[]) with ordinality as entry (what, place)",
        tenant.uuid(),
        agent.uuid(),
        &rows,
        i64::try_from(rows.len()).unwrap_or(i64::MAX),
    )
    .execute(tx.conn())
    .await?;
    tx.touch(agent);
    Ok(())
}

/// What happened after `seq`, oldest first, at most `limit`.
pub async fn since(tx: &mut TenantTx, agent: AgentId, seq: i64, limit: i64) -> Result<Vec<Entry>, StoreError> {
    let rows = sqlx::query!(
        "select seq, at, what from timeline where agent_id = $1 and seq > $2 order by seq limit $3",
        agent.uuid(),
        seq,
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .map(|row| Ok(Entry { seq: row.seq, at: row.at, what: read("timeline", "what", row.what)? }))
        .collect()
}

/// The last `limit` entries, oldest first.
pub async fn latest(tx: &mut TenantTx, agent: AgentId, limit: i64) -> Result<Vec<Entry>, StoreError> {
    let rows = sqlx::query!(
        "select seq, at, what from timeline where agent_id = $1 order by seq desc limit $2",
        agent.uuid(),
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .rev()
        .map(|row| Ok(Entry { seq: row.seq, at: row.at, what: read("timeline", "what", row.what)? }))
        .collect()
}
