//! Credentials as operators see them: fingerprints, ages and versions, nothing of a value and no name of a bot.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::{
    AgentId, CredentialId, UserId,
    audit::Act,
    credential::{BaseUrl, Checked, Kind},
};
use serde_json::Value;
use uuid::Uuid;
use vault::Fingerprint;

use crate::{
    db::TenantTx,
    error::{StoreError, read},
};

/// How many of a tenant's last events are searched for openings. A tenant with its own key has one for each model call.
pub const EVENTS_SEARCHED: i64 = 10_000;

/// A credential without anything of its value.
#[derive(Debug, Clone, PartialEq)]
pub struct CredentialView {
    /// Which.
    pub id: CredentialId,
    /// Whose; none for a key of the whole tenant.
    pub agent: Option<GivenTo>,
    /// What it is for.
    pub kind: Kind,
    /// A variable's name; else empty.
    pub name: String,
    /// Host of a compatible vendor, with its port where one was named.
    pub host: Option<String>,
    /// What tells this version's value from another. `None`: it was set by a Berth that made none.
    pub fingerprint: Option<Fingerprint>,
    /// Grows with each replacement.
    pub version: u64,
    /// What its vendor said last.
    pub checked: Option<Checked>,
    /// Who set it.
    pub set_by: UserId,
    /// When it was set.
    pub set_at: DateTime<Utc>,
    /// When it was opened last, and what for. `None`: not among the last [`EVENTS_SEARCHED`] events.
    pub opened: Option<Opening>,
}

/// The agent whose machine is given it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenTo {
    /// Which.
    pub id: AgentId,
    /// Its name.
    pub name: String,
    /// How often what its machine is given has changed.
    pub wanted: u64,
    /// Which of it is in force there.
    pub in_force: u64,
}

/// One opening of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// When.
    pub at: DateTime<Utc>,
    /// What for, in the words of the event: `delivery`, `test`, `model call`.
    pub purpose: String,
}

/// All of this tenant, the tenant's own first.
pub async fn all(tx: &mut TenantTx) -> Result<Vec<CredentialView>, StoreError> {
    let mut opened = openings(tx).await?;
    let rows = sqlx::query_as!(
        Row,
        r#"select c.id, c.kind, c.name, c.base_url, c.version, c.checked, c.set_by, c.set_at,
                  case when c.fingerprint_version = c.version then c.fingerprint end as fingerprint,
                  a.id as "agent_id?", a.name as "agent_name?", a.credentials_wanted as "wanted?",
                  a.credentials_in_force as "in_force?"
           from credentials c left join agents a on a.tenant_id = c.tenant_id and a.id = c.agent_id
           order by a.name nulls first, a.id, c.kind, c.name"#
    )
    .fetch_all(tx.conn())
    .await?;
    let view = |row: Row| {
        let id = CredentialId::from_uuid(row.id);
        row.view(id, opened.remove(&id.to_string()))
    };
    rows.into_iter().map(view).collect()
}

/// The last opening of each credential, by its id.
async fn openings(tx: &mut TenantTx) -> Result<BTreeMap<String, Opening>, StoreError> {
    let acts = [Act::CredentialOpen, Act::CredentialTest].map(|act| act.word().to_owned());
    let rows = sqlx::query!(
        r#"select distinct on (subject) subject, at, coalesce(details ->> 'purpose', '') as "purpose!"
           from audit_events
           where seq > (select coalesce(max(seq), 0) from audit_heads) - $1 and act = any ($2)
           order by subject, seq desc"#,
        EVENTS_SEARCHED,
        &acts[..],
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.subject, Opening { at: row.at, purpose: row.purpose })).collect())
}

struct Row {
    id: Uuid,
    kind: String,
    name: String,
    base_url: Option<String>,
    version: i64,
    checked: Option<Value>,
    set_by: Uuid,
    set_at: DateTime<Utc>,
    fingerprint: Option<String>,
    agent_id: Option<Uuid>,
    agent_name: Option<String>,
    wanted: Option<i64>,
    in_force: Option<i64>,
}

impl Row {
    fn view(self, id: CredentialId, opened: Option<Opening>) -> Result<CredentialView, StoreError> {
        let corrupt = |column, why: &'static str| StoreError::corrupt("credentials", column, why);
        let count = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
        let host = self.base_url.as_deref().map(BaseUrl::parse).transpose();
        let agent = self.agent_id.map(|agent| GivenTo {
            id: AgentId::from_uuid(agent),
            name: self.agent_name.unwrap_or_default(),
            wanted: count(self.wanted),
            in_force: count(self.in_force),
        });
        Ok(CredentialView {
            id,
            agent,
            kind: Kind::parse(&self.kind).ok_or_else(|| corrupt("kind", "is of no known kind"))?,
            name: self.name,
            host: host.map_err(|_| corrupt("base_url", "is no address"))?.map(|url| url.host().to_owned()),
            fingerprint: self
                .fingerprint
                .map(|text| text.parse().map_err(|_| corrupt("fingerprint", "is no fingerprint")))
                .transpose()?,
            version: count(Some(self.version)),
            checked: self.checked.map(|value| read("credentials", "checked", value)).transpose()?,
            set_by: UserId::from_uuid(self.set_by),
            set_at: self.set_at,
            opened,
        })
    }
}
