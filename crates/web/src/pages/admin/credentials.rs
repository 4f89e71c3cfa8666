//! A tenant's credentials on the operator's page: fingerprints, ages and versions, and the key that seals them.

use domain::credential::{Checked, Kind, Verdict};
use store::{
    credential_views::{CredentialView, GivenTo},
    keys::{MasterState, Standing},
    members::Member,
};

use super::{Look, ShortId};
use crate::pages::words::{self, Moment};

/// One credential.
#[derive(Debug)]
pub(crate) struct FingerprintLine {
    /// What it is: a vendor's key, a bot, a variable by its name.
    pub(crate) title: String,
    /// Whose: the tenant's, or an agent's by name and id.
    pub(crate) agent: Option<(String, String)>,
    /// `None`: it was set before there were any.
    pub(crate) fingerprint: Option<String>,
    pub(crate) version: u64,
    /// Of what the agent's machine is given; empty for a key of the tenant, which no machine has.
    pub(crate) in_force: String,
    pub(crate) set: Moment,
    pub(crate) age: String,
    pub(crate) set_by: String,
    /// Tone, word and sentence of what its vendor said, and when.
    pub(crate) checked: (&'static str, &'static str, String),
    pub(crate) asked: Option<Moment>,
    /// When it was opened last, and what for.
    pub(crate) opened: Option<(Moment, String)>,
}

/// The tenant's data key.
#[derive(Debug)]
pub(crate) struct DataKeyLine {
    pub(crate) id: String,
    pub(crate) drawn: Moment,
    pub(crate) age: String,
    pub(crate) master: String,
    pub(crate) tone: &'static str,
    pub(crate) state: &'static str,
    pub(crate) since: Moment,
}

impl FingerprintLine {
    pub(crate) fn of(row: &CredentialView, members: &[Member], look: Look<'_>) -> Self {
        let title = match (&row.host, row.name.as_str()) {
            (Some(host), _) => format!("{} at {host}", row.kind.title()),
            (None, "") => row.kind.title().to_owned(),
            (None, name) => name.to_owned(),
        };
        let by = members.iter().find(|member| member.user == row.set_by);
        Self {
            title,
            agent: row.agent.as_ref().map(|agent| (agent.id.to_string(), agent.name.clone())),
            fingerprint: row.fingerprint.map(|fingerprint| fingerprint.to_string()),
            version: row.version,
            in_force: row.agent.as_ref().map(in_force).unwrap_or_default(),
            set: look.at(row.set_at),
            age: words::ago(row.set_at, look.now),
            set_by: by.map_or_else(|| ShortId::of(row.set_by).short, |member| member.email.clone()),
            checked: told(row.kind, row.checked.as_ref()),
            asked: row.checked.as_ref().filter(|_| row.kind != Kind::Variable).map(|checked| look.at(checked.at)),
            opened: row.opened.as_ref().map(|opened| (look.at(opened.at), opened.purpose.clone())),
        }
    }
}

impl DataKeyLine {
    pub(crate) fn of(key: &Standing, look: Look<'_>) -> Self {
        let (tone, state) = match key.state {
            MasterState::Current => ("live", "current"),
            MasterState::Retiring => ("working", "retiring"),
            MasterState::Retired => ("failed", "retired"),
        };
        Self {
            id: key.id.to_string(),
            drawn: look.at(key.created_at),
            age: words::ago(key.created_at, look.now),
            master: key.master.to_string(),
            tone,
            state,
            since: look.at(key.since),
        }
    }
}

/// What an agent's machine is given counts as one: all of its bots and variables together.
fn in_force(agent: &GivenTo) -> String {
    let GivenTo { wanted, in_force, .. } = agent;
    if wanted == in_force { format!("{in_force} in force") } else { format!("{in_force} in force, {wanted} wanted") }
}

/// The bot's name, which its vendor tells, is for the tenant.
fn told(kind: Kind, checked: Option<&Checked>) -> (&'static str, &'static str, String) {
    match checked.map(|checked| &checked.verdict) {
        _ if kind == Kind::Variable => ("off", "not checked", String::new()),
        Some(Verdict::Accepted { .. }) => ("live", "good", String::new()),
        Some(Verdict::Refused { why }) => ("failed", "refused", why.clone()),
        Some(Verdict::Unknown { why }) => ("attention", "not known", why.clone()),
        None => ("off", "not checked yet", String::new()),
    }
}
