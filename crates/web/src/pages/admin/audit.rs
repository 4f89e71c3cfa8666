//! `/admin/audit`: what operators did, newest first.

use askama::Template;
use axum::{extract::State, response::Response};
use domain::audit::Head;
use http::StatusCode;
use store::audit::Row;

use crate::{
    api::{admin, audit::Names},
    body::Query,
    guard::Operator,
    pages::{
        self,
        admin::{Look, PAGE, frame},
        audit::{EventLine, Kept},
        frame::Frame,
    },
    problem::Problem,
    state::Web,
};

/// The page.
#[derive(Debug, Template)]
#[template(path = "admin/audit.html")]
pub(crate) struct HouseAuditPage {
    frame: Frame,
    tab: &'static str,
    events: Vec<EventLine>,
    head: Option<Kept>,
    next: Option<String>,
}

impl HouseAuditPage {
    pub(crate) fn new(
        rows: &[Row],
        names: &Names,
        (head, next): (Option<Head>, Option<String>),
        look: Look<'_>,
    ) -> Self {
        Self {
            frame: frame(look.by, "Audit", String::new(), "berth"),
            tab: "audit",
            events: rows.iter().map(|row| EventLine::new(row, names, "somebody who was erased", look.now)).collect(),
            head: head.as_ref().map(Kept::of),
            next,
        }
    }
}

pub(crate) async fn show(State(web): State<Web>, operator: Operator, query: Query) -> Result<Response, Problem> {
    let after = admin::after_event(&query)?;
    let mut tx = web.db.system().await?;
    let rows = store::audit::house_latest(&mut tx, after, PAGE + 1).await?;
    let head = store::audit::house_head(&mut tx).await?;
    drop(tx);
    let (rows, next) = admin::page(rows, PAGE, ("/admin/audit", &query), |row| row.event.seq);
    let names = Names::for_operators(&web.db, &rows).await?;
    let look = Look { by: operator.caller(), now: web.dice.now() };
    pages::page(StatusCode::OK, &HouseAuditPage::new(&rows, &names, (head, next), look))
}
