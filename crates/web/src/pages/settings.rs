//! `/settings`: who you are, and how programs sign in.

use std::sync::Arc;

use askama::Template;
use axum::{extract::State, response::Response};
use domain::people::Caller;
use http::StatusCode;

use crate::{
    guard::Member,
    pages::{self, frame::Frame},
    problem::Problem,
    state::Site,
};

/// The page.
#[derive(Debug, Template)]
#[template(path = "settings.html")]
pub struct SettingsPage {
    frame: Frame,
    email: String,
    tenant: String,
    role: &'static str,
    operator: bool,
    user_id: String,
    tenant_id: String,
    base: String,
}

impl SettingsPage {
    /// `base` is where people reach Berth.
    #[must_use]
    pub fn new(caller: &Caller, base: &str) -> Self {
        Self {
            frame: Frame::of(caller, "settings", "Settings"),
            email: caller.email.as_str().to_owned(),
            tenant: caller.tenant_name.clone(),
            role: caller.role.name(),
            operator: caller.is_operator,
            user_id: caller.user.to_string(),
            tenant_id: caller.tenant.to_string(),
            base: base.to_owned(),
        }
    }
}

pub(crate) async fn show(State(site): State<Arc<Site>>, member: Member) -> Result<Response, Problem> {
    pages::page(StatusCode::OK, &SettingsPage::new(member.caller(), &site.address("")))
}
