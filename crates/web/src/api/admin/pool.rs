//! `/api/admin/v1/pool`

use std::sync::Arc;

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use domain::{AlertId, FlowId, MachineId, job::Job, waiting};
use serde::Serialize;
use store::{
    Db, SystemTx,
    flow_views::{FlowFilter, FlowView},
    job_views::JobRun,
    pool_views::{PoolStats, SpareView as Spare},
};

use crate::{
    api::admin::{self, Listed, schedules::RunView},
    body::Query,
    guard::Operator,
    problem::Problem,
    state::{PoolPlan, Site},
};

/// The pool, and a page of its spares.
#[derive(Debug, Serialize)]
pub(crate) struct Pool {
    floor: u16,
    ceiling: u16,
    image: String,
    ready: i64,
    making: i64,
    leaving: i64,
    last_day: LastDay,
    alert: Option<AlertId>,
    refill: Option<RunView>,
    spares: Vec<SpareView>,
}

#[derive(Debug, Serialize)]
struct LastDay {
    taken: i64,
    missed: i64,
}

#[derive(Debug, Serialize)]
struct SpareView {
    machine: MachineId,
    image: String,
    state: String,
    created_at: DateTime<Utc>,
    ready_at: Option<DateTime<Utc>>,
    flow: Option<FlowId>,
    step: Option<String>,
    waiting_for: Option<String>,
}

/// What is read for the pool, here and for its page.
#[derive(Debug)]
pub(crate) struct Read {
    /// Counts.
    pub stats: PoolStats,
    /// Each spare with its flow.
    pub spares: Vec<(Spare, Option<FlowView>)>,
    /// The newest run of the job.
    pub refill: Option<JobRun>,
}

impl Pool {
    fn new(plan: &PoolPlan, read: Read) -> Self {
        let PoolStats { ready, making, leaving, claimed, missed, alert, .. } = read.stats;
        Self {
            floor: plan.floor,
            ceiling: plan.ceiling,
            image: plan.image.clone(),
            ready,
            making,
            leaving,
            last_day: LastDay { taken: claimed, missed },
            alert,
            refill: read.refill.map(RunView::from),
            spares: read.spares.into_iter().map(|(spare, flow)| SpareView::new(spare, flow)).collect(),
        }
    }
}

impl SpareView {
    fn new(spare: Spare, flow: Option<FlowView>) -> Self {
        Self {
            machine: spare.machine,
            image: spare.image,
            state: spare.state,
            created_at: spare.created_at,
            ready_at: spare.ready_at,
            waiting_for: flow.as_ref().map(|flow| waiting::sentence(&flow.facts())),
            flow: flow.as_ref().map(|flow| flow.id),
            step: flow.map(|flow| flow.step),
        }
    }
}

pub(crate) async fn show(
    State(db): State<Db>,
    State(site): State<Arc<Site>>,
    _: Operator,
    query: Query,
) -> Result<Json<Listed<Pool>>, Problem> {
    let limit = admin::limit(&query)?;
    let after = admin::filter(&query, "after", "the id of a machine")?;
    let mut tx = db.system().await?;
    let mut read = read(&mut tx, &site.pool, after, limit + 1).await?;
    let (spares, next) = admin::page(read.spares, limit, ("/api/admin/v1/pool", &query), |spare| spare.0.machine);
    read.spares = spares;
    Ok(Json(Listed { entries: Pool::new(&site.pool, read), next }))
}

/// Reads the pool with a page of spares.
pub(crate) async fn read(
    tx: &mut SystemTx,
    plan: &PoolPlan,
    after: Option<MachineId>,
    limit: i64,
) -> Result<Read, Problem> {
    let stats = store::pool_views::stats(tx, &plan.image).await?;
    let spares = store::pool_views::spares(tx, after, limit).await?;
    let machines: Vec<_> = spares.iter().map(|spare| spare.machine.uuid()).collect();
    let filter = FlowFilter { kind: Some("spare"), subjects: Some(&machines), ..FlowFilter::default() };
    let flows = store::flow_views::list(tx, filter, limit).await?;
    let refill = store::job_views::runs(tx, Job::Pool, None, 1).await?.pop();
    let with_flow = |spare: Spare| {
        let flow = flows.iter().find(|flow| flow.subject == spare.machine.uuid()).cloned();
        (spare, flow)
    };
    let spares = spares.into_iter().map(with_flow).collect();
    Ok(Read { stats, spares, refill })
}
