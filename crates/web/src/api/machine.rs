//! What machines tell by themselves.

use axum::extract::State;
use domain::protocol::MachineEvent;
use http::StatusCode;
use store::Db;

use crate::{body, guard::MachineCaller, problem::Problem};

pub(crate) async fn event(
    State(db): State<Db>,
    caller: MachineCaller,
    body::Json(event): body::Json<MachineEvent>,
) -> Result<StatusCode, Problem> {
    let mut tx = db.system().await?;
    app::machines::event(&mut tx, caller.machine(), event).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
