//! `/credentials` and `/agents/{id}/credentials`: what a tenant gave Berth to use. Values go in and never come out.

use askama::Template;
use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use domain::{
    AgentId,
    agent::Agent,
    channel::Channel,
    credential::{BadCredential, BaseUrl, Kind, Value, VariableName, Verdict},
    exchange::Approval,
    id,
    people::{Caller, Role},
    protocol::{Pairing, SecretText},
};
use http::StatusCode;
use store::credentials::Credential;

use crate::{
    api::pairings,
    body::{At, Form},
    checks::{self, Brought, BroughtValue, is_offered},
    guard::{CameFrom, Member},
    pages::{self, frame::Frame, rotation::MachineKeys, words::Moment},
    problem::Problem,
    state::Web,
};

/// The page, of the tenant or of one agent.
#[derive(Debug, Template)]
#[template(path = "credentials.html")]
pub(crate) struct CredentialsPage {
    frame: Frame,
    tenant: String,
    agent: Option<AgentLine>,
    kinds: Vec<(&'static str, &'static str, bool)>,
    credentials: Vec<Line>,
    agents: Vec<(String, String)>,
    may_change: bool,
    /// What was typed, but the value.
    name: String,
    base_url: String,
    fault: Option<String>,
    /// Who waits, once somebody looked; or why nobody knows.
    waiting: Option<Result<Vec<WaitingLine>, String>>,
    /// The token and the key of the agent's machine.
    pub(super) machine_keys: Option<MachineKeys>,
}

#[derive(Debug)]
struct WaitingLine {
    channel: &'static str,
    request: String,
    sender: String,
    name: String,
    asked: Moment,
}

#[derive(Debug)]
struct AgentLine {
    id: String,
    name: String,
    /// What is in force on its machine, in a sentence.
    in_force: String,
    is_on_its_way: bool,
}

#[derive(Debug)]
struct Line {
    id: String,
    title: String,
    shown: String,
    set: Moment,
    /// Tone, word and sentence of what its vendor said.
    checked: (&'static str, &'static str, String),
    is_tested: bool,
}

/// An agent with the two versions of what its machine is given.
#[derive(Debug)]
pub(crate) struct Given {
    /// Itself.
    pub(crate) agent: Agent,
    /// Wanted.
    pub(crate) wanted: u64,
    /// In force.
    pub(crate) in_force: u64,
}

impl CredentialsPage {
    pub(crate) fn new(
        by: &Caller,
        given: Option<&Given>,
        rows: &[Credential],
        agents: &[Agent],
        now: DateTime<Utc>,
    ) -> Self {
        let of = given.map(|given| given.agent.id);
        let here = if of.is_some() { "agents" } else { "credentials" };
        let title = given.map_or_else(|| "Keys".to_owned(), |given| format!("Keys of {}", given.agent.name));
        let kinds = Kind::EVERY.into_iter().filter(|kind| kind.is_model_key() != of.is_some() && is_offered(*kind));
        Self {
            frame: Frame::of(by, here, &title),
            tenant: by.tenant_name.clone(),
            agent: given.map(AgentLine::of),
            kinds: kinds.map(|kind| (kind.name(), kind.title(), false)).collect(),
            credentials: rows.iter().filter(|row| row.agent == of).map(|row| Line::of(row, now)).collect(),
            agents: agents.iter().map(|agent| (agent.id.to_string(), agent.name.as_str().to_owned())).collect(),
            may_change: by.role >= if of.is_some() { Role::Member } else { Role::Admin },
            name: String::new(),
            base_url: String::new(),
            fault: None,
            waiting: None,
            machine_keys: given.and_then(|given| MachineKeys::of(by, &given.agent, now)),
        }
    }

