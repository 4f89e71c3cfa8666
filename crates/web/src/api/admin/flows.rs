//! `/api/admin/v1/flows`

use axum::{Json, extract::State};
use domain::id;
use serde::Serialize;
use store::{Db, flow_views::FlowFilter};

use crate::{
    api::admin::{
        self, Listed,
        view::{FlowView, read_subject},
    },
    body::{At, Query},
    guard::Operator,
    problem::Problem,
};

#[derive(Debug, Serialize)]
pub(crate) struct Flows {
    flows: Vec<FlowView>,
}

pub(crate) async fn list(State(db): State<Db>, _: Operator, query: Query) -> Result<Json<Listed<Flows>>, Problem> {
    let limit = admin::limit(&query)?;
    let filter = filter(&query)?;
    let mut tx = db.system().await?;
    let rows = store::flow_views::list(&mut tx, filter, limit + 1).await?;
    let (rows, next) = admin::page(rows, limit, ("/api/admin/v1/flows", &query), |flow| flow.id);
    Ok(Json(Listed { entries: Flows { flows: rows.into_iter().map(FlowView::from).collect() }, next }))
}

pub(crate) async fn show(State(db): State<Db>, _: Operator, At(id): At<id::Flow>) -> Result<Json<FlowView>, Problem> {
    let mut tx = db.system().await?;
    let flow = store::flow_views::by_id(&mut tx, id).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(flow.into()))
}

/// Which flows are wanted; the pages ask with the same words.
pub(crate) fn filter(query: &Query) -> Result<FlowFilter<'_>, Problem> {
    let subject = query.get("subject").filter(|text| !text.is_empty()).map(|text| {
        let unknown = || {
            Problem::unreadable(
                "`subject` must be the id of an agent, a machine, an exchange, an alert, an event or a tenant.",
            )
        };
        read_subject(text).ok_or_else(unknown)
    });
    Ok(FlowFilter {
        kind: admin::word(query, "kind")?,
        step: admin::word(query, "step")?,
        stuck: admin::yes_or_no(query, "stuck")?,
        tenant: admin::filter(query, "tenant", "the id of a tenant")?,
        subject: subject.transpose()?,
        subjects: None,
        after: admin::filter(query, "after", "the id of a flow")?,
    })
}
