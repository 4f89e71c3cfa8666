//! `/admin/pool`: are spares ready, what is each waiting for, and how often was there none?

use askama::Template;
use axum::{extract::State, response::Response};
use domain::{MachineId, job::Job, waiting};
use http::StatusCode;
use store::{
    flow_views::FlowView,
    pool_views::{PoolStats, SpareView},
};

use crate::{
    api::admin::{self, pool::Read},
    body::Query,
    guard::Operator,
    pages::{
        self,
        admin::{
            Look, PAGE, ShortId, frame,
            schedules::{RunLine, begin},
        },
        frame::Frame,
        words::{Moment, ago},
    },
    problem::Problem,
    state::{PoolPlan, Web},
};

/// The page.
#[derive(Debug, Template)]
#[template(path = "admin/pool.html")]
pub(crate) struct PoolPage {
    frame: Frame,
    tab: &'static str,
    base: String,
    tone: &'static str,
    state: &'static str,
    lead: String,
    plan: PoolPlan,
    stats: PoolStats,
    refill: Option<RunLine>,
    spares: Vec<Line>,
    next: Option<String>,
}

/// One spare.
#[derive(Debug)]
struct Line {
    id: ShortId,
    tone: &'static str,
    state: String,
    age: String,
    ready: Option<Moment>,
    step: Option<(String, String)>,
    waiting: String,
    image: String,
    is_older: bool,
}

impl PoolPage {
    /// `base` is where people reach Berth.
    pub(crate) fn new(plan: &PoolPlan, read: Read, next: Option<String>, base: &str, look: Look<'_>) -> Self {
        let (tone, state) = mood(plan, &read.stats);
        Self {
            frame: frame(look.by, "Pool", "/admin/pool".to_owned(), tone),
            tab: "pool",
            base: base.to_owned(),
            tone,
            state,
            lead: lead(plan, &read.stats),
            refill: read.refill.as_ref().map(|run| RunLine::new(run, look)),
            spares: read.spares.into_iter().map(|(spare, flow)| Line::new(spare, flow, plan, look)).collect(),
            plan: plan.clone(),
            stats: read.stats,
            next,
        }
    }

    /// Whether the page has only to say how a pool is switched on.
    fn is_off(&self) -> bool {
        !self.plan.is_on() && self.spares.is_empty()
    }
}

impl Line {
    fn new(spare: SpareView, flow: Option<FlowView>, plan: &PoolPlan, look: Look<'_>) -> Self {
        let is_older = spare.image != plan.image;
        let tone = match spare.state.as_str() {
            "ready" if !is_older => "live",
            "making" => "working",
            _ => "off",
        };
        let waiting = flow.as_ref().map_or_else(
            || "No flow looks after it: berth verify says more.".to_owned(),
            |flow| waiting::sentence(&flow.facts()),
        );
        Self {
            id: ShortId::of(spare.machine),
            tone,
            state: spare.state,
            age: ago(spare.created_at, look.now).trim_end_matches(" ago").to_owned(),
            ready: spare.ready_at.map(|at| look.at(at)),
            step: flow.map(|flow| (flow.id.to_string(), flow.step)),
            waiting,
            image: spare.image,
            is_older,
        }
    }
}

/// The colour and the word of the pool.
fn mood(plan: &PoolPlan, stats: &PoolStats) -> (&'static str, &'static str) {
    match () {
        () if !plan.is_on() => ("off", "off"),
        () if stats.alert.is_some() => ("attention", "spares fail"),
        () if stats.ready >= i64::from(plan.floor) => ("live", "full"),
        () if stats.ready == 0 && stats.making == 0 => ("attention", "empty"),
        () => ("working", "filling"),
    }
}

/// What is true now, and what it means for whoever creates an agent.
fn lead(plan: &PoolPlan, stats: &PoolStats) -> String {
    if !plan.is_on() {
        return "No machine waits: each new agent is made one, which takes longer.".to_owned();
    }
    let ready = match stats.ready {
        0 => "No spare is ready: the next agent is made a machine, which takes longer.".to_owned(),
        1 => "1 spare is ready to be taken.".to_owned(),
        n => format!("{n} spares are ready to be taken."),
    };
    let making = match stats.making {
        0 => String::new(),
        1 => " 1 is in the making.".to_owned(),
        n => format!(" {n} are in the making."),
    };
    format!("{ready}{making}")
}

pub(crate) async fn show(State(web): State<Web>, operator: Operator, query: Query) -> Result<Response, Problem> {
    let after = admin::filter::<MachineId>(&query, "after", "the id of a machine")?;
    let plan = &web.site.pool;
    let mut tx = web.db.system().await?;
    let mut read = admin::pool::read(&mut tx, plan, after, PAGE + 1).await?;
    drop(tx);
    let (spares, next) = admin::page(read.spares, PAGE, ("/admin/pool", &query), |spare| spare.0.machine);
    read.spares = spares;
    // Times beside each other come from one clock: the database's.
    let look = Look { by: operator.caller(), now: read.stats.now };
    pages::page(StatusCode::OK, &PoolPage::new(plan, read, next, &web.site.address(""), look))
}

pub(crate) async fn refill(State(web): State<Web>, operator: Operator) -> Result<Response, Problem> {
    begin(&web, &operator, Job::Pool).await?;
    Ok(pages::see_other("/admin/pool"))
}
