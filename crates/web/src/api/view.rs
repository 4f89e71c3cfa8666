//! How our nouns look in JSON.

use chrono::{DateTime, Utc};
use domain::{
    AgentId, ExchangeId, ProofId, TenantId, UserId,
    agent::{Agent, Seen},
    instructions::Choices,
    machine::MachineFacts,
    people::Caller,
    protocol::LogLine,
};
use serde::Serialize;

/// An agent.
#[derive(Debug, Serialize)]
pub(crate) struct AgentView {
    id: AgentId,
    name: String,
    wanted: &'static str,
    seen: Seen,
    machine: Option<MachineFacts>,
    proof: Option<ProofView>,
    created_at: DateTime<Utc>,
    /// Where one agent is shown, not many.
    #[serde(flatten)]
    choices: Option<ChoicesView>,
}

#[derive(Debug, Serialize)]
struct ChoicesView {
    model: Option<String>,
    instructions: Option<String>,
}

impl AgentView {
    /// With what its tenant chose for it.
    #[must_use]
    pub(crate) fn with(self, choices: Choices) -> Self {
        let instructions = choices.instructions.map(|text| text.as_str().to_owned());
        Self { choices: Some(ChoicesView { model: choices.model, instructions }), ..self }
    }
}

#[derive(Debug, Serialize)]
struct ProofView {
    id: ProofId,
    at: DateTime<Utc>,
    ok: bool,
    latency_ms: Option<u32>,
    why: Option<String>,
}

impl From<Agent> for AgentView {
    fn from(agent: Agent) -> Self {
        let proof =
            agent.proof.map(|p| ProofView { id: p.id, at: p.at, ok: p.ok, latency_ms: p.latency_ms, why: p.why });
        Self {
            id: agent.id,
            name: agent.name.as_str().to_owned(),
            wanted: agent.wanted.name(),
            seen: agent.seen,
            machine: agent.machine,
            proof,
            created_at: agent.created_at,
            choices: None,
        }
    }
}

/// A page of agents.
#[derive(Debug, Serialize)]
pub(crate) struct AgentsView {
    pub agents: Vec<AgentView>,
    /// Where the next page is.
    pub next: Option<String>,
}

/// A turn: `asked`, `answered` or `failed`.
#[derive(Debug, Serialize)]
pub(crate) struct TurnView {
    pub id: ExchangeId,
    pub state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The last log lines.
#[derive(Debug, Serialize)]
pub(crate) struct LogsView {
    pub lines: Vec<LogLine>,
}

/// Who is calling.
#[derive(Debug, Serialize)]
pub(crate) struct MeView {
    user: UserId,
    email: String,
    tenant: TenantId,
    tenant_name: String,
    role: &'static str,
    operator: bool,
}

impl From<&Caller> for MeView {
    fn from(caller: &Caller) -> Self {
        Self {
            user: caller.user,
            email: caller.email.as_str().to_owned(),
            tenant: caller.tenant,
            tenant_name: caller.tenant_name.clone(),
            role: caller.role.name(),
            operator: caller.is_operator,
        }
    }
}
