//! `/api/admin/v1/tenants`: ids and counts; a tenant's data for a reason that the tenant reads.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use domain::{TenantId, agent::Agent, id, operators::Reason, people::Caller};
use serde::{Deserialize, Serialize};
use store::{Db, credential_views::CredentialView, keys::Standing, members::Member, tenant_views::TenantView as Row};

use crate::{
    api::{
        admin::{
            self, Listed,
            credentials::{DataKeyView, FingerprintView},
        },
        agents::sentence,
        members::MemberView,
        view::AgentView,
    },
    body::{self, At, Query},
    guard::Operator,
    problem::Problem,
    state::Dice,
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
    credentials: Vec<FingerprintView>,
    data_key: Option<DataKeyView>,
}

/// What an operator is shown for a reason.
#[derive(Debug)]
pub(crate) struct Shown {
    /// Its people.
    pub(crate) members: Vec<Member>,
    /// Its agents.
    pub(crate) agents: Vec<Agent>,
    /// What it gave Berth to use, without the values.
    pub(crate) credentials: Vec<CredentialView>,
    /// What seals those; none before it gave any.
    pub(crate) data_key: Option<Standing>,
}

pub(crate) async fn list(State(db): State<Db>, _: Operator, query: Query) -> Result<Json<Listed<Tenants>>, Problem> {
    let (limit, after) = (admin::limit(&query)?, admin::filter(&query, "after", "the id of a tenant")?);
    let mut tx = db.system().await?;
    let rows = store::tenant_views::list(&mut tx, (after, None), limit + 1).await?;
    let (rows, next) = admin::page(rows, limit, ("/api/admin/v1/tenants", &query), |row| row.id);
    Ok(Json(Listed { entries: Tenants { tenants: rows.into_iter().map(TenantView::from).collect() }, next }))
}

pub(crate) async fn read(
    State((db, dice)): State<(Db, Dice)>,
    operator: Operator,
    At(id): At<id::Tenant>,
    body::Json(why): body::Json<ReasonToRead>,
) -> Result<Json<TenantData>, Problem> {
    let reason = Reason::parse(&why.reason).map_err(|error| Problem::unusable("reason", sentence(&error)))?;
    let shown = data_of(&db, id, &reason, operator.caller()).await?;
    let now = dice.now();
    Ok(Json(TenantData {
        id,
        members: shown.members.into_iter().map(MemberView::from).collect(),
        agents: shown.agents.into_iter().map(AgentView::from).collect(),
        credentials: shown.credentials.into_iter().map(|row| FingerprintView::of(row, now)).collect(),
        data_key: shown.data_key.map(|key| DataKeyView::of(key, now)),
    }))
}

/// A tenant's people, agents, and what is known of its credentials without opening one. The reason is committed to the
/// tenant's audit before anything is shown.
pub(crate) async fn data_of(db: &Db, tenant: TenantId, reason: &Reason, by: &Caller) -> Result<Shown, Problem> {
    let mut tx = db.system().await?;
    if !store::tenant_views::exists(&mut tx, tenant).await? {
        return Err(Problem::not_found());
    }
    let members = store::members::list(&mut tx, tenant).await?;
    let data_key = store::keys::standing(&mut tx, tenant).await?;
    let mut tx = app::operators::open_tenant(tx, tenant, reason, by).await?;
    let agents = store::agents::list(&mut tx, None, AGENTS_MAX).await?;
    let credentials = store::credential_views::all(&mut tx).await?;
    tx.commit().await?;
    Ok(Shown { members, agents, credentials, data_key })
}
