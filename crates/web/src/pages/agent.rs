//! `/agents/{id}`: everything about one agent, in one place.

use app::exchanges::Opened;
use askama::Template;
use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use domain::{
    AgentId, ExchangeId,
    agent::{Agent, Seen, Wanted},
    exchange::{ExchangeKind, ExchangeState},
    id,
    instructions::Choices,
    machine::Isolation,
    people::{Caller, Role},
    protocol::LogLine,
    timeline::{Entry, Usual},
};
use http::StatusCode;

use crate::{
    api::turns,
    body::{At, Query},
    guard::Member,
    pages::{
        self,
        frame::Frame,
        model::ModelLine,
        story::{self, Story},
        words::{self, Moment, took},
    },
    problem::Problem,
    state::Web,
};

/// Entries of the timeline that the page tells; the rest is in the API.
const ENTRIES: i64 = 400;

/// The page.
#[derive(Debug, Template)]
#[template(path = "agent.html")]
#[expect(clippy::struct_excessive_bools, reason = "a template asks many yes-or-no questions")]
pub struct AgentPage {
    frame: Frame,
    id: String,
    name: String,
    state: &'static str,
    tone: &'static str,
    headline: &'static str,
    since: Moment,
    aside: String,
    wanted: &'static str,
    differs: bool,
    is_failed: bool,
    story: Story,
    events: &'static str,
    machine: Option<MachinePart>,
    proof: Option<ProofPart>,
    talk: Vec<Spoken>,
    can_talk: bool,
    silent: &'static str,
    model: ModelLine,
    /// What it is told about itself.
    instructions: Option<String>,
    logs: Logs,
    buttons: Vec<Button>,
    can_run: bool,
    can_manage: bool,
    /// What could not be done, from a form of this page.
    pub(crate) fault: Option<String>,
    pub(crate) talk_fault: Option<String>,
    pub(crate) draft: String,
    pub(crate) delete_fault: Option<String>,
    pub(crate) delete_typed: String,
}

#[derive(Debug)]
struct MachinePart {
    id: String,
    isolation: &'static str,
    is_shared_kernel: bool,
    image: String,
    openclaw: String,
    made: Moment,
}

#[derive(Debug)]
struct ProofPart {
    id: String,
    ok: bool,
    took: String,
    at: Moment,
    why: String,
}

/// One question and what came of it.
#[derive(Debug, Clone)]
pub struct Spoken {
    /// The person's words.
    pub question: String,
    /// When they were said.
    pub at: Moment,
    /// The agent's words.
    pub answer: Option<String>,
    /// How long that took, or has taken so far.
    pub took: String,
    /// Why there is no answer.
    pub fault: Option<String>,
    /// Whether the answer is on its way.
    pub is_waiting: bool,
}

/// What the log panel shows.
#[derive(Debug)]
pub enum Logs {
    /// Nobody asked yet.
    None,
    /// The machine is being asked.
    Waiting,
    /// It did not answer.
    Failed(String),
    /// The lines, oldest first; hostile text, escaped by the template.
    Lines(Vec<LogRow>),
}

/// One line of a log.
#[derive(Debug)]
pub struct LogRow {
    at: Moment,
    unit: String,
    text: String,
}

#[derive(Debug)]
struct Button {
    path: &'static str,
    words: &'static str,
    is_primary: bool,
}

/// Everything the page is made of, as read from the database.
#[derive(Debug)]
pub struct Sources {
    /// The agent.
    pub agent: Agent,
    /// The end of its timeline, oldest first.
    pub entries: Vec<Entry>,
    /// What is usual here.
    pub usual: Vec<Usual>,
    /// The conversation.
    pub talk: Vec<Spoken>,
    /// The log panel.
    pub logs: Logs,
    /// Which model answers.
    pub model: ModelLine,
    /// What its tenant chose for it.
    pub choices: Choices,
}

impl AgentPage {
    /// The page for one caller at one time.
    #[must_use]
    pub fn new(sources: Sources, by: &Caller, now: DateTime<Utc>) -> Self {
        let Sources { agent, entries, usual, talk, logs, model, choices } = sources;
        let tone = words::tone(&agent.seen);
        let state = agent.seen.name();
        let mut frame = Frame::of(by, "agents", &format!("{} {state}", agent.name)).showing(tone);
        frame.reloads = words::is_moving(&agent);
        frame.page = format!("/agents/{}", agent.id);
        let silent = match (&agent.seen, agent.wanted) {
            (_, Wanted::Gone) => "It is being deleted, so it does not answer any more.",
            (_, Wanted::Stopped) => "It is stopped, so it does not answer. Start it first.",
            (Seen::Failed { .. }, Wanted::Running) => "It is not running, so it does not answer.",
            (Seen::Live { .. } | Seen::Degraded { .. }, Wanted::Running) => "",
            (_, Wanted::Running) => "It answers once it is live.",
        };
        let can_run = by.role >= Role::Member;
        Self {
            frame,
            id: agent.id.to_string(),
            name: agent.name.to_string(),
            state,
            tone,
            headline: words::headline(&agent),
            since: Moment::new(agent.seen.since(), now),
            aside: words::aside(&agent, now),
            wanted: agent.wanted.name(),
            differs: !words::is_as_wanted(&agent),
            is_failed: matches!(agent.seen, Seen::Failed { .. }) && agent.wanted != Wanted::Gone,
            story: story::tell(&entries, &usual, &agent, now),
            events: "asked wanted step_started step_ended step_retried seen proof keys_replaced exchanged",
            machine: MachinePart::of(&agent, now),
            proof: ProofPart::of(&agent, now),
            talk,
            can_talk: silent.is_empty(),
            silent,
            model,
            instructions: choices.instructions.map(|text| text.as_str().to_owned()),
            logs,
            buttons: if can_run { buttons(&agent) } else { Vec::new() },
            can_run,
            can_manage: by.role >= Role::Admin && agent.wanted != Wanted::Gone,
            fault: None,
            talk_fault: None,
            draft: String::new(),
            delete_fault: None,
            delete_typed: String::new(),
        }
    }
}

