//! `/team`: who belongs to the tenant, who is invited, and what may be changed about it.

use app::members::MemberError;
use askama::Template;
use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use domain::{
    id,
    names::Email,
    people::{Caller, Role},
};
use http::StatusCode;
use store::members::{Invitation, Member as Row};

use crate::{
    api::agents::sentence,
    body::{At, Form},
    guard::Member,
    pages::{self, frame::Frame, words::Moment},
    problem::Problem,
    state::Web,
};

/// The page.
#[derive(Debug, Template)]
#[template(path = "team.html")]
pub(crate) struct TeamPage {
    frame: Frame,
    tenant: String,
    may_manage: bool,
    may_hand_over: bool,
    members: Vec<MemberLine>,
    invitations: Vec<InvitationLine>,
    /// Roles that somebody may be invited with; the usual one is marked.
    roles: Vec<(&'static str, bool)>,
    typed: String,
    invite_fault: Option<String>,
    fault: Option<String>,
}

#[derive(Debug)]
struct MemberLine {
    id: String,
    email: String,
    role: &'static str,
    since: Moment,
    is_you: bool,
    /// Roles that the reader may give them; empty: none of the reader's business.
    roles: Vec<(&'static str, bool)>,
}

#[derive(Debug)]
struct InvitationLine {
    id: String,
    email: String,
    role: &'static str,
    by: String,
    mail: String,
    expires: Moment,
    is_over: bool,
}

impl TeamPage {
    pub(crate) fn new(by: &Caller, members: &[Row], invitations: &[Invitation], now: DateTime<Utc>) -> Self {
        let may_manage = by.role >= Role::Admin;
        let upto = |most: Role| Role::EVERY.into_iter().filter(move |role| *role <= most);
        let line = |row: &Row| MemberLine {
            id: row.id.to_string(),
            email: row.email.clone(),
            role: row.role.name(),
            since: Moment::new(row.since, now),
            is_you: row.user == by.user,
            roles: if may_manage && row.role <= by.role {
                upto(by.role).map(|role| (role.name(), role == row.role)).collect()
            } else {
                Vec::new()
            },
        };
        let invited = |row: &Invitation| InvitationLine {
            id: row.id.to_string(),
            email: row.email.as_str().to_owned(),
            role: row.role.name(),
            by: row.invited_by.clone(),
            mail: row.mail.clone().unwrap_or_else(|| "on its way".to_owned()),
            expires: Moment::new(row.expires_at, now),
            is_over: row.expires_at <= now,
        };
        Self {
            frame: Frame::of(by, "team", "Team"),
            tenant: by.tenant_name.clone(),
            may_manage,
            may_hand_over: by.role == Role::Owner,
            members: members.iter().map(line).collect(),
            invitations: invitations.iter().map(invited).collect(),
            roles: upto(by.role.min(Role::Admin)).map(|role| (role.name(), role == Role::Member)).collect(),
            typed: String::new(),
            invite_fault: None,
            fault: None,
        }
    }

    /// The invitation form as it was filled in, with what is wrong with it.
    pub(crate) fn not_invited(self, typed: &str, fault: String) -> Self {
        Self { typed: typed.chars().take(254).collect(), invite_fault: Some(fault), ..self }
    }

