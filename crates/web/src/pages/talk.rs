//! Talking and logs from the page: asked here, answered on the page itself.

use std::time::Duration;

use app::exchanges::AskError;
use axum::{extract::State, response::Response};
use domain::{id, names::TurnText};
use http::StatusCode;

use crate::{
    api::{agents::sentence, turns},
    body::{At, Form},
    guard::Member,
    pages::{self, agent},
    problem::Problem,
    state::Web,
};

/// How long a browser without our script waits for an answer before it sees "is answering".
const WAIT: Duration = Duration::from_secs(20);

pub(crate) async fn say(
    State(web): State<Web>,
    member: Member,
    At(agent): At<id::Agent>,
    form: Form,
) -> Result<Response, Problem> {
    let by = member.caller();
    let text = match TurnText::parse(form.field("text")) {
        Ok(text) => text,
        Err(error) => {
            return refused(
                &web,
                &member,
                (agent, StatusCode::UNPROCESSABLE_ENTITY),
                (form.field("text"), sentence(&error)),
            )
            .await;
        }
    };
    let mut tx = web.db.tenant(by.tenant).await?;
    match app::exchanges::say(&mut tx, (&web.ring, &*web.dice.0), agent, &text, by).await {
        Ok(id) => {
            tx.commit().await?;
            if form.field("live").is_empty() {
                turns::wait(&web, by, (agent, id), WAIT).await?;
            }
            Ok(pages::see_other(&format!("/agents/{agent}#talk")))
        }
        Err(error @ AskError::NotRunning) => {
            drop(tx);
            refused(&web, &member, (agent, StatusCode::CONFLICT), (form.field("text"), sentence(&error))).await
        }
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn logs(
    State(web): State<Web>,
    member: Member,
    At(agent): At<id::Agent>,
    form: Form,
) -> Result<Response, Problem> {
    let by = member.caller();
    let mut tx = web.db.tenant(by.tenant).await?;
    match app::exchanges::ask_logs(&mut tx, &*web.dice.0, agent, by).await {
        Ok(id) => {
            tx.commit().await?;
            if form.field("live").is_empty() {
                turns::wait(&web, by, (agent, id), WAIT).await?;
            }
            Ok(pages::see_other(&format!("/agents/{agent}?logs={id}#logs")))
        }
        Err(error @ AskError::NotRunning) => {
            drop(tx);
            let mut page = agent::read(&web, by, agent, None).await?;
            page.fault = Some(sentence(&error));
            pages::page(StatusCode::CONFLICT, &page)
        }
        Err(error) => Err(error.into()),
    }
}

async fn refused(
    web: &Web,
    member: &Member,
    (agent, status): (domain::AgentId, StatusCode),
    (draft, fault): (&str, String),
) -> Result<Response, Problem> {
    let mut page = agent::read(web, member.caller(), agent, None).await?;
    page.draft = draft.chars().take(TurnText::CHARS_MAX).collect();
    page.talk_fault = Some(fault);
    pages::page(status, &page)
}
