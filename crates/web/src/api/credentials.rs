//! `/api/v1/credentials`: what a tenant gave Berth to use. Values go in and never come out.

use app::credentials::CredentialError;
use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use domain::{
    AgentId, CredentialId, UserId,
    credential::{BadCredential, BaseUrl, Checked, Kind, Value, VariableName},
    id,
    protocol::SecretText,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use store::{Db, credentials::Credential};

use crate::{
    api::agents::sentence,
    body::{self, At},
    checks::{self, Typed},
    guard::{CameFrom, Member},
    problem::Problem,
    state::Web,
};

#[derive(Debug, Serialize)]
pub(crate) struct Credentials {
    credentials: Vec<CredentialView>,
}

/// Everything but the value.
#[derive(Debug, Serialize)]
pub(crate) struct CredentialView {
    id: CredentialId,
    kind: Kind,
    agent: Option<AgentId>,
    name: Option<String>,
    base_url: Option<String>,
    shown: String,
    version: u64,
    checked: Option<Checked>,
    set_by: UserId,
    set_at: DateTime<Utc>,
}

impl From<Credential> for CredentialView {
    fn from(row: Credential) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            agent: row.agent,
            shown: format!("••••{}", row.tail),
            name: (!row.name.is_empty()).then_some(row.name),
            base_url: row.base_url,
            version: row.version,
            checked: row.checked,
            set_by: row.set_by,
            set_at: row.set_at,
        }
    }
}

/// What setting one takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCredential {
    kind: Kind,
    #[serde(default)]
    agent: Option<AgentId>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    base_url: Option<String>,
    value: SecretText,
}

impl NewCredential {
    fn typed(self) -> Result<Typed, BadCredential> {
        Ok(Typed {
            agent: self.agent,
            name: self.name.as_deref().map(VariableName::parse).transpose()?,
            base_url: self.base_url.as_deref().map(BaseUrl::parse).transpose()?,
            value: Value::parse(self.kind, &self.value)?,
        })
    }
}

pub(crate) async fn list(State(db): State<Db>, member: Member) -> Result<Json<Credentials>, Problem> {
    let mut tx = db.tenant_read(member.caller().tenant).await?;
    let rows = app::credentials::list(&mut tx).await?;
    Ok(Json(Credentials { credentials: rows.into_iter().map(CredentialView::from).collect() }))
}

pub(crate) async fn set(
    State(web): State<Web>,
    from: CameFrom,
    member: Member,
    body::Json(new): body::Json<NewCredential>,
) -> Result<(StatusCode, Json<CredentialView>), Problem> {
    let kept = checks::set(&web, from, &new.typed()?, member.caller()).await?;
    Ok((StatusCode::CREATED, Json(kept.into())))
}

pub(crate) async fn test(
    State(web): State<Web>,
    from: CameFrom,
    member: Member,
    At(id): At<id::Credential>,
) -> Result<Json<CredentialView>, Problem> {
    Ok(Json(checks::test(&web, from, id, member.caller()).await?.into()))
}

pub(crate) async fn remove(
    State(db): State<Db>,
    member: Member,
    At(id): At<id::Credential>,
) -> Result<StatusCode, Problem> {
    let mut tx = db.tenant(member.caller().tenant).await?;
    app::credentials::remove(&mut tx, id, member.caller()).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<BadCredential> for Problem {
    fn from(error: BadCredential) -> Self {
        let field = match error {
            BadCredential::Name | BadCredential::NameMissing => "name",
            BadCredential::Address => "base_url",
            BadCredential::Owner => "agent",
            _ => "value",
        };
        Self::unusable(field, sentence(&error))
    }
}

impl From<CredentialError> for Problem {
    fn from(error: CredentialError) -> Self {
        let words = sentence(&error);
        match error {
            CredentialError::Forbidden => Self::not_allowed(words),
            CredentialError::NoAgent | CredentialError::NotFound => Self::not_found(),
            CredentialError::Bad(error) => error.into(),
            CredentialError::TooMany => Self::conflict("too-many-variables", words),
            CredentialError::BotTaken => Self::conflict("bot-taken", words),
            CredentialError::Again => Self::conflict("changed-meanwhile", words),
            CredentialError::Keys(error) => error.into(),
            CredentialError::Store(error) => error.into(),
        }
    }
}
