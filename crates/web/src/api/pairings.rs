//! `/api/v1/agents/{id}/pairings`: who waits to be let in at an agent's channels, and letting them in.

use axum::{Json, extract::State};
use domain::{
    AgentId,
    channel::Channel,
    exchange::Approval,
    id,
    people::Caller,
    protocol::{Pairing, is_pairing_request},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::{
    api::turns,
    body::{self, At},
    guard::Member,
    problem::Problem,
    state::Web,
};

#[derive(Debug, Serialize)]
pub(crate) struct Pairings {
    pairings: Vec<Pairing>,
}

/// Who is let in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewApproval {
    channel: Channel,
    request: String,
}

pub(crate) async fn list(
    State(web): State<Web>,
    member: Member,
    At(agent): At<id::Agent>,
) -> Result<Json<Pairings>, Problem> {
    Ok(Json(Pairings { pairings: waiting(&web, member.caller(), agent).await? }))
}

pub(crate) async fn approve(
    State(web): State<Web>,
    member: Member,
    At(agent): At<id::Agent>,
    body::Json(new): body::Json<NewApproval>,
) -> Result<StatusCode, Problem> {
    let NewApproval { channel, request } = new;
    let_in(&web, member.caller(), agent, &Approval { channel, request }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Asks the agent's machine who waits.
pub(crate) async fn waiting(web: &Web, by: &Caller, agent: AgentId) -> Result<Vec<Pairing>, Problem> {
    let mut tx = web.db.tenant(by.tenant).await?;
    let id = app::exchanges::ask_pairings(&mut tx, &*web.dice.0, agent, by).await?;
    tx.commit().await?;
    let answer = turns::answer(web, by, (agent, id)).await?;
    serde_json::from_str(&turns::words(answer.as_ref()).unwrap_or_default()).map_err(Problem::broken)
}

/// Whether the tenant has this agent: what is somebody else's reads like what is not there, whatever the body says.
pub(crate) async fn known(web: &Web, by: &Caller, agent: AgentId) -> Result<(), Problem> {
    let mut tx = web.db.tenant_read(by.tenant).await?;
    store::agents::by_id(&mut tx, agent).await?.map(drop).ok_or_else(Problem::not_found)
}

/// Has somebody let in, and waits until they are.
pub(crate) async fn let_in(web: &Web, by: &Caller, agent: AgentId, approval: &Approval) -> Result<(), Problem> {
    known(web, by, agent).await?;
    if !is_pairing_request(&approval.request) {
        return Err(Problem::unusable("request", "That names no request: letters, digits, - and _ only."));
    }
    let mut tx = web.db.tenant(by.tenant).await?;
    let id = app::exchanges::approve(&mut tx, (&web.ring, &*web.dice.0), agent, approval, by).await?;
    tx.commit().await?;
    turns::answer(web, by, (agent, id)).await.map(drop)
}
