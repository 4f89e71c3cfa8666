//! `/api/v1/me`

use app::accounts::AccountError;
use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use domain::{TenantId, UserId};
use serde::Serialize;
use store::Db;

use crate::{
    api::{agents::sentence, view::MeView},
    guard::{Member, Person},
    problem::Problem,
    state::Dice,
};

pub(crate) async fn show(member: Member) -> Json<MeView> {
    Json(member.caller().into())
}

/// As in the schema `ErasedAccount`.
#[derive(Debug, Serialize)]
pub(crate) struct Erased {
    user: UserId,
    left: Vec<TenantId>,
    ending: Vec<Ending>,
}

#[derive(Debug, Serialize)]
struct Ending {
    tenant: TenantId,
    erase_after: DateTime<Utc>,
}

pub(crate) async fn erase(
    State(db): State<Db>,
    State(dice): State<Dice>,
    person: Person,
) -> Result<Json<Erased>, Problem> {
    let by = person.caller();
    let done = app::accounts::erase(db.system().await?, &*dice.0, by).await?;
    let ending = done.ending.into_iter().map(|(tenant, erase_after)| Ending { tenant, erase_after });
    Ok(Json(Erased { user: by.user, left: done.left, ending: ending.collect() }))
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        let words = sentence(&error);
        match error {
            AccountError::LastOwner(_) => Self::conflict("last-owner", words),
            AccountError::LastOperator => Self::conflict("last-operator", words),
            AccountError::Tenant(error) => error.into(),
            AccountError::Store(error) => error.into(),
        }
    }
}
