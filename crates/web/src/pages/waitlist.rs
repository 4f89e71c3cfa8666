//! `/waitlist`: asking to be let in.

use app::limits::Limit;
use askama::Template;
use axum::{extract::State, response::Response};
use http::StatusCode;

use crate::{
    body::{Form, Query},
    guard::CameFrom,
    pages::{self, frame::Frame, login::address},
    problem::Problem,
    state::Web,
};

/// The page.
#[derive(Debug, Template)]
#[template(path = "waitlist.html")]
pub struct WaitlistPage {
    frame: Frame,
    is_done: bool,
    email: String,
    fault: Option<String>,
}

impl WaitlistPage {
    /// The form, with what is wrong with what was typed.
    #[must_use]
    pub fn asking(email: &str, fault: Option<String>) -> Self {
        Self { frame: Frame::alone("Waitlist"), is_done: false, email: email.to_owned(), fault }
    }

    /// For somebody who asked.
    #[must_use]
    pub fn done() -> Self {
        Self { is_done: true, ..Self::asking("", None) }
    }
}

pub(crate) async fn show(query: Query) -> Result<Response, Problem> {
    let page = if query.get("done").is_some() { WaitlistPage::done() } else { WaitlistPage::asking("", None) };
    pages::page(StatusCode::OK, &page)
}

pub(crate) async fn join(State(web): State<Web>, came: CameFrom, form: Form) -> Result<Response, Problem> {
    let typed = form.field("email");
    let email = match address(typed) {
        Ok(email) => email,
        Err(fault) => {
            return pages::page(StatusCode::UNPROCESSABLE_ENTITY, &WaitlistPage::asking(typed, Some(fault)));
        }
    };
    came.spend(&web, |source| Limit::Mail { source, to: &email }).await?;
    let mut tx = web.db.system().await?;
    app::waitlist::join(&mut tx, &*web.dice.0, &web.ring, &email, came.0).await?;
    tx.commit().await?;
    Ok(pages::see_other("/waitlist?done=1"))
}