impl MachinePart {
    fn of(agent: &Agent, now: DateTime<Utc>) -> Option<Self> {
        let machine = agent.machine.as_ref()?;
        let (isolation, is_shared_kernel) = match machine.isolation {
            Isolation::VirtualMachine => ("virtual machine", false),
            Isolation::Container => ("development isolation", true),
        };
        Some(Self {
            id: machine.id.to_string(),
            isolation,
            is_shared_kernel,
            image: machine.image.clone(),
            openclaw: machine.openclaw.clone().unwrap_or_else(|| "not known yet".to_owned()),
            made: Moment::new(machine.created_at, now),
        })
    }
}

impl ProofPart {
    fn of(agent: &Agent, now: DateTime<Utc>) -> Option<Self> {
        let proof = agent.proof.as_ref()?;
        Some(Self {
            id: proof.id.to_string(),
            ok: proof.ok,
            took: proof.latency_ms.map_or_else(|| "no answer came".to_owned(), |ms| took(i64::from(ms))),
            at: Moment::new(proof.at, now),
            why: proof.why.as_deref().map(words::as_sentence).unwrap_or_default(),
        })
    }
}

impl Spoken {
    fn of(opened: &Opened, now: DateTime<Utc>) -> Self {
        let exchange = &opened.exchange;
        let spoken = Self {
            question: turns::words(opened.question.as_ref()).unwrap_or_default(),
            at: Moment::new(exchange.asked_at, now),
            answer: None,
            took: String::new(),
            fault: None,
            is_waiting: false,
        };
        match &exchange.state {
            ExchangeState::Asked => {
                Self { is_waiting: true, took: took((now - exchange.asked_at).num_milliseconds()), ..spoken }
            }
            ExchangeState::Answered { latency_ms, .. } => {
                Self { answer: turns::words(opened.answer.as_ref()), took: took(i64::from(*latency_ms)), ..spoken }
            }
            ExchangeState::Failed { why, .. } => Self { fault: Some(words::as_sentence(why)), ..spoken },
        }
    }
}

impl LogRow {
    /// One line as the guest sent it.
    #[must_use]
    pub fn new(line: LogLine, now: DateTime<Utc>) -> Self {
        Self { at: Moment::new(line.at, now), unit: line.unit, text: line.text }
    }
}

fn buttons(agent: &Agent) -> Vec<Button> {
    let button = |path, words, is_primary| Button { path, words, is_primary };
    match (agent.wanted, &agent.seen) {
        // On its way out there is nothing to press; after a failure one button helps, the one beside the cause.
        (Wanted::Gone, _) | (Wanted::Running, Seen::Failed { .. }) => Vec::new(),
        (Wanted::Stopped, _) => vec![button("start", "Start agent", true)],
        (Wanted::Running, Seen::Live { .. } | Seen::Degraded { .. }) => vec![
            button("proof", "Ask for a proof", true),
            button("restart", "Restart agent", false),
            button("stop", "Stop agent", false),
        ],
        (Wanted::Running, _) => vec![button("stop", "Stop agent", false)],
    }
}

pub(crate) async fn show(
    State(web): State<Web>,
    member: Member,
    At(id): At<id::Agent>,
    query: Query,
) -> Result<Response, Problem> {
    let logs = query.get("logs").and_then(|text| text.parse().ok());
    pages::page(StatusCode::OK, &read(&web, member.caller(), id, logs).await?)
}

/// Reads everything that the page shows.
pub(crate) async fn read(web: &Web, by: &Caller, id: AgentId, logs: Option<ExchangeId>) -> Result<AgentPage, Problem> {
    let now = web.dice.now();
    let mut house = web.db.system().await?;
    let usual = app::agents::usual_steps(&mut house).await?;
    drop(house);
    let mut tx = web.db.tenant_read(by.tenant).await?;
    let store::agents::Chosen { agent, choices, .. } =
        store::agents::with_choices(&mut tx, id).await?.ok_or_else(Problem::not_found)?;
    let entries = store::timeline::latest(&mut tx, id, ENTRIES).await?;
    let talk = app::exchanges::conversation(&mut tx, &web.ring, id).await?;
    let tail = match logs {
        Some(exchange) => app::exchanges::read(&mut tx, &web.ring, exchange).await?,
        None => None,
    };
    let model = ModelLine::read(&mut tx, &web.models, choices.model.as_deref()).await?;
    drop(tx);
    let talk = talk.iter().map(|opened| Spoken::of(opened, now)).collect();
    let tail = tail.filter(|opened| opened.exchange.agent == id && opened.exchange.kind == ExchangeKind::Logs);
    let sources = Sources { agent, entries, usual, talk, logs: log_panel(tail.as_ref(), now), model, choices };
    Ok(AgentPage::new(sources, by, now))
}

fn log_panel(tail: Option<&Opened>, now: DateTime<Utc>) -> Logs {
    match tail.map(|opened| (&opened.exchange.state, opened.answer.as_ref())) {
        None => Logs::None,
        Some((ExchangeState::Asked, _)) => Logs::Waiting,
        Some((ExchangeState::Failed { why, .. }, _)) => Logs::Failed(words::as_sentence(why)),
        Some((ExchangeState::Answered { .. }, answer)) => {
            Logs::Lines(turns::log_lines(answer).into_iter().map(|line| LogRow::new(line, now)).collect())
        }
    }
}
