//! `/agents/{id}/rotate`: other keys for an agent's machine, asked for on the page of its bots and variables.

use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use domain::{
    agent::{Agent, Wanted},
    id,
    people::{Caller, Role},
};
use http::StatusCode;

use crate::{
    api::agents::sentence,
    body::{At, Form},
    guard::Member,
    pages::{self, credentials, words::Moment},
    problem::Problem,
    state::Web,
};

/// What the page says about the keys that Berth made for the agent's machine.
#[derive(Debug)]
pub(crate) struct MachineKeys {
    pub(super) made: Moment,
    pub(super) may_rotate: bool,
    pub(super) fault: Option<String>,
    pub(super) typed: String,
}

impl MachineKeys {
    /// `None` while there is no machine.
    pub(super) fn of(by: &Caller, agent: &Agent, now: DateTime<Utc>) -> Option<Self> {
        let machine = agent.machine.as_ref()?;
        Some(Self {
            made: Moment::new(machine.keys_replaced_at.unwrap_or(machine.created_at), now),
            may_rotate: by.role >= Role::Admin && agent.wanted != Wanted::Gone,
            fault: None,
            typed: String::new(),
        })
    }
}

/// Has them replaced, if the agent's own name was typed.
pub(crate) async fn rotate(
    State(web): State<Web>,
    member: Member,
    At(id): At<id::Agent>,
    form: Form,
) -> Result<Response, Problem> {
    let (by, typed) = (member.caller(), form.field("name").trim());
    let mut tx = web.db.tenant(by.tenant).await?;
    let agent = store::agents::by_id(&mut tx, id).await?.ok_or_else(Problem::not_found)?;
    let refused = if typed == agent.name.as_str() {
        match app::agents::rotate(&mut tx, id, by).await {
            Ok(_) => {
                tx.commit().await?;
                return Ok(pages::see_other(&format!("/agents/{id}")));
            }
            Err(error) => {
                let why = sentence(&error);
                let problem = Problem::from(error);
                if problem.status != StatusCode::CONFLICT {
                    return Err(problem);
                }
                (problem.status, why)
            }
        }
    } else {
        let why = format!("That is not its name, so nothing was asked for. Type {} to have them replaced.", agent.name);
        (StatusCode::UNPROCESSABLE_ENTITY, why)
    };
    drop(tx);
    let (status, why) = refused;
    let mut page = credentials::read(&web, by, Some(id)).await?;
    if let Some(keys) = &mut page.machine_keys {
        keys.fault = Some(why);
        keys.typed = typed.chars().take(80).collect();
    }
    pages::page(status, &page)
}
