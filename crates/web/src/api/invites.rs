//! `/api/v1/invites`: whether a code is good. Nothing is used up by asking.

use app::limits::Limit;
use axum::{Json, extract::State};
use domain::invite::InviteCode;
use serde::{Deserialize, Serialize};

use crate::{body, guard::CameFrom, problem::Problem, state::Web};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    code: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    valid: bool,
}

pub(crate) async fn validate(
    State(web): State<Web>,
    came: CameFrom,
    body::Json(asked): body::Json<Asked>,
) -> Result<Json<Verdict>, Problem> {
    let Some(code) = InviteCode::parse(&asked.code) else { return Ok(Json(Verdict { valid: false })) };
    came.spend(&web, |source| Limit::Invite { source }).await?;
    let mut tx = web.db.system().await?;
    let valid = app::invites::look_up(&mut tx, &web.ring, &code).await?.is_some();
    Ok(Json(Verdict { valid }))
}