    /// With a sentence on top: what was asked was not done.
    pub(crate) fn refused(self, fault: String) -> Self {
        Self { fault: Some(fault), ..self }
    }
}

pub(crate) async fn show(State(web): State<Web>, member: Member) -> Result<Response, Problem> {
    pages::page(StatusCode::OK, &read(&web, member.caller()).await?)
}

pub(crate) async fn invite(State(web): State<Web>, member: Member, form: Form) -> Result<Response, Problem> {
    let (by, typed) = (member.caller(), form.field("email"));
    let email = match Email::parse(typed) {
        Ok(email) => email,
        Err(error) => {
            let page = read(&web, by).await?.not_invited(typed, sentence(&error));
            return pages::page(StatusCode::UNPROCESSABLE_ENTITY, &page);
        }
    };
    let role = role(&form)?;
    let mut tx = web.db.system().await?;
    match app::members::invite(&mut tx, &*web.dice.0, (&email, role), by).await {
        Ok(_) => {
            tx.commit().await?;
            Ok(pages::see_other("/team#invitations"))
        }
        Err(error @ (MemberError::IsMember | MemberError::TooMany | MemberError::OwnerInvited)) => {
            drop(tx);
            let page = read(&web, by).await?.not_invited(typed, sentence(&error));
            pages::page(StatusCode::CONFLICT, &page)
        }
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn take_back(
    State(web): State<Web>,
    member: Member,
    At(id): At<id::Invitation>,
) -> Result<Response, Problem> {
    let mut tx = web.db.system().await?;
    app::members::take_back(&mut tx, id, member.caller()).await?;
    tx.commit().await?;
    Ok(pages::see_other("/team#invitations"))
}

pub(crate) async fn change_role(
    State(web): State<Web>,
    member: Member,
    At(id): At<id::Member>,
    form: Form,
) -> Result<Response, Problem> {
    let role = role(&form)?;
    let mut tx = web.db.system().await?;
    let done = app::members::change_role(&mut tx, id, role, member.caller()).await;
    finish(&web, &member, (tx, done), "/team").await
}

/// Removes a member, if their own address was typed.
pub(crate) async fn remove(
    State(web): State<Web>,
    member: Member,
    At(id): At<id::Member>,
    form: Form,
) -> Result<Response, Problem> {
    if let Some(fault) = not_named(&web, &member, (id, &form), "removed").await? {
        return Ok(fault);
    }
    let mut tx = web.db.system().await?;
    let done = app::members::remove(&mut tx, id, member.caller()).await;
    finish(&web, &member, (tx, done), "/team").await
}

/// Hands the ownership over, if the new owner's address was typed.
pub(crate) async fn hand_over(
    State(web): State<Web>,
    member: Member,
    At(id): At<id::Member>,
    form: Form,
) -> Result<Response, Problem> {
    if let Some(fault) = not_named(&web, &member, (id, &form), "handed over").await? {
        return Ok(fault);
    }
    let mut tx = web.db.system().await?;
    let done = app::members::hand_over(&mut tx, id, member.caller()).await;
    finish(&web, &member, (tx, done), "/team").await
}

/// Leaves, if the tenant's name was typed.
pub(crate) async fn leave(State(web): State<Web>, member: Member, form: Form) -> Result<Response, Problem> {
    let by = member.caller();
    if form.field("name").trim() != by.tenant_name {
        let fault = format!("That is not its name, so you did not leave. Type {} to leave it.", by.tenant_name);
        return pages::page(StatusCode::UNPROCESSABLE_ENTITY, &read(&web, by).await?.refused(fault));
    }
    let mut tx = web.db.system().await?;
    let done = app::members::leave(&mut tx, by).await;
    finish(&web, &member, (tx, done), "/dashboard").await
}

async fn finish(
    web: &Web,
    member: &Member,
    (tx, done): (store::SystemTx, Result<(), MemberError>),
    next: &str,
) -> Result<Response, Problem> {
    match done {
        Ok(()) => {
            tx.commit().await?;
            Ok(pages::see_other(next))
        }
        Err(error @ MemberError::LastOwner) => {
            drop(tx);
            let page = read(web, member.caller()).await?.refused(sentence(&error));
            pages::page(StatusCode::CONFLICT, &page)
        }
        Err(error) => Err(error.into()),
    }
}

/// The page again, unless the member's own address was typed.
async fn not_named(
    web: &Web,
    member: &Member,
    (id, form): (domain::MemberId, &Form),
    done: &str,
) -> Result<Option<Response>, Problem> {
    let by = member.caller();
    let mut tx = web.db.system().await?;
    let all = store::members::list(&mut tx, by.tenant).await?;
    drop(tx);
    let one = all.iter().find(|one| one.id == id).ok_or_else(Problem::not_found)?;
    if form.field("email").trim().eq_ignore_ascii_case(&one.email) {
        return Ok(None);
    }
    let fault = format!("That is not their address, so nothing was {done}. Type {}.", one.email);
    pages::page(StatusCode::UNPROCESSABLE_ENTITY, &read(web, by).await?.refused(fault)).map(Some)
}

fn role(form: &Form) -> Result<Role, Problem> {
    let wanted = || Problem::unusable("role", "Choose a role: viewer, member, admin or owner.");
    Role::parse(form.field("role")).ok_or_else(wanted)
}

async fn read(web: &Web, by: &Caller) -> Result<TeamPage, Problem> {
    let mut tx = web.db.system().await?;
    let members = store::members::list(&mut tx, by.tenant).await?;
    let invitations = store::members::invitations(&mut tx, by.tenant).await?;
    Ok(TeamPage::new(by, &members, &invitations, web.dice.now()))
}