    /// With who waits to be let in.
    pub(crate) fn with_waiting(self, pairings: &[Pairing], now: DateTime<Utc>) -> Self {
        let line = |one: &Pairing| WaitingLine {
            channel: one.channel.as_str(),
            request: one.request.clone(),
            sender: one.sender.clone(),
            name: one.name.clone().unwrap_or_default(),
            asked: Moment::new(one.asked_at, now),
        };
        Self { waiting: Some(Ok(pairings.iter().map(line).collect())), ..self }
    }

    /// The form as it was filled in, with what is wrong with it. The value is typed anew.
    pub(crate) fn refused(self, form: &Form, fault: String) -> Self {
        let kept = |name: &str| form.field(name).chars().take(300).collect();
        let kinds = self.kinds.iter().map(|(kind, title, _)| (*kind, *title, *kind == form.field("kind"))).collect();
        Self { name: kept("name"), base_url: kept("base_url"), kinds, fault: Some(fault), ..self }
    }
}

impl AgentLine {
    fn of(given: &Given) -> Self {
        let Given { agent, wanted, in_force } = given;
        let is_on_its_way = wanted != in_force;
        let in_force = match (is_on_its_way, wanted) {
            (true, _) => format!("Version {in_force} is in force on its machine; version {wanted} is on its way."),
            (false, 0) => "Nothing was set yet.".to_owned(),
            (false, _) => format!("Version {in_force} is in force on its machine."),
        };
        Self { id: agent.id.to_string(), name: agent.name.as_str().to_owned(), in_force, is_on_its_way }
    }
}

impl Line {
    fn of(row: &Credential, now: DateTime<Utc>) -> Self {
        let checked = match row.checked.as_ref().map(|checked| &checked.verdict) {
            _ if row.kind == Kind::Variable => ("off", "not checked", String::new()),
            Some(Verdict::Accepted { who: Some(who) }) => ("live", "good", who.clone()),
            Some(Verdict::Accepted { who: None }) => ("live", "good", String::new()),
            Some(Verdict::Refused { why }) => ("failed", "refused", why.clone()),
            Some(Verdict::Unknown { why }) => ("attention", "not known", why.clone()),
            None => ("off", "not checked yet", String::new()),
        };
        let title = match (&row.base_url, row.name.as_str()) {
            (Some(base), _) => format!("{} at {base}", row.kind.title()),
            (None, "") => row.kind.title().to_owned(),
            (None, name) => name.to_owned(),
        };
        Self {
            id: row.id.to_string(),
            title,
            shown: format!("••••{}", row.tail),
            set: Moment::new(row.set_at, now),
            checked,
            is_tested: row.kind != Kind::Variable,
        }
    }
}

pub(crate) async fn show(State(web): State<Web>, member: Member) -> Result<Response, Problem> {
    pages::page(StatusCode::OK, &read(&web, member.caller(), None).await?)
}

pub(crate) async fn of_agent(
    State(web): State<Web>,
    member: Member,
    At(id): At<id::Agent>,
) -> Result<Response, Problem> {
    pages::page(StatusCode::OK, &read(&web, member.caller(), Some(id)).await?)
}

pub(crate) async fn set(
    State(web): State<Web>,
    from: CameFrom,
    member: Member,
    form: Form,
) -> Result<Response, Problem> {
    let by = member.caller();
    let agent = agent_of(&form)?;
    let done = match brought(&form, agent) {
        Ok(brought) => checks::set(&web, from, brought, by).await,
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(_) => Ok(pages::see_other(&address(agent))),
        Err(problem)
            if problem.status == StatusCode::UNPROCESSABLE_ENTITY || problem.status == StatusCode::CONFLICT =>
        {
            let page = read(&web, by, agent).await?.refused(&form, problem.detail.to_string());
            pages::page(problem.status, &page)
        }
        Err(problem) => Err(problem),
    }
}

pub(crate) async fn test(
    State(web): State<Web>,
    from: CameFrom,
    member: Member,
    At(id): At<id::Credential>,
) -> Result<Response, Problem> {
    let tested = checks::test(&web, from, id, member.caller()).await?;
    Ok(pages::see_other(&address(tested.agent)))
}

