//! The buttons of an agent's page: each posts, writes a wish, and comes back.

use app::agents::{self, ChangeAgentError};
use axum::{extract::State, response::Response};
use domain::{AgentId, id};
use http::StatusCode;

use crate::{
    api::agents::sentence,
    body::{At, Form},
    guard::Member,
    pages::{self, agent},
    problem::Problem,
    state::Web,
};

macro_rules! buttons {
    ($($act:ident),*) => {$(
        pub(crate) async fn $act(State(web): State<Web>, member: Member, At(id): At<id::Agent>) -> Result<Response, Problem> {
            let mut tx = web.db.tenant(member.caller().tenant).await?;
            if let Err(error) = agents::$act(&mut tx, id, member.caller()).await {
                drop(tx);
                return refused(&web, &member, id, error).await;
            }
            tx.commit().await?;
            Ok(pages::see_other(&format!("/agents/{id}")))
        }
    )*};
}

buttons!(stop, start, restart, prove, retry);

/// Deletes, if the agent's own name was typed.
pub(crate) async fn delete(
    State(web): State<Web>,
    member: Member,
    At(id): At<id::Agent>,
    form: Form,
) -> Result<Response, Problem> {
    let (by, typed) = (member.caller(), form.field("name").trim());
    let mut tx = web.db.tenant(by.tenant).await?;
    let agent = store::agents::by_id(&mut tx, id).await?.ok_or_else(Problem::not_found)?;
    if typed != agent.name.as_str() {
        drop(tx);
        let mut page = agent::read(&web, by, id, None).await?;
        page.delete_fault =
            Some(format!("That is not its name, so nothing was deleted. Type {} to delete it.", agent.name));
        page.delete_typed = typed.chars().take(80).collect();
        return pages::page(StatusCode::UNPROCESSABLE_ENTITY, &page);
    }
    if let Err(error) = agents::remove(&mut tx, id, by).await {
        drop(tx);
        return refused(&web, &member, id, error).await;
    }
    tx.commit().await?;
    Ok(pages::see_other(&format!("/agents/{id}")))
}

/// The page again, with a sentence on top; the state changed while somebody was looking.
async fn refused(web: &Web, member: &Member, id: AgentId, error: ChangeAgentError) -> Result<Response, Problem> {
    match error {
        ChangeAgentError::Deleting
        | ChangeAgentError::NotRunning
        | ChangeAgentError::NoMachine
        | ChangeAgentError::NotFailed => {
            let mut page = agent::read(web, member.caller(), id, None).await?;
            page.fault = Some(sentence(&error));
            pages::page(StatusCode::CONFLICT, &page)
        }
        ChangeAgentError::NotPaid(error) => {
            let mut page = agent::read(web, member.caller(), id, None).await?;
            page.fault = Some(sentence(&error));
            pages::page(StatusCode::PAYMENT_REQUIRED, &page)
        }
        ChangeAgentError::NotFound | ChangeAgentError::Forbidden | ChangeAgentError::Store(_) => Err(error.into()),
    }
}
