//! `/admin/flows/{id}`: what one flow waits for, and the facts that the sentence is made from.

use askama::Template;
use axum::{extract::State, response::Response};
use domain::{id, waiting};
use http::StatusCode;
use store::flow_views::FlowView;

use crate::{
    api::admin::view::subject,
    body::At,
    guard::Operator,
    pages::{
        self,
        admin::{Link, Look, ShortId, flows::tone, frame},
        frame::Frame,
        words::Moment,
    },
    problem::Problem,
    state::Web,
};

/// The page.
#[derive(Debug, Template)]
#[template(path = "admin/flow.html")]
pub(crate) struct FlowPage {
    frame: Frame,
    tab: &'static str,
    id: String,
    kind: String,
    step: String,
    tone: &'static str,
    is_stuck: bool,
    waiting: String,
    about: Link,
    tenant: Option<ShortId>,
    since: Moment,
    run_at: Moment,
    lease: Option<Moment>,
    attempt: i32,
    deadline: Option<Moment>,
    removal_asked: bool,
    signals: String,
    began: Moment,
}

impl FlowPage {
    pub(crate) fn new(flow: &FlowView, look: Look<'_>) -> Self {
        let title = format!("{} {}", flow.kind, flow.step);
        Self {
            frame: frame(look.by, &title, format!("/admin/flows/{}", flow.id), tone(flow)),
            tab: "flows",
            id: flow.id.to_string(),
            kind: flow.kind.clone(),
            step: flow.step.clone(),
            tone: tone(flow),
            is_stuck: flow.stuck,
            waiting: waiting::sentence(&flow.facts()),
            about: Link::subject(&flow.kind, &subject(&flow.kind, flow.subject)),
            tenant: flow.tenant.map(ShortId::of),
            since: look.at(flow.step_since),
            run_at: look.at(flow.run_at),
            lease: flow.lease_until.map(|at| look.at(at)),
            attempt: flow.attempt,
            deadline: flow.deadline_at.map(|at| look.at(at)),
            removal_asked: flow.removal_asked,
            signals: flow.signals.join(", "),
            began: look.at(flow.created_at),
        }
    }
}

pub(crate) async fn show(
    State(web): State<Web>,
    operator: Operator,
    At(id): At<id::Flow>,
) -> Result<Response, Problem> {
    let mut tx = web.db.system().await?;
    let flow = store::flow_views::by_id(&mut tx, id).await?.ok_or_else(Problem::not_found)?;
    drop(tx);
    // Times beside each other come from one clock: the database's.
    let look = Look { by: operator.caller(), now: flow.now };
    pages::page(StatusCode::OK, &FlowPage::new(&flow, look))
}
