//! `/api/admin/v1/invites`

use app::invites::{InviteError, Wish};
use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use domain::{InviteId, id, plan::PlanName};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use store::{
    Db,
    invites::{Gift, Invite, InviteFilter},
};

use crate::{
    api::{
        admin::{self, Listed},
        agents::sentence,
    },
    body::{self, At, Query},
    guard::Operator,
    problem::Problem,
    state::Web,
};

#[derive(Debug, Serialize)]
pub(crate) struct Invites {
    invites: Vec<InviteLine>,
}

#[derive(Debug, Serialize)]
struct InviteLine {
    id: InviteId,
    batch: String,
    note: String,
    made_by: String,
    uses_max: u32,
    uses: u32,
    users: Vec<String>,
    open: bool,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    revoked_at: Option<DateTime<Utc>>,
    /// The plan that who comes by it is given, and for how many days; for good without.
    plan: Option<String>,
    gift_days: Option<u16>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    #[serde(default = "one", deserialize_with = "body::whole_number")]
    codes: u32,
    #[serde(default = "one", deserialize_with = "body::whole_number")]
    uses: u32,
    #[serde(default = "fortnight", deserialize_with = "body::whole_number")]
    days: u32,
    #[serde(default)]
    note: String,
    plan: Option<String>,
    #[serde(default, deserialize_with = "body::maybe_whole_number")]
    gift_days: Option<u32>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Made {
    invites: Vec<MadeLine>,
}

#[derive(Debug, Serialize)]
struct MadeLine {
    id: InviteId,
    code: String,
}

const fn one() -> u32 {
    1
}

const fn fortnight() -> u32 {
    app::invites::MAILED_DAYS
}

/// Which invites a list shows.
pub(crate) fn filter(query: &Query) -> Result<InviteFilter, Problem> {
    Ok(InviteFilter {
        after: admin::filter(query, "after", "the id of an invite")?,
        only: admin::filter(query, "id", "the id of an invite")?,
        open: admin::yes_or_no(query, "open")?,
    })
}

pub(crate) async fn list(State(db): State<Db>, _: Operator, query: Query) -> Result<Json<Listed<Invites>>, Problem> {
    let (limit, filter) = (admin::limit(&query)?, filter(&query)?);
    let mut tx = db.system().await?;
    let rows = store::invites::list(&mut tx, filter, limit + 1).await?;
    let (rows, next) = admin::page(rows, limit, ("/api/admin/v1/invites", &query), |invite| invite.id);
    Ok(Json(Listed { entries: Invites { invites: rows.into_iter().map(InviteLine::from).collect() }, next }))
}

pub(crate) async fn make(
    State(web): State<Web>,
    by: Operator,
    body::Json(asked): body::Json<Asked>,
) -> Result<(StatusCode, Json<Made>), Problem> {
    let gift = gift(asked.plan.as_deref(), asked.gift_days)?;
    let wish = Wish { codes: asked.codes, uses: asked.uses, days: asked.days, note: &asked.note, gift: gift.as_ref() };
    let mut tx = web.db.system().await?;
    let made = app::invites::make(&mut tx, &*web.dice.0, &web.ring, &wish, by.caller()).await?;
    tx.commit().await?;
    let invites = made.into_iter().map(|(id, code)| MadeLine { id, code: code.shown() }).collect();
    Ok((StatusCode::CREATED, Json(Made { invites })))
}

pub(crate) async fn revoke(State(db): State<Db>, by: Operator, At(id): At<id::Invite>) -> Result<StatusCode, Problem> {
    let mut tx = db.system().await?;
    if !app::invites::revoke(&mut tx, id, by.caller()).await? {
        return Err(Problem::not_found());
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is given along, as it was asked for. Days of nothing are refused.
pub(crate) fn gift(plan: Option<&str>, days: Option<u32>) -> Result<Option<Gift>, InviteError> {
    let Some(plan) = plan else { return if days.is_none() { Ok(None) } else { Err(InviteError::Plan) } };
    let plan = PlanName::parse(plan).map_err(|_| InviteError::Plan)?;
    let days = days.map(|days| u16::try_from(days).map_err(|_| InviteError::GiftDays)).transpose()?;
    Ok(Some(Gift { plan, days }))
}

impl From<Invite> for InviteLine {
    fn from(invite: Invite) -> Self {
        Self {
            id: invite.id,
            batch: invite.batch.to_string(),
            note: invite.note,
            made_by: invite.made_by,
            uses_max: invite.uses_max,
            uses: invite.uses,
            users: invite.users,
            open: invite.is_open,
            created_at: invite.created_at,
            expires_at: invite.expires_at,
            revoked_at: invite.revoked_at,
            gift_days: invite.gift.as_ref().and_then(|gift| gift.days),
            plan: invite.gift.map(|gift| gift.plan.into()),
        }
    }
}

impl From<InviteError> for Problem {
    fn from(error: InviteError) -> Self {
        match (error.field(), error) {
            (_, InviteError::Keys(error)) => error.into(),
            (_, InviteError::Store(error)) => error.into(),
            (Some(field), error) => Self::unusable(field, sentence(&error)),
            (None, error) => Self::conflict("not-waiting", sentence(&error)),
        }
    }
}
