//! `/api/admin/v1/events`: what Stripe told Berth. Of a body no value is shown that could be a person's or a secret.

use app::events::ReadAgainError;
use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use domain::{
    EventId, FlowId, TenantId,
    billing::StripeEventId,
    event::{KIND_BYTES_MAX, redacted},
    id,
};
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use store::{
    Db,
    event_views::{EventFilter, EventView as Row},
};

use crate::{
    api::{
        admin::{self, Listed},
        agents::sentence,
    },
    body::{At, Query},
    guard::Operator,
    problem::Problem,
    state::Dice,
};

#[derive(Debug, Serialize)]
pub(crate) struct Events {
    events: Vec<EventView>,
}

/// An event among many.
#[derive(Debug, Serialize)]
struct EventView {
    id: EventId,
    name: String,
    kind: String,
    live: bool,
    received_at: DateTime<Utc>,
    waiting: bool,
    read_at: Option<DateTime<Utc>>,
    outcome: Option<String>,
    tenant: Option<TenantId>,
    flow: Option<FlowId>,
}

/// One event.
#[derive(Debug, Serialize)]
pub(crate) struct ShownEvent {
    #[serde(flatten)]
    event: EventView,
    bytes: usize,
    sha256: String,
    payload: Option<Value>,
}

impl From<Row> for EventView {
    fn from(row: Row) -> Self {
        let waiting = row.read_at.is_none();
        let Row { id, name, kind, is_live: live, received_at, read_at, outcome, tenant, flow, now: _ } = row;
        Self { id, name, kind, live, received_at, waiting, read_at, outcome, tenant, flow }
    }
}

pub(crate) async fn list(State(db): State<Db>, _: Operator, query: Query) -> Result<Json<Listed<Events>>, Problem> {
    let limit = admin::limit(&query)?;
    let filter = filter(&query)?;
    let mut tx = db.system().await?;
    let rows = store::event_views::list(&mut tx, filter, limit + 1).await?;
    let (rows, next) = admin::page(rows, limit, ("/api/admin/v1/events", &query), |event| event.id);
    Ok(Json(Listed { entries: Events { events: rows.into_iter().map(EventView::from).collect() }, next }))
}

pub(crate) async fn show(
    State(db): State<Db>,
    _: Operator,
    At(id): At<id::Event>,
) -> Result<Json<ShownEvent>, Problem> {
    answer(&db, id).await
}

pub(crate) async fn read(
    State(db): State<Db>,
    State(dice): State<Dice>,
    by: Operator,
    At(id): At<id::Event>,
) -> Result<(StatusCode, Json<ShownEvent>), Problem> {
    let mut tx = db.system().await?;
    app::events::read_again(&mut tx, &*dice.0, id, by.caller()).await?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, answer(&db, id).await?))
}

async fn answer(db: &Db, id: EventId) -> Result<Json<ShownEvent>, Problem> {
    let mut tx = db.system().await?;
    let (event, body) = store::event_views::by_id(&mut tx, id).await?.ok_or_else(Problem::not_found)?;
    let (bytes, sha256) = (body.len(), vault::digest(&body).to_string());
    Ok(Json(ShownEvent { event: event.into(), bytes, sha256, payload: redacted(&body) }))
}

/// Which events are wanted; the pages ask with the same words.
pub(crate) fn filter(query: &Query) -> Result<EventFilter<'_>, Problem> {
    let given = |name: &'static str| query.get(name).map(str::trim).filter(|text| !text.is_empty());
    let refuse = |name: &'static str, words| Problem { field: Some(name), ..Problem::unreadable(words) };
    let is_kind = |kind: &str| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'.';
        kind.len() <= KIND_BYTES_MAX && kind.bytes().all(plain)
    };
    let (kind, name) = (given("kind"), given("name"));
    if kind.is_some_and(|kind| !is_kind(kind)) {
        return Err(refuse("kind", "`kind` must be a word of Stripe's, such as `invoice` or `invoice.paid`."));
    }
    if name.is_some_and(|name| StripeEventId::parse(name).is_err()) {
        return Err(refuse("name", "`name` must be an event's id at Stripe: `evt_…`."));
    }
    Ok(EventFilter {
        waiting: admin::yes_or_no(query, "waiting")?,
        kind,
        name,
        tenant: admin::filter(query, "tenant", "the id of a tenant")?,
        after: admin::filter(query, "after", "the id of an event")?,
    })
}

impl From<ReadAgainError> for Problem {
    fn from(error: ReadAgainError) -> Self {
        match error {
            ReadAgainError::NotFound => Self::not_found(),
            ReadAgainError::Forbidden => Self::not_allowed(sentence(&error)),
            ReadAgainError::Store(error) => error.into(),
        }
    }
}
