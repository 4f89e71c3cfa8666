//! `/api/admin/v1/stats`: how much there is of everything.

use axum::{Json, extract::State};
use serde_json::{Value, json};
use store::{Db, machine_views::FlowCount};

use crate::{guard::Operator, problem::Problem};

pub(crate) async fn show(State(db): State<Db>, _: Operator) -> Result<Json<Value>, Problem> {
    let mut tx = db.system().await?;
    let stats = store::machine_views::stats(&mut tx).await?;
    let flow = |flow: &FlowCount| json!({ "kind": flow.kind, "step": flow.step, "count": flow.count });
    Ok(Json(json!({
        "tenants": stats.tenants,
        "users": stats.users,
        "machines": { "reserved": stats.machines_reserved, "made": stats.machines_made },
        "alerts": {
            "critical": stats.alerts_critical,
            "warning": stats.alerts_warning,
            "unacknowledged": stats.alerts_unacknowledged,
            "deliveries_failing": stats.deliveries_failing,
        },
        "flows": { "stuck": stats.flows_stuck, "by_step": stats.flows.iter().map(flow).collect::<Vec<_>>() },
    })))
}
