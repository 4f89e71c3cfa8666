//! `/admin/users`: people by id; an address finds its owner and is not shown.

use askama::Template;
use axum::{extract::State, response::Response};
use http::StatusCode;
use store::user_views::UserView;

use crate::{
    api::admin,
    body::Query,
    guard::Operator,
    pages::{
        self,
        admin::{Look, PAGE, ShortId, frame},
        frame::Frame,
        words::Moment,
    },
    problem::Problem,
    state::Web,
};

/// The page.
#[derive(Debug, Template)]
#[template(path = "admin/users.html")]
pub(crate) struct UsersPage {
    frame: Frame,
    tab: &'static str,
    asked: String,
    typed: String,
    fault: Option<String>,
    users: Vec<Line>,
    next: Option<String>,
}

#[derive(Debug)]
struct Line {
    id: ShortId,
    since: Moment,
    is_operator: bool,
    is_you: bool,
    tenants: i64,
    sessions: i64,
    suspended: Option<(Moment, String)>,
}

impl UsersPage {
    pub(crate) fn new(rows: &[UserView], next: Option<String>, look: Look<'_>) -> Self {
        let line = |row: &UserView| Line {
            id: ShortId::of(row.id),
            since: look.at(row.created_at),
            is_operator: row.is_operator,
            is_you: row.id == look.by.user,
            tenants: row.tenants,
            sessions: row.sessions,
            suspended: row.suspended_at.map(|at| (look.at(at), row.suspended_why.clone().unwrap_or_default())),
        };
        Self {
            frame: frame(look.by, "Users", String::new(), "berth"),
            tab: "users",
            asked: String::new(),
            typed: String::new(),
            fault: None,
            users: rows.iter().map(line).collect(),
            next,
        }
    }

    /// With the address that was asked for.
    pub(crate) fn asked_for(self, address: &str) -> Self {
        Self { asked: address.to_owned(), ..self }
    }

    /// With what is wrong with the reason for suspending the one person shown.
    pub(crate) fn not_suspended(self, typed: &str, fault: String) -> Self {
        Self { typed: typed.chars().take(300).collect(), fault: Some(fault), ..self }
    }
}

pub(crate) async fn show(State(web): State<Web>, operator: Operator, query: Query) -> Result<Response, Problem> {
    let filter = admin::users::filter(&query)?;
    let mut tx = web.db.system().await?;
    let rows = store::user_views::list(&mut tx, &filter, PAGE + 1).await?;
    drop(tx);
    let (rows, next) = admin::page(rows, PAGE, ("/admin/users", &query), |row| row.id);
    let look = Look { by: operator.caller(), now: web.dice.now() };
    let page = UsersPage::new(&rows, next, look).asked_for(query.get("email").unwrap_or_default());
    pages::page(StatusCode::OK, &page)
}
