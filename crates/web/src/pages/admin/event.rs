//! `/admin/events/{id}`: one event, what came of it, and as much of its body as operators may see.

use askama::Template;
use axum::{extract::State, response::Response};
use domain::{event::redacted, id};
use http::StatusCode;
use store::event_views::EventView;

use crate::{
    body::At,
    guard::Operator,
    pages::{
        self,
        admin::{
            Look, ShortId,
            events::{money, outcome, state, title},
            frame,
        },
        frame::Frame,
        words::Moment,
    },
    problem::Problem,
    state::Web,
};

/// The page.
#[derive(Debug, Template)]
#[template(path = "admin/event.html")]
pub(crate) struct EventPage {
    frame: Frame,
    tab: &'static str,
    id: String,
    /// Stripe's word, cut at its points: there a line may break.
    kind: Vec<String>,
    tone: &'static str,
    state: &'static str,
    outcome: String,
    name: String,
    money: &'static str,
    received: Moment,
    read: Option<Moment>,
    tenant: Option<ShortId>,
    flow: Option<String>,
    bytes: usize,
    sha256: String,
    /// `None`: it is no JSON.
    payload: Option<String>,
}

impl EventPage {
    pub(crate) fn new(row: &EventView, body: &[u8], look: Look<'_>) -> Self {
        let (tone, state) = state(row);
        let kind = title(&row.kind);
        Self {
            frame: frame(look.by, kind, format!("/admin/events/{}", row.id), tone),
            tab: "events",
            id: row.id.to_string(),
            kind: kind.split('.').map(str::to_owned).collect(),
            tone,
            state,
            outcome: outcome(row),
            name: row.name.clone(),
            money: money(row.is_live),
            received: look.at(row.received_at),
            read: row.read_at.map(|at| look.at(at)),
            tenant: row.tenant.map(ShortId::of),
            flow: row.flow.map(|flow| flow.to_string()),
            bytes: body.len(),
            sha256: vault::digest(body).to_string(),
            payload: redacted(body).and_then(|json| serde_json::to_string_pretty(&json).ok()),
        }
    }
}

pub(crate) async fn show(
    State(web): State<Web>,
    operator: Operator,
    At(id): At<id::Event>,
) -> Result<Response, Problem> {
    let mut tx = web.db.system().await?;
    let (event, body) = store::event_views::by_id(&mut tx, id).await?.ok_or_else(Problem::not_found)?;
    drop(tx);
    // Times beside each other come from one clock: the database's.
    let look = Look { by: operator.caller(), now: event.now };
    pages::page(StatusCode::OK, &EventPage::new(&event, &body, look))
}

/// Has it understood once more.
pub(crate) async fn read(State(web): State<Web>, by: Operator, At(id): At<id::Event>) -> Result<Response, Problem> {
    let mut tx = web.db.system().await?;
    app::events::read_again(&mut tx, &*web.dice.0, id, by.caller()).await?;
    tx.commit().await?;
    Ok(pages::see_other(&format!("/admin/events/{id}")))
}
