//! `/api/v1/agents`: create, read, run, destroy.

use app::{
    agents::{self, ChangeAgentError, CreateAgentError},
    billing::NotPaid,
};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use domain::{
    AgentId,
    agent::Agent,
    entropy::mint,
    id,
    instructions::{BadInstructions, Choices, Instructions},
    names::{AgentName, BadName},
};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use store::{Db, agents::Chosen};

use crate::{
    api::{
        admin,
        view::{AgentView, AgentsView},
    },
    body::{self, At, Query},
    guard::Member,
    llm::Models,
    problem::Problem,
    state::Dice,
};

/// What creating an agent takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAgent {
    name: String,
    model: Option<String>,
    instructions: Option<String>,
}

impl NewAgent {
    /// What may be put into its own parts.
    fn choices(&self, models: &Models) -> Result<Choices, Problem> {
        let unknown = || {
            let offered: Vec<String> = models.offered().into_iter().map(|offer| offer.name).collect();
            let names = offered.join(", ");
            let words = "or one of a vendor to which you have a key of your own, such as openai/gpt-5.5";
            Problem::unusable("model", format!("That model is not offered here. These are: {names}; {words}."))
        };
        Ok(Choices {
            model: match &self.model {
                Some(name) => models.chosen(name).map_err(|_| unknown())?,
                None => None,
            },
            instructions: Instructions::parse(self.instructions.as_deref().unwrap_or_default())?,
        })
    }
}

pub(crate) async fn create(
    State(db): State<Db>,
    State(dice): State<Dice>,
    State(models): State<Models>,
    member: Member,
    headers: HeaderMap,
    body::Json(new): body::Json<NewAgent>,
) -> Result<Response, Problem> {
    let name = AgentName::parse(&new.name)?;
    let choices = new.choices(&models)?;
    let key = idempotency_key(&headers)?;
    let by = member.caller();
    let mut tx = db.tenant(by.tenant).await?;
    let new = agents::NewAgent { id: mint(&*dice.0), name, choices };
    let agent = agents::create(&mut tx, &*dice.0, &new, key, by).await?;
    tx.commit().await?;
    let location = [(header::LOCATION, format!("/api/v1/agents/{}", agent.id))];
    let view = AgentView::from(agent).with(new.choices);
    Ok((StatusCode::CREATED, location, Json(view)).into_response())
}

pub(crate) async fn list(State(db): State<Db>, member: Member, query: Query) -> Result<Json<AgentsView>, Problem> {
    let after = admin::filter::<AgentId>(&query, "after", "the id of an agent")?;
    let limit = admin::limit(&query)?;
    let mut agents = store::agents::page(&db, member.caller().tenant, after, limit + 1).await?;
    let more = agents.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    if more {
        agents.pop();
    }
    let last = agents.last().filter(|_| more);
    let next = last.map(|agent| format!("/api/v1/agents?after={}&limit={limit}", agent.id));
    Ok(Json(AgentsView { agents: agents.into_iter().map(AgentView::from).collect(), next }))
}

pub(crate) async fn show(
    State(db): State<Db>,
    member: Member,
    At(id): At<id::Agent>,
) -> Result<Json<AgentView>, Problem> {
    let mut tx = db.tenant_read(member.caller().tenant).await?;
    let Chosen { agent, choices, .. } =
        store::agents::with_choices(&mut tx, id).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(AgentView::from(agent).with(choices)))
}

macro_rules! changes {
    ($($change:ident),*) => {$(
        pub(crate) async fn $change(State(db): State<Db>, member: Member, At(id): At<id::Agent>) -> Result<Response, Problem> {
            let mut tx = db.tenant(member.caller().tenant).await?;
            let agent = app::agents::$change(&mut tx, id, member.caller()).await?;
            tx.commit().await?;
            Ok(accepted(agent))
        }
    )*};
}

changes!(stop, start, restart, prove, retry, rotate, remove);

fn accepted(agent: Agent) -> Response {
    let location = [(header::LOCATION, format!("/api/v1/agents/{}", agent.id))];
    (StatusCode::ACCEPTED, location, Json(AgentView::from(agent))).into_response()
}

/// A key of the caller's own choosing: 1 to 200 visible characters.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().unwrap_or_default();
    if key.is_empty() || key.len() > 200 || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Problem::unreadable("An Idempotency-Key has 1 to 200 visible characters and no spaces."));
    }
    Ok(Some(key))
}

impl From<BadName> for Problem {
    fn from(error: BadName) -> Self {
        Self::unusable("name", sentence(&error))
    }
}

impl From<BadInstructions> for Problem {
    fn from(error: BadInstructions) -> Self {
        Self::unusable("instructions", sentence(&error))
    }
}

impl From<NotPaid> for Problem {
    fn from(error: NotPaid) -> Self {
        let (status, slug) = match error {
            NotPaid::Suspended => (StatusCode::FORBIDDEN, "suspended"),
            NotPaid::Unserved(_) => (StatusCode::PAYMENT_REQUIRED, "not-paid"),
            NotPaid::PlanFull { .. } => (StatusCode::PAYMENT_REQUIRED, "plan-full"),
        };
        Self::new(status, slug, sentence(&error))
    }
}

impl From<CreateAgentError> for Problem {
    fn from(error: CreateAgentError) -> Self {
        match error {
            CreateAgentError::Forbidden => Self::not_allowed(sentence(&error)),
            CreateAgentError::NameTaken => {
                Self { field: Some("name"), ..Self::conflict("name-taken", sentence(&error)) }
            }
            CreateAgentError::KeyReused => Self::conflict("key-reused", sentence(&error)),
            CreateAgentError::NotPaid(error) => error.into(),
            CreateAgentError::Store(error) => error.into(),
        }
    }
}

impl From<ChangeAgentError> for Problem {
    fn from(error: ChangeAgentError) -> Self {
        match error {
            ChangeAgentError::NotFound => Self::not_found(),
            ChangeAgentError::Forbidden => Self::not_allowed(sentence(&error)),
            ChangeAgentError::Deleting => Self::conflict("deleting", sentence(&error)),
            ChangeAgentError::NotRunning => Self::conflict("not-running", sentence(&error)),
            ChangeAgentError::NoMachine => Self::conflict("no-machine", sentence(&error)),
            ChangeAgentError::NotFailed => Self::conflict("not-failed", sentence(&error)),
            ChangeAgentError::NotPaid(error) => error.into(),
            ChangeAgentError::Store(error) => error.into(),
        }
    }
}

/// Our errors are lower case without a full stop; a visitor reads a sentence.
pub(crate) fn sentence(error: &impl std::fmt::Display) -> String {
    let words = error.to_string();
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}
