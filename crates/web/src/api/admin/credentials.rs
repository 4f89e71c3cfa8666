//! How an operator sees a tenant's credentials in JSON: fingerprints and ages, never values, nor a part of one.

use chrono::{DateTime, Utc};
use domain::{
    AgentId, CredentialId, UserId,
    credential::{Kind, Verdict},
};
use serde::Serialize;
use store::{
    credential_views::{CredentialView as Row, GivenTo},
    keys::Standing,
};
use uuid::Uuid;

/// One credential.
#[derive(Debug, Serialize)]
pub(crate) struct FingerprintView {
    id: CredentialId,
    kind: Kind,
    name: Option<String>,
    host: Option<String>,
    agent: Option<GivenToView>,
    fingerprint: Option<String>,
    version: u64,
    set_at: DateTime<Utc>,
    age_days: i64,
    set_by: UserId,
    checked: Option<CheckedView>,
    opened: Option<OpeningView>,
}

#[derive(Debug, Serialize)]
struct GivenToView {
    id: AgentId,
    name: String,
    wanted: u64,
    in_force: u64,
}

/// What its vendor said, without the name of a bot.
#[derive(Debug, Serialize)]
struct CheckedView {
    at: DateTime<Utc>,
    verdict: &'static str,
    why: Option<String>,
}

#[derive(Debug, Serialize)]
struct OpeningView {
    at: DateTime<Utc>,
    purpose: String,
}

/// The key that seals all of them.
#[derive(Debug, Serialize)]
pub(crate) struct DataKeyView {
    id: Uuid,
    created_at: DateTime<Utc>,
    age_days: i64,
    master: MasterView,
}

#[derive(Debug, Serialize)]
struct MasterView {
    id: String,
    state: &'static str,
    since: DateTime<Utc>,
}

/// Whole days, none of them negative.
pub(crate) fn days(since: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    (now - since).num_days().max(0)
}

impl FingerprintView {
    pub(crate) fn of(row: Row, now: DateTime<Utc>) -> Self {
        let checked = row.checked.map(|checked| {
            let (verdict, why) = match checked.verdict {
                Verdict::Accepted { .. } => ("accepted", None),
                Verdict::Refused { why } => ("refused", Some(why)),
                Verdict::Unknown { why } => ("unknown", Some(why)),
            };
            CheckedView { at: checked.at, verdict, why }
        });
        let given = |GivenTo { id, name, wanted, in_force }| GivenToView { id, name, wanted, in_force };
        Self {
            id: row.id,
            kind: row.kind,
            name: (!row.name.is_empty()).then_some(row.name),
            host: row.host,
            agent: row.agent.map(given),
            fingerprint: row.fingerprint.map(|fingerprint| fingerprint.to_string()),
            version: row.version,
            set_at: row.set_at,
            age_days: days(row.set_at, now),
            set_by: row.set_by,
            checked,
            opened: row.opened.map(|opened| OpeningView { at: opened.at, purpose: opened.purpose }),
        }
    }
}

impl DataKeyView {
    pub(crate) fn of(key: Standing, now: DateTime<Utc>) -> Self {
        let Standing { id, created_at, master, state, since } = key;
        let master = MasterView { id: master.to_string(), state: state.word(), since };
        Self { id, created_at, age_days: days(created_at, now), master }
    }
}
