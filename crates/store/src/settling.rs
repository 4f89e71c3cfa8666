//! Many steps written down at once: what [`crate::flows::settle`] and [`crate::flows::finish`] do, a statement each.
//!
//! For steps that leave nothing behind but where their flow goes on. A commit
//! waits for the disk; written together, they wait once.

use std::collections::HashSet;

use domain::FlowId;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    db::SystemTx,
    error::StoreError,
    flows::{Claim, Settle},
};

/// Writes what these steps left behind. Returns the flows whose lease was held; of the others nothing was written.
pub async fn settle_all(tx: &mut SystemTx, settled: &[(&Claim, &Settle)]) -> Result<HashSet<FlowId>, StoreError> {
    let (flows, tokens): (Vec<Uuid>, Vec<Uuid>) = keys(settled.iter().map(|(claim, _)| *claim));
    let steps: Vec<Value> = settled.iter().map(|(_, settle)| settle.step.clone()).collect();
    let wakes: Vec<i64> = settled.iter().map(|(claim, _)| claim.wakes).collect();
    let pauses: Vec<f64> = settled.iter().map(|(_, settle)| settle.pause.as_secs_f64()).collect();
    let failed: Vec<bool> = settled.iter().map(|(_, settle)| settle.failed).collect();
    let moved: Vec<bool> = settled.iter().map(|(_, settle)| settle.moved).collect();
    let deadlines: Vec<Option<f64>> =
        settled.iter().map(|(_, settle)| settle.deadline.map(|deadline| deadline.as_secs_f64())).collect();
    let kept = sqlx::query_scalar!(
        "with clock as materialized (select berth.now() as now), held as (
             -- In one order everywhere: two who write many flows never wait for each other.
             select flows.id, a.step, a.wakes, a.pause, a.failed, a.moved, a.deadline
             from unnest($1::uuid[], $2::uuid[], $3::jsonb[], $4::bigint[], $5::float8[], $6::bool[], $7::bool[],
                         $8::float8[]) as a (id, token, step, wakes, pause, failed, moved, deadline)
             join flows on flows.id = a.id and flows.lease_token = a.token
             order by flows.id
             for no key update of flows
         )
         update flows
         set step = held.step,
             run_at = case when flows.wakes = held.wakes then (select now from clock) + make_interval(secs => held.pause)
                           else (select now from clock) end,
             lease_token = null,
             lease_until = null,
             attempt = case when held.failed then flows.attempt else 0 end,
             step_since = case when held.moved then (select now from clock) else flows.step_since end,
             deadline_at = case when held.moved then (select now from clock) + make_interval(secs => held.deadline)
                                else flows.deadline_at end,
             trace = case when held.moved and held.deadline is null then null else flows.trace end
         from held
         where flows.id = held.id
         returning flows.id",
        &flows,
        &tokens,
        &steps,
        &wakes,
        &pauses,
        &failed,
        &moved,
        &deadlines as &[Option<f64>],
    )
    .fetch_all(tx.conn())
    .await?;
    let kept: HashSet<FlowId> = kept.into_iter().map(FlowId::from_uuid).collect();
    let heard = settled.iter().filter(|(claim, settle)| settle.heard && kept.contains(&claim.flow));
    let (flows, seqs): (Vec<Uuid>, Vec<i64>) =
        heard.flat_map(|(claim, _)| claim.signals.iter().map(|signal| (claim.flow.uuid(), signal.seq))).unzip();
    if !flows.is_empty() {
        sqlx::query!(
            "delete from flow_signals using unnest($1::uuid[], $2::bigint[]) as heard (flow_id, seq)
             where flow_signals.flow_id = heard.flow_id and flow_signals.seq = heard.seq",
            &flows,
            &seqs,
        )
        .execute(tx.conn())
        .await?;
    }
    if settled.iter().any(|(claim, settle)| settle.pause.is_zero() && kept.contains(&claim.flow)) {
        tx.note_work();
    }
    Ok(kept)
}

/// Ends these flows, which nobody waits for. Returns those whose lease was held; the others are untouched.
pub async fn finish_all(tx: &mut SystemTx, ended: &[&Claim]) -> Result<HashSet<FlowId>, StoreError> {
    let (flows, tokens) = keys(ended.iter().copied());
    let gone = sqlx::query_scalar!(
        "with held as (
             select flows.id
             from unnest($1::uuid[], $2::uuid[]) as a (id, token)
             join flows on flows.id = a.id and flows.lease_token = a.token
             order by flows.id
             for update of flows
         )
         delete from flows using held where flows.id = held.id returning flows.id",
        &flows,
        &tokens,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(gone.into_iter().map(FlowId::from_uuid).collect())
}

fn keys<'a>(claims: impl Iterator<Item = &'a Claim>) -> (Vec<Uuid>, Vec<Uuid>) {
    claims.map(|claim| (claim.flow.uuid(), claim.token)).unzip()
}
