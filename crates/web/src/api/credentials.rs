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
use serde::{Deserialize, Deserializer, Serialize};
use store::{Db, credentials::Credential};
use vault::{Imported, Rounds, Secret};

use crate::{
    api::agents::sentence,
    body::{self, At},
    checks::{self, Brought, BroughtValue},
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

/// What setting one takes: a value, or one that another program sealed.
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
    #[serde(default, deserialize_with = "there")]
    value: Option<SecretText>,
    #[serde(default, deserialize_with = "there")]
    imported: Option<NewImported>,
}

/// A value as another program sealed it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewImported {
    form: Form,
    text: SecretText,
    passphrase: SecretText,
    #[serde(default, deserialize_with = "rounds_there")]
    rounds: Option<u32>,
}

/// In which of the two forms that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    Gcm,
    Openssl,
}

/// A field that may be left out and is not null.
fn there<'d, T: Deserialize<'d>, D: Deserializer<'d>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn rounds_there<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    body::whole_number(deserializer).map(Some)
}

impl NewCredential {
    fn brought(self) -> Result<Brought, Problem> {
        let value = match (self.value, self.imported) {
            (Some(value), None) => BroughtValue::Typed(Value::parse(self.kind, &value)?),
            (None, Some(imported)) => imported.read()?,
            _ => return Err(Problem::unusable("value", "Give `value` or `imported`, one of the two.")),
        };
        Ok(Brought {
            kind: self.kind,
            agent: self.agent,
            name: self.name.as_deref().map(VariableName::parse).transpose()?,
            base_url: self.base_url.as_deref().map(BaseUrl::parse).transpose()?,
            value,
        })
    }
}

impl NewImported {
    fn read(self) -> Result<BroughtValue, Problem> {
        let rounds = self.rounds.map(Rounds::new).transpose();
        let rounds = rounds.map_err(|error| Problem::unusable("imported.rounds", sentence(&error)))?;
        let imported = match (self.form, rounds) {
            (Form::Gcm, None) => Imported::gcm(self.text.expose()),
            (Form::Gcm, Some(_)) => {
                let detail = "The form `gcm` has 100000 rounds always: leave `rounds` out.";
                return Err(Problem::unusable("imported.rounds", detail));
            }
            (Form::Openssl, rounds) => Imported::openssl(self.text.expose(), rounds.unwrap_or(Rounds::OPENSSL)),
        };
        let imported = imported.map_err(|error| {
            let slug = "malformed-import";
            Problem { slug, ..Problem::unusable("imported", sentence(&error)) }
        })?;
        Ok(BroughtValue::Imported(imported, Secret::new(self.passphrase.expose().as_bytes().to_vec())))
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
    let kept = checks::set(&web, from, new.brought()?, member.caller()).await?;
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
