//! `/tenants`: the tenants that somebody belongs to, and switching between them.

use askama::Template;
use axum::{extract::State, response::Response};
use domain::{id, people::Caller};
use http::StatusCode;
use store::members::Membership;

use crate::{
    body::At,
    guard::Member,
    pages::{self, frame::Frame},
    problem::Problem,
    state::Web,
};

/// The page.
#[derive(Debug, Template)]
#[template(path = "tenants.html")]
pub(crate) struct TenantsPage {
    frame: Frame,
    tenants: Vec<TenantLine>,
}

#[derive(Debug)]
struct TenantLine {
    id: String,
    name: String,
    role: &'static str,
    is_current: bool,
}

impl TenantsPage {
    pub(crate) fn new(by: &Caller, all: &[Membership]) -> Self {
        let line = |one: &Membership| TenantLine {
            id: one.tenant.to_string(),
            name: one.name.clone(),
            role: one.role.name(),
            is_current: one.tenant == by.tenant,
        };
        Self { frame: Frame::of(by, "tenants", "Your tenants"), tenants: all.iter().map(line).collect() }
    }
}

pub(crate) async fn show(State(web): State<Web>, member: Member) -> Result<Response, Problem> {
    let by = member.caller();
    let mut tx = web.db.system().await?;
    let all = store::members::tenants_of(&mut tx, by.user).await?;
    drop(tx);
    pages::page(StatusCode::OK, &TenantsPage::new(by, &all))
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
