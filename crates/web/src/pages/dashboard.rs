//! `/dashboard`: all agents at one glance, and the form that makes one.

use app::agents::{self, CreateAgentError};
use askama::Template;
use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use domain::{
    AgentId,
    agent::{Agent, Seen},
    names::AgentName,
    onboarding::Draft,
    people::{Caller, Role},
};
use http::StatusCode;

use crate::{
    api::agents::sentence,
    body::{Form, Query},
    guard::Member,
    pages::{
        self,
        frame::Frame,
        model::ModelLine,
        words::{self, Moment},
    },
    problem::Problem,
    state::Web,
};

/// Agents on one page.
const PAGE: usize = 100;

/// The page.
#[derive(Debug, Template)]
#[template(path = "dashboard.html")]
pub struct DashboardPage {
    frame: Frame,
    sum: String,
    agents: Vec<Line>,
    next: Option<String>,
    is_moving: bool,
    can_run: bool,
    /// Whether the reader left the wizard half-way.
    is_begun: bool,
    typed: String,
    fault: Option<String>,
    base: String,
    email: String,
    model: ModelLine,
}

/// One agent among many.
#[derive(Debug)]
struct Line {
    id: String,
    name: String,
    tone: &'static str,
    state: &'static str,
    wish: String,
    since: Moment,
    proof: String,
    openclaw: String,
    why: String,
}

/// Who looks, at what address, and when.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// Who.
    pub by: &'a Caller,
    /// Where people reach Berth.
    pub base: &'a str,
    /// When.
    pub now: DateTime<Utc>,
}

impl DashboardPage {
    /// At most [`PAGE`] agents are shown; one more means that there is a next page.
    #[must_use]
    pub fn new(mut agents: Vec<Agent>, model: ModelLine, look: Look<'_>) -> Self {
        let more = agents.len() > PAGE;
        agents.truncate(PAGE);
        let next = agents.last().filter(|_| more).map(|agent| format!("/dashboard?after={}", agent.id));
        let count = |tone: &str| agents.iter().filter(|agent| words::tone(&agent.seen) == tone).count();
        let tone = ["failed", "attention", "working", "live"].into_iter().find(|tone| count(tone) > 0);
        let mut frame = Frame::of(look.by, "agents", "Agents").showing(tone.unwrap_or("berth"));
        "/dashboard".clone_into(&mut frame.page);
        Self {
            frame,
            sum: sum(&agents),
            is_moving: agents.iter().any(words::is_moving),
            agents: agents.iter().map(|agent| Line::new(agent, look.now)).collect(),
            next,
            can_run: look.by.role >= Role::Member,
            is_begun: false,
            typed: String::new(),
            fault: None,
            base: look.base.to_owned(),
            email: look.by.email.as_str().to_owned(),
            model,
        }
    }

    /// Whether the reader left the wizard half-way.
    #[must_use]
    pub fn begun(self, is_begun: bool) -> Self {
        Self { is_begun, ..self }
    }

    /// With the name as it was typed, and what is wrong with it.
    #[must_use]
    pub fn refused(self, typed: &str, fault: String) -> Self {
        Self { typed: typed.chars().take(80).collect(), fault: Some(fault), ..self }
    }
}

impl Line {
    fn new(agent: &Agent, now: DateTime<Utc>) -> Self {
        let wish = if words::is_as_wanted(agent) { String::new() } else { format!("wanted {}", agent.wanted.name()) };
        let proof = agent.proof.as_ref().map(|proof| {
            let took = proof.latency_ms.map(|ms| format!(", {}", words::took(i64::from(ms)))).unwrap_or_default();
            format!("{}{}{took}", if proof.ok { "" } else { "failed " }, words::ago(proof.at, now))
        });
        Self {
            id: agent.id.to_string(),
            name: agent.name.to_string(),
            tone: words::tone(&agent.seen),
            state: agent.seen.name(),
            wish,
            since: Moment::new(agent.seen.since(), now),
            proof: proof.unwrap_or_else(|| "none yet".to_owned()),
            openclaw: agent
                .machine
                .as_ref()
                .and_then(|m| m.openclaw.clone())
                .unwrap_or_else(|| "not known yet".to_owned()),
            why: agent.seen.why().map(words::as_sentence).unwrap_or_default(),
        }
    }
}

/// "3 live, 1 failed."
fn sum(agents: &[Agent]) -> String {
    if agents.is_empty() {
        return "None yet.".to_owned();
    }
    let state = |name: &'static str, is: fn(&Seen) -> bool| {
        let count = agents.iter().filter(|agent| is(&agent.seen)).count();
        (count > 0).then(|| format!("{count} {name}"))
    };
    let parts = [
        state("live", |seen| words::tone(seen) == "live"),
        state("being worked on", |seen| words::tone(seen) == "working"),
        state("degraded", |seen| words::tone(seen) == "attention"),
        state("failed", |seen| words::tone(seen) == "failed"),
        state("stopped", |seen| words::tone(seen) == "off"),
    ];
    format!("{}.", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

pub(crate) async fn show(State(web): State<Web>, member: Member, query: Query) -> Result<Response, Problem> {
    let after = query.get("after").and_then(|text| text.parse().ok());
    pages::page(StatusCode::OK, &read(&web, member.caller(), after).await?)
}

pub(crate) async fn create(State(web): State<Web>, member: Member, form: Form) -> Result<Response, Problem> {
    let (by, typed) = (member.caller(), form.field("name"));
    let name = match AgentName::parse(typed) {
        Ok(name) => name,
        Err(error) => return again(&web, by, (StatusCode::UNPROCESSABLE_ENTITY, typed, sentence(&error))).await,
    };
    let mut tx = web.db.tenant(by.tenant).await?;
    let new = agents::NewAgent::named(&*web.dice.0, name);
    let error = match agents::create(&mut tx, &*web.dice.0, &new, None, by).await {
        Ok(agent) => {
            tx.commit().await?;
            return Ok(pages::see_other(&format!("/agents/{}", agent.id)));
        }
        Err(error) => error,
    };
    drop(tx);
    match error {
        CreateAgentError::NameTaken => again(&web, by, (StatusCode::CONFLICT, typed, sentence(&error))).await,
        CreateAgentError::NotPaid(error) => {
            again(&web, by, (StatusCode::PAYMENT_REQUIRED, typed, sentence(&error))).await
        }
        CreateAgentError::Forbidden | CreateAgentError::KeyReused | CreateAgentError::Store(_) => Err(error.into()),
    }
}

async fn read(web: &Web, by: &Caller, after: Option<AgentId>) -> Result<DashboardPage, Problem> {
    let mut tx = web.db.tenant_read(by.tenant).await?;
    let agents = store::agents::list(&mut tx, after, i64::try_from(PAGE).unwrap_or(i64::MAX) + 1).await?;
    let model = ModelLine::read(&mut tx, &web.models, None).await?;
    let is_begun = agents.is_empty() && is_begun(store::onboardings::of(&mut tx, by.user).await?.as_ref());
    let page = DashboardPage::new(agents, model, Look { by, base: &web.site.address(""), now: web.dice.now() });
    Ok(page.begun(is_begun))
}

/// Whether somebody left the wizard half-way.
fn is_begun(draft: Option<&Draft>) -> bool {
    draft.is_some_and(|draft| draft.ended.is_none())
}

async fn again(
    web: &Web,
    by: &Caller,
    (status, typed, fault): (StatusCode, &str, String),
) -> Result<Response, Problem> {
    pages::page(status, &read(web, by, None).await?.refused(typed, fault))
}
