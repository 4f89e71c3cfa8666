//! `/admin/waitlist`: who asked to be let in.

use app::invites::InviteError;
use askama::Template;
use axum::{extract::State, response::Response};
use domain::id;
use http::StatusCode;
use store::waitlist::Waiting;

use crate::{
    api::{admin, agents::sentence},
    body::{At, Query},
    guard::Operator,
    pages::{
        self,
        admin::{Choice, Look, PAGE, frame},
        frame::Frame,
        words::Moment,
    },
    problem::Problem,
    state::Web,
};

/// The page.
#[derive(Debug, Template)]
#[template(path = "admin/waitlist.html")]
pub(crate) struct WaitlistPage {
    frame: Frame,
    tab: &'static str,
    choices: Vec<Choice>,
    waiting: bool,
    mails: bool,
    people: Vec<Line>,
    next: Option<String>,
    fault: Option<String>,
}

#[derive(Debug)]
struct Line {
    id: String,
    position: u32,
    email: String,
    asked: Moment,
    from_source: String,
    invited: Option<Moment>,
}

impl WaitlistPage {
    pub(crate) fn new(
        rows: Vec<Waiting>,
        next: Option<String>,
        (waiting, mails): (bool, bool),
        look: Look<'_>,
    ) -> Self {
        let choice = |words, to, is| Choice { words, to, is_here: waiting == is };
        let line = |row: Waiting| Line {
            id: row.id.to_string(),
            position: row.position.unwrap_or_default(),
            email: row.email.as_str().to_owned(),
            asked: look.at(row.asked_at),
            from_source: match row.from_source {
                0 => "not known".to_owned(),
                1 => "nobody else".to_owned(),
                count => format!("{} more", count - 1),
            },
            invited: row.invited_at.map(|at| look.at(at)),
        };
        Self {
            frame: frame(look.by, "Waitlist", "/admin/waitlist".to_owned(), "berth"),
            tab: "waitlist",
            choices: vec![
                choice("Waiting", "/admin/waitlist", true),
                choice("Invited", "/admin/waitlist?waiting=false", false),
            ],
            waiting,
            mails,
            people: rows.into_iter().map(line).collect(),
            next,
            fault: None,
        }
    }
}

pub(crate) async fn show(State(web): State<Web>, operator: Operator, query: Query) -> Result<Response, Problem> {
    let page = read(&web, &operator, &query).await?;
    pages::page(StatusCode::OK, &page)
}

async fn read(web: &Web, operator: &Operator, query: &Query) -> Result<WaitlistPage, Problem> {
    let waiting = admin::yes_or_no(query, "waiting")?.unwrap_or(true);
    let after = admin::filter(query, "after", "the id of an entry")?;
    let mut tx = web.db.system().await?;
    let rows = store::waitlist::list(&mut tx, waiting, after, PAGE + 1).await?;
    drop(tx);
    let (rows, next) = admin::page(rows, PAGE, ("/admin/waitlist", query), |entry| entry.id);
    let look = Look { by: operator.caller(), now: web.dice.now() };
    Ok(WaitlistPage::new(rows, next, (waiting, web.site.sign_in.mails), look))
}

pub(crate) async fn invite(
    State(web): State<Web>,
    operator: Operator,
    At(id): At<id::Waiting>,
    query: Query,
) -> Result<Response, Problem> {
    let mut tx = web.db.system().await?;
    match app::invites::invite_waiting(&mut tx, &*web.dice.0, &web.ring, id, operator.caller()).await {
        Ok(_) => {
            tx.commit().await?;
            Ok(pages::see_other("/admin/waitlist"))
        }
        Err(InviteError::Keys(error)) => Err(error.into()),
        Err(InviteError::Store(error)) => Err(error.into()),
        Err(error) => {
            drop(tx);
            let mut page = read(&web, &operator, &query).await?;
            page.fault = Some(sentence(&error));
            pages::page(StatusCode::CONFLICT, &page)
        }
    }
}
