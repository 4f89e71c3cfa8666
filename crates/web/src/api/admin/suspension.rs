//! `/api/admin/v1/…/suspension`: out of service and back.

use app::suspension::{self, SuspendError};
use axum::extract::State;
use domain::{id, operators::Reason};
use http::StatusCode;
use store::Db;

use crate::{
    api::{admin::tenants::ReasonToRead, agents::sentence},
    body::{self, At},
    guard::Operator,
    problem::Problem,
};

pub(crate) async fn tenant(
    State(db): State<Db>,
    by: Operator,
    At(id): At<id::Tenant>,
    body::Json(why): body::Json<ReasonToRead>,
) -> Result<StatusCode, Problem> {
    suspension::suspend_tenant(db.system().await?, id, &reason(&why)?, by.caller()).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn restore_tenant(
    State(db): State<Db>,
    by: Operator,
    At(id): At<id::Tenant>,
) -> Result<StatusCode, Problem> {
    suspension::restore_tenant(db.system().await?, id, by.caller()).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn user(
    State(db): State<Db>,
    by: Operator,
    At(id): At<id::User>,
    body::Json(why): body::Json<ReasonToRead>,
) -> Result<StatusCode, Problem> {
    suspension::suspend_user(db.system().await?, id, &reason(&why)?, by.caller()).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn restore_user(
    State(db): State<Db>,
    by: Operator,
    At(id): At<id::User>,
) -> Result<StatusCode, Problem> {
    suspension::restore_user(db.system().await?, id, by.caller()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn reason(why: &ReasonToRead) -> Result<Reason, Problem> {
    Reason::parse(&why.reason).map_err(|error| Problem::unusable("reason", sentence(&error)))
}

impl From<SuspendError> for Problem {
    fn from(error: SuspendError) -> Self {
        match error {
            SuspendError::NotFound => Self::not_found(),
            SuspendError::Forbidden => Self::not_allowed(sentence(&error)),
            SuspendError::Oneself => Self::conflict("oneself", sentence(&error)),
            SuspendError::Store(error) => error.into(),
        }
    }
}
