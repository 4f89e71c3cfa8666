//! `/admin/alerts/{id}`: one alert, what was told to whom, and the button that stops it from firing.

use app::alerts::{self, ChangeAlertError};
use askama::Template;
use axum::{extract::State, response::Response};
use chrono::TimeDelta;
use domain::{
    AlertId, FlowId,
    alert::{AlertKind, DeliveryState},
    id,
};
use http::StatusCode;
use store::alert_views::{AlertRow, Delivery};

use crate::{
    api::{admin::view::title, agents::sentence},
    body::At,
    guard::Operator,
    pages::{
        self,
        admin::{
            Link, Look, ShortId,
            alerts::{severity_tone, state, told_sentence, who_hears},
            frame,
        },
        frame::Frame,
        words::{Moment, as_sentence, took},
    },
    problem::Problem,
    state::Web,
};

/// The page.
#[derive(Debug, Template)]
#[template(path = "admin/alert.html")]
pub(crate) struct AlertPage {
    frame: Frame,
    tab: &'static str,
    id: String,
    title: &'static str,
    kind: String,
    severity: &'static str,
    tone: &'static str,
    lead: String,
    message: String,
    about: Link,
    tenant: Option<ShortId>,
    opened: Moment,
    seen: Moment,
    sightings: u32,
    acknowledged: Option<(Moment, String)>,
    closed: Option<Moment>,
    again: Option<String>,
    runbook: Option<String>,
    flow: Option<String>,
    told: String,
    deliveries: Vec<DeliveryLine>,
    pub(crate) fault: Option<String>,
}

/// One firing on one carrier.
#[derive(Debug)]
struct DeliveryLine {
    id: String,
    firing: u32,
    carrier: &'static str,
    tone: &'static str,
    state: &'static str,
    tries: u32,
    outcome: String,
    at: Moment,
    next: Option<String>,
}

impl AlertPage {
    /// `told` says who hears of alerts.
    pub(crate) fn new(row: AlertRow, told: &[String], look: Look<'_>) -> Self {
        let kind = AlertKind::parse(&row.kind);
        let lead = match row.closed_at {
            Some(_) => "What was wrong was seen to be right.".to_owned(),
            None => format!("{} So far: {}.", row.severity.sentence(), state(&row)),
        };
        let tone = severity_tone(&row);
        let heading = title(kind);
        Self {
            frame: frame(look.by, heading, format!("/admin/alerts/{}", row.id), tone),
            tab: "alerts",
            id: row.id.to_string(),
            title: heading,
            severity: if row.closed_at.is_some() { "closed" } else { row.severity.name() },
            tone,
            lead,
            message: told_sentence(&row.message),
            about: Link::related(&row.subject),
            tenant: row.tenant.map(ShortId::of),
            opened: look.at(row.opened_at),
            seen: look.at(row.seen_at),
            sightings: row.sightings,
            again: again(&row, told, look),
            acknowledged: row.acknowledged_at.map(|at| (look.at(at), row.acknowledged_by.unwrap_or_default())),
            closed: row.closed_at.map(|at| look.at(at)),
            runbook: kind.map(AlertKind::runbook),
            kind: row.kind,
            // A notice carries its alert's uuid, and is gone with its closing.
            flow: row.closed_at.is_none().then(|| FlowId::from_uuid(row.id.uuid()).to_string()),
            told: who_hears(told),
            deliveries: row.deliveries.iter().map(|delivery| DeliveryLine::new(delivery, look)).collect(),
            fault: None,
        }
    }
}

impl DeliveryLine {
    fn new(delivery: &Delivery, look: Look<'_>) -> Self {
        let (tone, state) = match (delivery.state, delivery.tries) {
            (DeliveryState::Pending, 0) => ("working", "on its way"),
            (DeliveryState::Pending, _) => ("attention", "not taken yet"),
            (DeliveryState::Delivered, _) => ("live", "delivered"),
            (DeliveryState::GivenUp, _) => ("failed", "given up"),
            (DeliveryState::NotNeeded, _) => ("off", "not needed"),
        };
        let left = (delivery.next_at - look.now).num_milliseconds();
        let next = match (delivery.state, left) {
            (DeliveryState::Pending, 1..) => Some(format!("again in {}", took(left))),
            (DeliveryState::Pending, _) => Some("due now".to_owned()),
            (DeliveryState::Delivered | DeliveryState::GivenUp | DeliveryState::NotNeeded, _) => None,
        };
        Self {
            id: delivery.id.to_string(),
            firing: delivery.firing,
            carrier: delivery.carrier.name(),
            tone,
            state,
            tries: delivery.tries,
            outcome: delivery.outcome.as_deref().map(as_sentence).unwrap_or_default(),
            at: look.at(delivery.ended_at.unwrap_or(delivery.asked_at)),
            next,
        }
    }
}

/// When it fires again, as far as the page knows.
fn again(row: &AlertRow, told: &[String], look: Look<'_>) -> Option<String> {
    if row.closed_at.is_some() || row.acknowledged_at.is_some() || told.is_empty() {
        return None;
    }
    let after = TimeDelta::from_std(row.severity.again_after(row.firings)).unwrap_or(TimeDelta::MAX);
    let left = (row.fired_at? + after - look.now).num_milliseconds();
    Some(if left > 0 { format!("in {}", took(left)) } else { "now".to_owned() })
}

pub(crate) async fn show(
    State(web): State<Web>,
    operator: Operator,
    At(id): At<id::Alert>,
) -> Result<Response, Problem> {
    pages::page(StatusCode::OK, &read(&web, &operator, id).await?)
}

macro_rules! buttons {
    ($($act:ident),*) => {$(
        pub(crate) async fn $act(
            State(web): State<Web>,
            operator: Operator,
            At(id): At<id::Alert>,
        ) -> Result<Response, Problem> {
            let mut tx = web.db.system().await?;
            if let Err(error) = alerts::$act(&mut tx, id, operator.caller()).await {
                drop(tx);
                return refused(&web, &operator, id, error).await;
            }
            tx.commit().await?;
            Ok(pages::see_other(&format!("/admin/alerts/{id}")))
        }
    )*};
}

buttons!(acknowledge, take_back);

/// The page again, with a sentence on top; the alert closed while somebody was looking.
async fn refused(web: &Web, operator: &Operator, id: AlertId, error: ChangeAlertError) -> Result<Response, Problem> {
    match error {
        ChangeAlertError::Closed => {
            let mut page = read(web, operator, id).await?;
            page.fault = Some(sentence(&error));
            pages::page(StatusCode::CONFLICT, &page)
        }
        ChangeAlertError::NotFound | ChangeAlertError::Forbidden | ChangeAlertError::Store(_) => Err(error.into()),
    }
}

async fn read(web: &Web, operator: &Operator, id: AlertId) -> Result<AlertPage, Problem> {
    let mut tx = web.db.system().await?;
    let row = store::alert_views::by_id(&mut tx, id).await?.ok_or_else(Problem::not_found)?;
    drop(tx);
    let look = Look { by: operator.caller(), now: web.dice.now() };
    Ok(AlertPage::new(row, &web.site.carriers, look))
}
