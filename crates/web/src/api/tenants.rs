//! `/api/v1/tenants/{id}`: the end of a tenant.

use app::tenants::TenantError;
use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use domain::{TenantId, id};
use http::StatusCode;
use serde::Serialize;
use store::Db;

use crate::{api::agents::sentence, body::At, guard::Member, problem::Problem, state::Dice};

#[derive(Debug, Serialize)]
pub(crate) struct Erasure {
    tenant: TenantId,
    erase_after: DateTime<Utc>,
}

pub(crate) async fn erase(
    State(db): State<Db>,
    State(dice): State<Dice>,
    member: Member,
    At(tenant): At<id::Tenant>,
) -> Result<(StatusCode, Json<Erasure>), Problem> {
    own(&member, tenant)?;
    let tx = db.system().await?;
    let erase_after = app::tenants::erase(tx, &*dice.0, member.caller()).await?;
    Ok((StatusCode::ACCEPTED, Json(Erasure { tenant, erase_after })))
}

pub(crate) async fn keep(
    State(db): State<Db>,
    member: Member,
    At(tenant): At<id::Tenant>,
) -> Result<StatusCode, Problem> {
    own(&member, tenant)?;
    let mut tx = db.system().await?;
    app::tenants::keep(&mut tx, member.caller()).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whoever calls acts for one tenant; every other one is not there.
fn own(member: &Member, tenant: TenantId) -> Result<(), Problem> {
    if member.caller().tenant == tenant { Ok(()) } else { Err(Problem::not_found()) }
}

impl From<TenantError> for Problem {
    fn from(error: TenantError) -> Self {
        let words = sentence(&error);
        match error {
            TenantError::Forbidden => Self::not_allowed(words),
            TenantError::Wanted => Self::conflict("erasure-wanted", words),
            TenantError::NotWanted => Self::conflict("erasure-not-wanted", words),
            TenantError::Store(error) => error.into(),
        }
    }
}
