//! `/api/admin/v1/audit`: what operators did.

use axum::{Json, extract::State};
use store::Db;

use crate::{
    api::{
        admin::{self, Listed},
        audit::{Events, Names},
    },
    body::Query,
    guard::Operator,
    problem::Problem,
};

pub(crate) async fn list(State(db): State<Db>, _: Operator, query: Query) -> Result<Json<Listed<Events>>, Problem> {
    let (limit, after) = (admin::limit(&query)?, admin::after_event(&query)?);
    let mut tx = db.system().await?;
    let rows = store::audit::house_latest(&mut tx, after, limit + 1).await?;
    let head = store::audit::house_head(&mut tx).await?;
    drop(tx);
    let (rows, next) = admin::page(rows, limit, ("/api/admin/v1/audit", &query), |row| row.event.seq);
    let names = Names::for_operators(&db, &rows).await?;
    Ok(Json(Listed { entries: Events::new(rows, &names, head), next }))
}
