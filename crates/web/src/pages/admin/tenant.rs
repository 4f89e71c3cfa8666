//! `/admin/tenants/{id}`: one tenant, and its data for a reason that the tenant reads.

use askama::Template;
use axum::{extract::State, response::Response};
use domain::{agent::Agent, id, operators::Reason, plan::Plan};
use http::StatusCode;
use store::{billing::Account, members::Member, tenant_views::TenantView};

use crate::{
    api::{
        admin::tenants::{Shown, data_of},
        agents::sentence,
    },
    body::{At, Form},
    guard::Operator,
    pages::{
        self,
        admin::{
            Look,
            credentials::{DataKeyLine, FingerprintLine},
            frame,
            gifts::Pays,
        },
        frame::Frame,
        words::{self, Moment},
    },
    problem::Problem,
    state::Web,
};

/// The page.
#[derive(Debug, Template)]
#[template(path = "admin/tenant.html")]
pub(crate) struct TenantPage {
    frame: Frame,
    tab: &'static str,
    id: String,
    since: Moment,
    members: i64,
    machines: i64,
    alerts: i64,
    suspended: Option<(Moment, String)>,
    reason: String,
    fault: Option<String>,
    why: String,
    why_fault: Option<String>,
    data: Option<Data>,
    pays: Pays,
}

/// What is known of one tenant without a reason.
#[derive(Debug)]
pub(crate) struct One {
    pub(crate) row: TenantView,
    pub(crate) account: Account,
    pub(crate) plans: Vec<Plan>,
}

/// What is shown for a reason.
#[derive(Debug)]
struct Data {
    members: Vec<(String, &'static str, Moment)>,
    agents: Vec<(String, String, &'static str, &'static str)>,
    credentials: Vec<FingerprintLine>,
    key: Option<DataKeyLine>,
}

impl TenantPage {
    pub(crate) fn new(one: &One, look: Look<'_>) -> Self {
        let row = &one.row;
        Self {
            frame: frame(look.by, "Tenant", String::new(), "berth"),
            tab: "tenants",
            id: row.id.to_string(),
            since: look.at(row.created_at),
            members: row.members,
            machines: row.machines,
            alerts: row.alerts,
            suspended: row.suspended_at.map(|at| (look.at(at), row.suspended_why.clone().unwrap_or_default())),
            reason: String::new(),
            fault: None,
            why: String::new(),
            why_fault: None,
            data: None,
            pays: Pays::of(&one.account, &one.plans),
        }
    }

    /// With the tenant's data.
    pub(crate) fn showing(self, shown: &Shown, reason: &str, look: Look<'_>) -> Self {
        let member = |m: &Member| (m.email.clone(), m.role.name(), look.at(m.since));
        let agent = |a: &Agent| (a.id.to_string(), a.name.as_str().to_owned(), words::tone(&a.seen), a.seen.name());
        let line = |row| FingerprintLine::of(row, &shown.members, look);
        let data = Data {
            members: shown.members.iter().map(member).collect(),
            agents: shown.agents.iter().map(agent).collect(),
            credentials: shown.credentials.iter().map(line).collect(),
            key: shown.data_key.as_ref().map(|key| DataKeyLine::of(key, look)),
        };
        Self { data: Some(data), reason: reason.to_owned(), ..self }
    }

    /// With what is wrong with the reason for suspending it.
    pub(crate) fn not_suspended(self, typed: &str, fault: String) -> Self {
        Self { why: typed.chars().take(300).collect(), why_fault: Some(fault), ..self }
    }

    /// With what is wrong with the reason for reading.
    pub(crate) fn refused(self, typed: &str, fault: String) -> Self {
        Self { reason: typed.chars().take(300).collect(), fault: Some(fault), ..self }
    }
}

pub(crate) async fn show(
    State(web): State<Web>,
    operator: Operator,
    At(id): At<id::Tenant>,
) -> Result<Response, Problem> {
    let look = Look { by: operator.caller(), now: web.dice.now() };
    pages::page(StatusCode::OK, &TenantPage::new(&one(&web, id).await?, look))
}

pub(crate) async fn read(
    State(web): State<Web>,
    operator: Operator,
    At(id): At<id::Tenant>,
    form: Form,
) -> Result<Response, Problem> {
    let look = Look { by: operator.caller(), now: web.dice.now() };
    let page = TenantPage::new(&one(&web, id).await?, look);
    let reason = match Reason::parse(form.field("reason")) {
        Ok(reason) => reason,
        Err(error) => {
            let page = page.refused(form.field("reason"), sentence(&error));
            return pages::page(StatusCode::UNPROCESSABLE_ENTITY, &page);
        }
    };
    let shown = data_of(&web.db, id, &reason, operator.caller()).await?;
    pages::page(StatusCode::OK, &page.showing(&shown, reason.as_str(), look))
}

pub(crate) async fn one(web: &Web, id: domain::TenantId) -> Result<One, Problem> {
    let mut tx = web.db.system().await?;
    let row = store::tenant_views::list(&mut tx, (None, Some(id)), 1).await?.pop().ok_or_else(Problem::not_found)?;
    let account = store::billing::known(&mut tx, id).await?.ok_or_else(Problem::not_found)?;
    Ok(One { row, account, plans: store::plans::list(&mut tx).await? })
}
