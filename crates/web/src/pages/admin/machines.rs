//! `/admin/machines`: every machine, and where its agent's flow is.

use askama::Template;
use axum::{extract::State, response::Response};
use http::StatusCode;
use store::machine_views::MachineView;

use crate::{
    api::admin,
    body::Query,
    guard::Operator,
    pages::{
        self,
        admin::{Choice, Look, PAGE, ShortId, frame},
        frame::Frame,
        words::Moment,
    },
    problem::Problem,
    state::Web,
};

/// The page.
#[derive(Debug, Template)]
#[template(path = "admin/machines.html")]
pub(crate) struct MachinesPage {
    frame: Frame,
    tab: &'static str,
    choices: Vec<Choice>,
    is_narrowed: bool,
    machines: Vec<Line>,
    next: Option<String>,
}

#[derive(Debug)]
struct Line {
    id: ShortId,
    tone: &'static str,
    state: String,
    isolation: String,
    tenant: Option<ShortId>,
    agent: Option<ShortId>,
    step: Option<(String, String)>,
    address: String,
    openclaw: String,
    image: String,
    made: Moment,
    gone: Option<Moment>,
}

/// Which machines the page shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Gone, or not.
    pub gone: Option<bool>,
    /// Whether another filter narrows it further.
    pub is_narrowed: bool,
}

impl MachinesPage {
    pub(crate) fn new(rows: Vec<MachineView>, next: Option<String>, wanted: Wanted, look: Look<'_>) -> Self {
        let choice = |words, to, is| Choice { words, to, is_here: !wanted.is_narrowed && wanted.gone == is };
        Self {
            frame: frame(look.by, "Machines", "/admin/machines".to_owned(), "berth"),
            tab: "machines",
            choices: vec![
                choice("Living", "/admin/machines", Some(false)),
                choice("Gone", "/admin/machines?gone=true", Some(true)),
                choice("All", "/admin/machines?gone=", None),
            ],
            is_narrowed: wanted.is_narrowed,
            machines: rows.into_iter().map(|row| Line::new(row, look)).collect(),
            next,
        }
    }
}

impl Line {
    fn new(row: MachineView, look: Look<'_>) -> Self {
        let tone = match row.state.as_str() {
            "made" => "live",
            "reserved" => "working",
            _ => "off",
        };
        Self {
            id: ShortId::of(row.id),
            tone,
            state: row.state,
            isolation: row.isolation.replace('_', " "),
            tenant: row.tenant.map(ShortId::of),
            agent: row.agent.map(ShortId::of),
            step: row.flow.map(|flow| (flow.to_string(), row.step.unwrap_or_default())),
            address: row.address.unwrap_or_else(|| "none yet".to_owned()),
            openclaw: row.openclaw.unwrap_or_else(|| "not known yet".to_owned()),
            image: row.image,
            made: look.at(row.created_at),
            gone: row.gone_at.map(|at| look.at(at)),
        }
    }
}

pub(crate) async fn show(State(web): State<Web>, operator: Operator, query: Query) -> Result<Response, Problem> {
    let mut filter = admin::machines::filter(&query)?;
    let is_narrowed =
        filter.state.is_some() || filter.tenant.is_some() || filter.agent.is_some() || filter.only.is_some();
    if query.get("gone").is_none() && !is_narrowed {
        filter.gone = Some(false);
    }
    let mut tx = web.db.system().await?;
    let rows = store::machine_views::list(&mut tx, filter, PAGE + 1).await?;
    drop(tx);
    let (rows, next) = admin::page(rows, PAGE, ("/admin/machines", &query), |machine| machine.id);
    let look = Look { by: operator.caller(), now: web.dice.now() };
    let wanted = Wanted { gone: filter.gone, is_narrowed };
    pages::page(StatusCode::OK, &MachinesPage::new(rows, next, wanted, look))
}
