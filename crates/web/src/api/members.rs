//! `/api/v1/members`, `/api/v1/invitations`, `/api/v1/tenants`: who belongs where.

use app::members::MemberError;
use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use domain::{InvitationId, MemberId, TenantId, UserId, id, names::Email, people::Role};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use store::{Db, members};

use crate::{
    api::agents::sentence,
    body::{self, At},
    guard::Member,
    problem::Problem,
    state::Dice,
};

#[derive(Debug, Serialize)]
pub(crate) struct Tenants {
    tenants: Vec<TenantView>,
}

#[derive(Debug, Serialize)]
struct TenantView {
    id: TenantId,
    name: String,
    role: &'static str,
    is_current: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Members {
    members: Vec<MemberView>,
    invitations: Vec<InvitationView>,
}

/// A member.
#[derive(Debug, Serialize)]
pub(crate) struct MemberView {
    id: MemberId,
    user: UserId,
    email: String,
    role: &'static str,
    since: DateTime<Utc>,
}

#[derive(Debug, Serialize)]
struct InvitationView {
    id: InvitationId,
    email: String,
    role: &'static str,
    invited_by: String,
    mail: Option<String>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl From<members::Member> for MemberView {
    fn from(m: members::Member) -> Self {
        Self { id: m.id, user: m.user, email: m.email, role: m.role.name(), since: m.since }
    }
}

/// What inviting takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMember {
    email: String,
    role: Role,
}

/// What changing a role takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRole {
    role: Role,
}

#[derive(Debug, Serialize)]
pub(crate) struct Invited {
    id: InvitationId,
}

pub(crate) async fn tenants(State(db): State<Db>, member: Member) -> Result<Json<Tenants>, Problem> {
    let by = member.caller();
    let mut tx = db.system().await?;
    let all = members::tenants_of(&mut tx, by.user).await?;
    let view = |one: members::Membership| TenantView {
        is_current: one.tenant == by.tenant,
        id: one.tenant,
        name: one.name,
        role: one.role.name(),
    };
    Ok(Json(Tenants { tenants: all.into_iter().map(view).collect() }))
}

pub(crate) async fn list(State(db): State<Db>, member: Member) -> Result<Json<Members>, Problem> {
    let tenant = member.caller().tenant;
    let mut tx = db.system().await?;
    let (all, invited) = (members::list(&mut tx, tenant).await?, members::invitations(&mut tx, tenant).await?);
    let asked = |i: members::Invitation| InvitationView {
        id: i.id,
        email: i.email.as_str().to_owned(),
        role: i.role.name(),
        invited_by: i.invited_by,
        mail: i.mail,
        created_at: i.created_at,
        expires_at: i.expires_at,
    };
    Ok(Json(Members {
        members: all.into_iter().map(MemberView::from).collect(),
        invitations: invited.into_iter().map(asked).collect(),
    }))
}

pub(crate) async fn invite(
    State(db): State<Db>,
    State(dice): State<Dice>,
    member: Member,
    body::Json(new): body::Json<NewMember>,
) -> Result<(StatusCode, Json<Invited>), Problem> {
    let email = Email::parse(&new.email).map_err(|error| Problem::unusable("email", sentence(&error)))?;
    let mut tx = db.system().await?;
    let id = app::members::invite(&mut tx, &*dice.0, (&email, new.role), member.caller()).await?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(Invited { id })))
}

pub(crate) async fn take_back(
    State(db): State<Db>,
    member: Member,
    At(id): At<id::Invitation>,
) -> Result<StatusCode, Problem> {
    let mut tx = db.system().await?;
    app::members::take_back(&mut tx, id, member.caller()).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn change_role(
    State(db): State<Db>,
    member: Member,
    At(id): At<id::Member>,
    body::Json(new): body::Json<NewRole>,
) -> Result<StatusCode, Problem> {
    let mut tx = db.system().await?;
    app::members::change_role(&mut tx, id, new.role, member.caller()).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn remove(
    State(db): State<Db>,
    member: Member,
    At(id): At<id::Member>,
) -> Result<StatusCode, Problem> {
    let mut tx = db.system().await?;
    app::members::remove(&mut tx, id, member.caller()).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn hand_over(
    State(db): State<Db>,
    member: Member,
    At(id): At<id::Member>,
) -> Result<StatusCode, Problem> {
    let mut tx = db.system().await?;
    app::members::hand_over(&mut tx, id, member.caller()).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn leave(State(db): State<Db>, member: Member) -> Result<StatusCode, Problem> {
    let mut tx = db.system().await?;
    app::members::leave(&mut tx, member.caller()).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<MemberError> for Problem {
    fn from(error: MemberError) -> Self {
        let words = sentence(&error);
        match error {
            MemberError::NotFound => Self::not_found(),
            MemberError::Forbidden => Self::not_allowed(words),
            MemberError::Suspended(why) => Self::suspended("Your account", &why),
            MemberError::NoSession => Self::conflict("no-session", words),
            MemberError::LastOwner => Self::conflict("last-owner", words),
            MemberError::IsMember => Self { field: Some("email"), ..Self::conflict("is-member", words) },
            MemberError::OwnerInvited => Self::unusable("role", words),
            MemberError::TooMany => Self::conflict("too-many-invitations", words),
            MemberError::SignInFirst => Self::conflict("sign-in-first", words),
            MemberError::Closed => Self::new(StatusCode::GONE, "invitation-closed", words),
            MemberError::Store(error) => error.into(),
        }
    }
}
