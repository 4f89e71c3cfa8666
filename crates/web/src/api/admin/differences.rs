//! `/api/admin/v1/billing/differences`: where what was known of payments was otherwise than at Stripe.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use domain::{TenantId, billing::DifferenceKind, job::Job};
use serde::Serialize;
use store::{
    Db, SystemTx,
    billing_differences::{Found, FoundFilter},
    job_views::JobRun,
};
use uuid::Uuid;

use crate::{
    api::admin::{self, Listed, schedules::RunView},
    body::Query,
    guard::Operator,
    problem::Problem,
};

/// As in the schema `Differences`, but for where it goes on.
#[derive(Debug, Serialize)]
pub(crate) struct Compared {
    differences: Vec<DifferenceView>,
    last_run: Option<RunView>,
    next_run: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize)]
struct DifferenceView {
    id: Uuid,
    found_at: DateTime<Utc>,
    kind: &'static str,
    tenant: Option<TenantId>,
    before: Option<String>,
    after: String,
}

impl From<Found> for DifferenceView {
    fn from(found: Found) -> Self {
        let Found { id, at, difference } = found;
        Self {
            id,
            found_at: at,
            kind: difference.kind.name(),
            tenant: difference.tenant,
            before: difference.before,
            after: difference.after,
        }
    }
}

/// When it is looked for differences.
#[derive(Debug, Clone)]
pub(crate) struct Looked {
    /// The newest run of the job `billing`.
    pub(crate) last: Option<JobRun>,
    /// When it runs next by itself; `None`: its schedule is off, or there is none yet.
    pub(crate) next: Option<DateTime<Utc>>,
}

/// Reads that: two statements.
pub(crate) async fn looked(tx: &mut SystemTx) -> Result<Looked, Problem> {
    let last = store::job_views::runs(tx, Job::Billing, None, 1).await?.pop();
    let schedules = store::job_views::schedules(tx).await?;
    let schedule = schedules.into_iter().find(|one| one.job == Job::Billing.name() && one.enabled);
    Ok(Looked { last, next: schedule.and_then(|one| app::jobs::next_tick(&one.cron, one.now)) })
}

/// Which differences are wanted; the pages ask with the same words.
pub(crate) fn filter(query: &Query) -> Result<FoundFilter, Problem> {
    let kind = match query.get("kind").filter(|word| !word.is_empty()) {
        None => None,
        Some(word) => Some(DifferenceKind::parse(word).ok_or_else(|| {
            let words = "`kind` must be `account` or `event`.";
            Problem { field: Some("kind"), ..Problem::unreadable(words) }
        })?),
    };
    let tenant = admin::filter(query, "tenant", "the id of a tenant")?;
    Ok(FoundFilter { kind, tenant, after: admin::filter(query, "after", "the id of a difference")? })
}

pub(crate) async fn list(State(db): State<Db>, _: Operator, query: Query) -> Result<Json<Listed<Compared>>, Problem> {
    let limit = admin::limit(&query)?;
    let filter = filter(&query)?;
    let mut tx = db.system().await?;
    let rows = store::billing_differences::list(&mut tx, filter, limit + 1).await?;
    let Looked { last, next: next_run } = looked(&mut tx).await?;
    let (rows, next) = admin::page(rows, limit, ("/api/admin/v1/billing/differences", &query), |found| found.id);
    let differences = rows.into_iter().map(DifferenceView::from).collect();
    Ok(Json(Listed { entries: Compared { differences, last_run: last.map(RunView::from), next_run }, next }))
}
