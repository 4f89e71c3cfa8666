//! `/api/admin/v1/machines`

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use domain::{AgentId, FlowId, MachineId, TenantId};
use serde::Serialize;
use store::{
    Db,
    machine_views::{MachineFilter, MachineView as Machine},
};

use crate::{
    api::admin::{self, Listed},
    body::Query,
    guard::Operator,
    problem::Problem,
};

#[derive(Debug, Serialize)]
pub(crate) struct Machines {
    machines: Vec<MachineView>,
}

/// A machine, without its keys.
#[derive(Debug, Serialize)]
struct MachineView {
    id: MachineId,
    tenant: Option<TenantId>,
    agent: Option<AgentId>,
    provider: String,
    isolation: String,
    image: String,
    state: String,
    address: Option<String>,
    openclaw: Option<String>,
    guest: Option<String>,
    configurations: i64,
    flow: Option<FlowId>,
    step: Option<String>,
    created_at: DateTime<Utc>,
    gone_at: Option<DateTime<Utc>>,
}

impl From<Machine> for MachineView {
    fn from(row: Machine) -> Self {
        Self {
            id: row.id,
            tenant: row.tenant,
            agent: row.agent,
            provider: row.provider,
            isolation: row.isolation,
            image: row.image,
            state: row.state,
            address: row.address,
            openclaw: row.openclaw,
            guest: row.guest,
            configurations: row.fence,
            flow: row.flow,
            step: row.step,
            created_at: row.created_at,
            gone_at: row.gone_at,
        }
    }
}

pub(crate) async fn list(State(db): State<Db>, _: Operator, query: Query) -> Result<Json<Listed<Machines>>, Problem> {
    let limit = admin::limit(&query)?;
    let filter = filter(&query)?;
    let mut tx = db.system().await?;
    let rows = store::machine_views::list(&mut tx, filter, limit + 1).await?;
    let (rows, next) = admin::page(rows, limit, ("/api/admin/v1/machines", &query), |machine| machine.id);
    Ok(Json(Listed { entries: Machines { machines: rows.into_iter().map(MachineView::from).collect() }, next }))
}

/// Which machines are wanted; the pages ask with the same words.
pub(crate) fn filter(query: &Query) -> Result<MachineFilter<'_>, Problem> {
    Ok(MachineFilter {
        state: admin::word(query, "state")?,
        gone: admin::yes_or_no(query, "gone")?,
        tenant: admin::filter(query, "tenant", "the id of a tenant")?,
        agent: admin::filter(query, "agent", "the id of an agent")?,
        only: admin::filter(query, "id", "the id of a machine")?,
        after: admin::filter(query, "after", "the id of a machine")?,
    })
}