pub(crate) async fn remove(
    State(web): State<Web>,
    member: Member,
    At(id): At<id::Credential>,
) -> Result<Response, Problem> {
    let mut tx = web.db.tenant(member.caller().tenant).await?;
    let removed = app::credentials::remove(&mut tx, id, member.caller()).await?;
    tx.commit().await?;
    Ok(pages::see_other(&address(removed.agent)))
}

/// Looks who waits; the answer is the page itself.
pub(crate) async fn look(State(web): State<Web>, member: Member, At(id): At<id::Agent>) -> Result<Response, Problem> {
    let by = member.caller();
    let waiting = pairings::waiting(&web, by, id).await;
    let page = read(&web, by, Some(id)).await?;
    match waiting {
        Ok(waiting) => pages::page(StatusCode::OK, &page.with_waiting(&waiting, web.dice.now())),
        Err(problem) if problem.status == StatusCode::NOT_FOUND || problem.status == StatusCode::FORBIDDEN => {
            Err(problem)
        }
        Err(problem) => {
            let page = CredentialsPage { waiting: Some(Err(problem.detail.to_string())), ..page };
            pages::page(problem.status, &page)
        }
    }
}

pub(crate) async fn approve(
    State(web): State<Web>,
    member: Member,
    At(id): At<id::Agent>,
    form: Form,
) -> Result<Response, Problem> {
    pairings::known(&web, member.caller(), id).await?;
    let channel =
        Channel::parse(form.field("channel")).ok_or_else(|| Problem::unusable("channel", "That is no channel."))?;
    let approval = Approval { channel, request: form.field("request").to_owned() };
    pairings::let_in(&web, member.caller(), id, &approval).await?;
    Ok(pages::see_other(&format!("/agents/{id}/credentials?in=1#waiting")))
}

fn address(agent: Option<AgentId>) -> String {
    agent.map_or_else(|| "/credentials".to_owned(), |agent| format!("/agents/{agent}/credentials"))
}

fn agent_of(form: &Form) -> Result<Option<AgentId>, Problem> {
    match form.field("agent") {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| Problem::not_found()),
    }
}

fn brought(form: &Form, agent: Option<AgentId>) -> Result<Brought, BadCredential> {
    let kind = Kind::parse(form.field("kind")).ok_or(BadCredential::Form)?;
    let is_set = |name: &'static str| (!form.field(name).trim().is_empty()).then(|| form.field(name));
    // The form has all fields for all kinds: those that do not belong to this one are passed over.
    let name = is_set("name").filter(|_| kind == Kind::Variable);
    let base_url = is_set("base_url").filter(|_| kind == Kind::Compatible);
    Ok(Brought {
        kind,
        agent,
        name: name.map(VariableName::parse).transpose()?,
        base_url: base_url.map(BaseUrl::parse).transpose()?,
        value: BroughtValue::Typed(Value::parse(kind, &SecretText::new(form.field("value").to_owned()))?),
    })
}

pub(super) async fn read(web: &Web, by: &Caller, agent: Option<AgentId>) -> Result<CredentialsPage, Problem> {
    let mut tx = web.db.tenant_read(by.tenant).await?;
    let given = match agent {
        Some(id) => {
            let agent = store::agents::by_id(&mut tx, id).await?.ok_or_else(Problem::not_found)?;
            let (wanted, in_force) = store::credentials::versions_of(&mut tx, id).await?;
            Some(Given { agent, wanted, in_force })
        }
        None => None,
    };
    let rows = app::credentials::list(&mut tx).await?;
    let agents = if agent.is_none() { store::agents::list(&mut tx, None, 100).await? } else { Vec::new() };
    Ok(CredentialsPage::new(by, given.as_ref(), &rows, &agents, web.dice.now()))
}
