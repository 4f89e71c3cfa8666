//! `/admin/tenants`: ids and counts, no names.

use askama::Template;
use axum::{extract::State, response::Response};
use http::StatusCode;
use store::tenant_views::TenantView;

use crate::{
    api::admin,
    body::Query,
    guard::Operator,
    pages::{
        self,
        admin::{Look, PAGE, ShortId, frame},
        frame::Frame,
        words::Moment,
    },
    problem::Problem,
    state::Web,
};

/// The page.
#[derive(Debug, Template)]
#[template(path = "admin/tenants.html")]
pub(crate) struct TenantsPage {
    frame: Frame,
    tab: &'static str,
    tenants: Vec<TenantLine>,
    next: Option<String>,
}

#[derive(Debug)]
struct TenantLine {
    id: ShortId,
    since: Moment,
    members: i64,
    machines: i64,
    alerts: i64,
    is_suspended: bool,
}

impl TenantsPage {
    pub(crate) fn new(rows: &[TenantView], next: Option<String>, look: Look<'_>) -> Self {
        let line = |row: &TenantView| TenantLine {
            id: ShortId::of(row.id),
            since: look.at(row.created_at),
            members: row.members,
            machines: row.machines,
            alerts: row.alerts,
            is_suspended: row.suspended_at.is_some(),
        };
        let frame = frame(look.by, "Tenants", String::new(), "berth");
        Self { frame, tab: "tenants", tenants: rows.iter().map(line).collect(), next }
    }
}

pub(crate) async fn show(State(web): State<Web>, operator: Operator, query: Query) -> Result<Response, Problem> {
    let after = admin::filter(&query, "after", "the id of a tenant")?;
    let mut tx = web.db.system().await?;
    let rows = store::tenant_views::list(&mut tx, (after, None), PAGE + 1).await?;
    drop(tx);
    let (rows, next) = admin::page(rows, PAGE, ("/admin/tenants", &query), |row| row.id);
    let look = Look { by: operator.caller(), now: web.dice.now() };
    pages::page(StatusCode::OK, &TenantsPage::new(&rows, next, look))
}
