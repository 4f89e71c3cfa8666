//! `/api/v1/tokens`: the caller's personal tokens in the tenant that they act for.

use app::tokens::{TokenError, Wish};
use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use domain::{TokenId, id};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use store::{Db, tokens::TokenRow};

use crate::{
    api::agents::sentence,
    body::{self, At},
    guard::Member,
    problem::Problem,
    state::Dice,
};

#[derive(Debug, Serialize)]
pub(crate) struct Tokens {
    tokens: Vec<TokenView>,
}

#[derive(Debug, Serialize)]
struct TokenView {
    id: TokenId,
    name: String,
    scopes: Vec<&'static str>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    last_used_at: Option<DateTime<Utc>>,
    is_expired: bool,
}

impl From<TokenRow> for TokenView {
    fn from(row: TokenRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            scopes: row.scopes.words().collect(),
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            is_expired: row.is_expired,
        }
    }
}

/// What issuing takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    name: String,
    scopes: Vec<String>,
    #[serde(deserialize_with = "body::whole_number")]
    days: u32,
}

#[derive(Serialize)]
pub(crate) struct IssuedToken {
    id: TokenId,
    token: String,
}

pub(crate) async fn list(State(db): State<Db>, member: Member) -> Result<Json<Tokens>, Problem> {
    let by = member.caller();
    let mut tx = db.system().await?;
    let rows = store::tokens::list(&mut tx, by.user, by.tenant).await?;
    Ok(Json(Tokens { tokens: rows.into_iter().map(TokenView::from).collect() }))
}

pub(crate) async fn issue(
    State(db): State<Db>,
    State(dice): State<Dice>,
    member: Member,
    body::Json(new): body::Json<NewToken>,
) -> Result<(StatusCode, Json<IssuedToken>), Problem> {
    let wish = Wish { name: &new.name, scopes: new.scopes.iter().map(String::as_str).collect(), days: new.days };
    let mut tx = db.system().await?;
    let (id, token) = app::tokens::issue(&mut tx, &*dice.0, &wish, member.caller()).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(IssuedToken { id, token: token.expose().to_owned() })))
}

pub(crate) async fn revoke(State(db): State<Db>, member: Member, At(id): At<id::Token>) -> Result<StatusCode, Problem> {
    let mut tx = db.system().await?;
    app::tokens::revoke(&mut tx, id, member.caller()).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let words = sentence(&error);
        match error {
            TokenError::Name => Self::unusable("name", words),
            TokenError::Days => Self::unusable("days", words),
            TokenError::Scopes => Self::unusable("scopes", words),
            TokenError::Factor => Self { slug: "second-factor", ..Self::not_allowed(words) },
            TokenError::TooWide => Self { slug: "scope", ..Self::not_allowed(words) },
            TokenError::TooMany => Self::conflict("too-many-tokens", words),
            TokenError::NotFound => Self::not_found(),
            TokenError::Store(error) => error.into(),
        }
    }
}
