//! `/api/v1/waitlist`

use axum::{
    Json,
    extract::{Extension, State},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::{body, listener::Peer, pages::login::address, problem::Problem, state::Web};

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
    peer: Option<Extension<Peer>>,
    body::Json(asked): body::Json<Asked>,
) -> Result<(StatusCode, Json<Waitlisted>), Problem> {
    let email = address(&asked.email).map_err(|fault| Problem::unusable("email", fault))?;
    let mut tx = web.db.system().await?;
    let from = peer.map(|peer| peer.0.0.ip());
    app::waitlist::join(&mut tx, &*web.dice.0, &web.ring, &email, from).await?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(Waitlisted { state: "waiting" })))
}
