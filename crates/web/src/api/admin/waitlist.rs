//! `/api/admin/v1/waitlist`

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use domain::{WaitingId, id};
use http::StatusCode;
use serde::Serialize;
use store::Db;

use crate::{
    api::admin::{self, Listed},
    body::{At, Query},
    guard::Operator,
    problem::Problem,
    state::Web,
};

#[derive(Debug, Serialize)]
pub(crate) struct Waitlist {
    waitlist: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Line {
    id: WaitingId,
    position: Option<u32>,
    email: String,
    asked_at: DateTime<Utc>,
    from_source: u32,
    invited_at: Option<DateTime<Utc>>,
}

pub(crate) async fn list(State(db): State<Db>, _: Operator, query: Query) -> Result<Json<Listed<Waitlist>>, Problem> {
    let limit = admin::limit(&query)?;
    let waiting = admin::yes_or_no(&query, "waiting")?.unwrap_or(true);
    let after = admin::filter(&query, "after", "the id of an entry")?;
    let mut tx = db.system().await?;
    let rows = store::waitlist::list(&mut tx, waiting, after, limit + 1).await?;
    let (rows, next) = admin::page(rows, limit, ("/api/admin/v1/waitlist", &query), |entry| entry.id);
    let line = |row: store::waitlist::Waiting| Line {
        id: row.id,
        position: row.position,
        email: row.email.as_str().to_owned(),
        asked_at: row.asked_at,
        from_source: row.from_source,
        invited_at: row.invited_at,
    };
    Ok(Json(Listed { entries: Waitlist { waitlist: rows.into_iter().map(line).collect() }, next }))
}

pub(crate) async fn invite(
    State(web): State<Web>,
    by: Operator,
    At(id): At<id::Waiting>,
) -> Result<StatusCode, Problem> {
    let mut tx = web.db.system().await?;
    app::invites::invite_waiting(&mut tx, &*web.dice.0, &web.ring, id, by.caller()).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
