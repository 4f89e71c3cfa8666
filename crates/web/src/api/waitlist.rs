//! `/api/v1/waitlist`

use app::limits::Limit;
use axum::{Json, extract::State};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::{body, guard::CameFrom, pages::login::address, problem::Problem, state::Web};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    email: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Waitlisted {
    state: &'static str,
}

pub(crate) async fn join(
    State(web): State<Web>,
    came: CameFrom,
    body::Json(asked): body::Json<Asked>,
) -> Result<(StatusCode, Json<Waitlisted>), Problem> {
    let email = address(&asked.email).map_err(|fault| Problem::unusable("email", fault))?;
    came.spend(&web, |source| Limit::Mail { source, to: &email }).await?;
    let mut tx = web.db.system().await?;
    app::waitlist::join(&mut tx, &*web.dice.0, &web.ring, &email, came.0).await?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(Waitlisted { state: "waiting" })))
}
