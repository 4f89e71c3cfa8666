//! `/api/v1/audit`: who did what in a tenant, and the whole chain to be verified elsewhere.

use std::collections::{BTreeSet, HashMap};

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use domain::{
    TenantId, UserId,
    audit::{Chain, Event, Head},
};
use futures::stream;
use http::header;
use serde::Serialize;
use store::{Db, StoreError, audit::Row};

use crate::{
    api::admin::{self, Listed},
    body::Query,
    guard::Member,
    problem::Problem,
};

/// Events that an export reads at once.
const BATCH: i64 = 500;

/// A page of events, newest first.
#[derive(Debug, Serialize)]
pub(crate) struct Events {
    events: Vec<EventView>,
    head: Option<Head>,
}

#[derive(Debug, Serialize)]
struct EventView {
    #[serde(flatten)]
    event: Event,
    actor_name: Option<String>,
    hash: String,
}

impl Events {
    pub(crate) fn new(rows: Vec<Row>, names: &Names, head: Option<Head>) -> Self {
        let view = |row: Row| EventView { actor_name: names.of(&row.event.actor), event: row.event, hash: row.hash };
        Self { events: rows.into_iter().map(view).collect(), head }
    }
}

/// Who the actors are, as far as the reader may know: events hold ids only.
#[derive(Debug, Default)]
pub(crate) struct Names(HashMap<UserId, String>);

impl Names {
    /// Members of the tenant. Whoever has left, or runs the service, stays an id.
    pub(crate) async fn in_tenant(db: &Db, tenant: TenantId, rows: &[Row]) -> Result<Self, StoreError> {
        let mut tx = db.system().await?;
        let known = store::people::addresses_in(&mut tx, tenant, &users(rows)).await?;
        Ok(Self(known.into_iter().collect()))
    }

    /// Everybody.
    pub(crate) async fn for_operators(db: &Db, rows: &[Row]) -> Result<Self, StoreError> {
        let mut tx = db.system().await?;
        let known = store::people::addresses(&mut tx, &users(rows)).await?;
        Ok(Self(known.into_iter().collect()))
    }

    /// The address behind an actor.
    pub(crate) fn of(&self, actor: &str) -> Option<String> {
        self.0.get(&actor.parse().ok()?).cloned()
    }
}

fn users(rows: &[Row]) -> Vec<UserId> {
    let users: BTreeSet<UserId> = rows.iter().filter_map(|row| row.event.actor.parse().ok()).collect();
    users.into_iter().collect()
}

pub(crate) async fn list(State(db): State<Db>, member: Member, query: Query) -> Result<Json<Listed<Events>>, Problem> {
    let (limit, after) = (admin::limit(&query)?, admin::after_event(&query)?);
    let tenant = member.caller().tenant;
    let mut tx = db.tenant_read(tenant).await?;
    let rows = store::audit::latest(&mut tx, after, limit + 1).await?;
    let head = store::audit::head(&mut tx).await?;
    drop(tx);
    let (rows, next) = admin::page(rows, limit, ("/api/v1/audit", &query), |row| row.event.seq);
    let names = Names::in_tenant(&db, tenant, &rows).await?;
    Ok(Json(Listed { entries: Events::new(rows, &names, head), next }))
}

/// The whole chain, read in batches: an event never changes, so a chain that ends at its head is whole.
pub(crate) async fn export(State(db): State<Db>, member: Member) -> Result<Response, Problem> {
    let tenant = member.caller().tenant;
    let mut tx = db.tenant_read(tenant).await?;
    let head = store::audit::head(&mut tx).await?.unwrap_or_else(|| app::audit::chain::empty(Chain::Tenant(tenant)));
    drop(tx);
    let name = format!("attachment; filename=\"audit-{tenant}-{}.jsonl\"", head.seq);
    let lines = stream::try_unfold(Some(0), move |after: Option<i64>| {
        let (db, head) = (db.clone(), head.clone());
        async move {
            let Some(after) = after else { return Ok::<_, StoreError>(None) };
            let mut tx = db.tenant_read(tenant).await?;
            let last = i64::try_from(head.seq).unwrap_or(i64::MAX);
            let rows = store::audit::since(&mut tx, after, BATCH.min(last - after)).await?;
            let reached = after + i64::try_from(rows.len()).unwrap_or(0);
            let mut text: String = rows.iter().map(|row| row.event.line(&row.hash) + "\n").collect();
            let is_over = rows.is_empty() || reached >= last;
            if is_over {
                text += &(head.line() + "\n");
            }
            Ok(Some((Bytes::from(text), (!is_over).then_some(reached))))
        }
    });
    let headers = [(header::CONTENT_TYPE, "application/jsonl".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, Body::from_stream(lines)).into_response())
}
