//! `/api/admin/v1/tenants`: ids and counts; a tenant's data for a reason that the tenant reads.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use domain::{TenantId, agent::Agent, id, operators::Reason, people::Caller};
use serde::{Deserialize, Serialize};
use store::{Db, members::Member, tenant_views::TenantView as Row};

use crate::{
    api::{
        admin::{self, Listed},
        agents::sentence,
        members::MemberView,
        view::AgentView,
    },
    body::{self, At, Query},
    guard::Operator,
    problem::Problem,
};

/// Most agents that are shown of a tenant.
const AGENTS_MAX: i64 = 1000;

#[derive(Debug, Serialize)]
pub(crate) struct Tenants {
    tenants: Vec<TenantView>,
}

#[derive(Debug, Serialize)]
struct TenantView {
    id: TenantId,
    created_at: DateTime<Utc>,
    members: i64,
    machines: i64,
    alerts: i64,
    suspended_at: Option<DateTime<Utc>>,
    suspended_why: Option<String>,
}

impl From<Row> for TenantView {
    fn from(row: Row) -> Self {
        let Row { id, created_at, members, machines, alerts, suspended_at, suspended_why } = row;
        Self { id, created_at, members, machines, alerts, suspended_at, suspended_why }
    }
}

/// What reading takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReasonToRead {
    pub(crate) reason: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct TenantData {
    id: TenantId,
    members: Vec<MemberView>,
    agents: Vec<AgentView>,
}

pub(crate) async fn list(State(db): State<Db>, _: Operator, query: Query) -> Result<Json<Listed<Tenants>>, Problem> {
    let (limit, after) = (admin::limit(&query)?, admin::filter(&query, "after", "the id of a tenant")?);
    let mut tx = db.system().await?;
    let rows = store::tenant_views::list(&mut tx, (after, None), limit + 1).await?;
    let (rows, next) = admin::page(rows, limit, ("/api/admin/v1/tenants", &query), |row| row.id);
    Ok(Json(Listed { entries: Tenants { tenants: rows.into_iter().map(TenantView::from).collect() }, next }))
}

pub(crate) async fn read(
    State(db): State<Db>,
    operator: Operator,
    At(id): At<id::Tenant>,
    body::Json(why): body::Json<ReasonToRead>,
) -> Result<Json<TenantData>, Problem> {
    let reason = Reason::parse(&why.reason).map_err(|error| Problem::unusable("reason", sentence(&error)))?;
    let (members, agents) = data_of(&db, id, &reason, operator.caller()).await?;
    let members = members.into_iter().map(MemberView::from).collect();
    Ok(Json(TenantData { id, members, agents: agents.into_iter().map(AgentView::from).collect() }))
}

/// A tenant's people and agents. The reason is committed to the tenant's audit before anything is shown.
pub(crate) async fn data_of(
    db: &Db,
    tenant: TenantId,
    reason: &Reason,
    by: &Caller,
) -> Result<(Vec<Member>, Vec<Agent>), Problem> {
    let mut tx = db.system().await?;
    if !store::tenant_views::exists(&mut tx, tenant).await? {
        return Err(Problem::not_found());
    }
    let members = store::members::list(&mut tx, tenant).await?;
    let mut tx = app::operators::open_tenant(tx, tenant, reason, by).await?;
    let agents = store::agents::list(&mut tx, None, AGENTS_MAX).await?;
    tx.commit().await?;
    Ok((members, agents))
}
