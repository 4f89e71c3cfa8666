//! `/tenants`: the tenants that somebody belongs to, and switching between them.

use askama::Template;
use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use domain::{
    id,
    people::{Caller, Role},
};
use http::StatusCode;
use store::members::Membership;

use crate::{
    body::{At, Form},
    guard::Member,
    pages::{self, frame::Frame, words::Moment},
    problem::Problem,
    state::Web,
};

/// The page.
#[derive(Debug, Template)]
#[template(path = "tenants.html")]
pub(crate) struct TenantsPage {
    frame: Frame,
    tenants: Vec<TenantLine>,
    /// The tenant that the browser acts for, if the reader owns it.
    owned: Option<Owned>,
    fault: Option<String>,
}

#[derive(Debug)]
struct Owned {
    id: String,
    name: String,
    erase_after: Option<Moment>,
}

#[derive(Debug)]
struct TenantLine {
    id: String,
    name: String,
    role: &'static str,
    is_current: bool,
}

impl TenantsPage {
    pub(crate) fn new(by: &Caller, all: &[Membership], erase_after: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Self {
        let line = |one: &Membership| TenantLine {
            id: one.tenant.to_string(),
            name: one.name.clone(),
            role: one.role.name(),
            is_current: one.tenant == by.tenant,
        };
        let owned = (by.role == Role::Owner).then(|| Owned {
            id: by.tenant.to_string(),
            name: by.tenant_name.clone(),
            erase_after: erase_after.map(|at| Moment::new(at, now)),
        });
        let frame = Frame::of(by, "tenants", "Your tenants");
        Self { frame, tenants: all.iter().map(line).collect(), owned, fault: None }
    }

    /// With what was not done, and why.
    pub(crate) fn refused(self, fault: String) -> Self {
        Self { fault: Some(fault), ..self }
    }
}

pub(crate) async fn show(State(web): State<Web>, member: Member) -> Result<Response, Problem> {
    pages::page(StatusCode::OK, &read(&web, member.caller()).await?)
}

/// Has the tenant erased, if its name was typed.
pub(crate) async fn erase(
    State(web): State<Web>,
    member: Member,
    At(tenant): At<id::Tenant>,
    form: Form,
) -> Result<Response, Problem> {
    let by = member.caller();
    if tenant != by.tenant {
        return Err(Problem::not_found());
    }
    if form.field("name").trim() != by.tenant_name {
        let fault = format!("That is not its name, so nothing will be erased. Type {} to erase it.", by.tenant_name);
        return pages::page(StatusCode::UNPROCESSABLE_ENTITY, &read(&web, by).await?.refused(fault));
    }
    let tx = web.db.system().await?;
    app::tenants::erase(tx, &*web.dice.0, by).await?;
    Ok(pages::see_other("/tenants"))
}

pub(crate) async fn keep(
    State(web): State<Web>,
    member: Member,
    At(tenant): At<id::Tenant>,
) -> Result<Response, Problem> {
    if tenant != member.caller().tenant {
        return Err(Problem::not_found());
    }
    let mut tx = web.db.system().await?;
    app::tenants::keep(&mut tx, member.caller()).await?;
    tx.commit().await?;
    Ok(pages::see_other("/tenants"))
}

async fn read(web: &Web, by: &Caller) -> Result<TenantsPage, Problem> {
    let mut tx = web.db.system().await?;
    let all = store::members::tenants_of(&mut tx, by.user).await?;
    let erase_after = store::tenants::erasure(&mut tx, by.tenant).await?.flatten();
    Ok(TenantsPage::new(by, &all, erase_after, web.dice.now()))
}

pub(crate) async fn switch(
    State(web): State<Web>,
    member: Member,
    At(tenant): At<id::Tenant>,
) -> Result<Response, Problem> {
    let mut tx = web.db.system().await?;
    app::members::switch(&mut tx, tenant, member.caller()).await?;
    tx.commit().await?;
    Ok(pages::see_other("/dashboard"))
}
