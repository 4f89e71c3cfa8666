//! `/admin/letters`: every mail to people as it would be sent, from made-up facts, in plain text and in HTML.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{Html, IntoResponse as _, Response},
};
use domain::letter::words;
use http::StatusCode;

use crate::{
    edge::headers::MailPolicy,
    guard::Operator,
    pages::{
        self,
        admin::{Look, frame},
        frame::Frame,
    },
    problem::Problem,
    state::Web,
};

/// The page.
#[derive(Debug, Template)]
#[template(path = "admin/letters.html")]
pub(crate) struct LettersPage {
    frame: Frame,
    tab: &'static str,
    mails: bool,
    letters: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    name: &'static str,
    subject: String,
    plain: String,
}

impl LettersPage {
    /// `base` is where people reach Berth; `mails` says whether any leave it.
    pub(crate) fn new(base: &str, mails: bool, look: Look<'_>) -> Self {
        let line = |(name, letter): (_, domain::letter::Written)| Line {
            name,
            plain: letter.plain(),
            subject: letter.subject,
        };
        Self {
            frame: frame(look.by, "Letters", String::new(), "berth"),
            tab: "letters",
            mails,
            letters: words::samples(base, look.now).into_iter().map(line).collect(),
        }
    }
}

pub(crate) async fn show(State(web): State<Web>, operator: Operator) -> Result<Response, Problem> {
    let look = Look { by: operator.caller(), now: web.dice.now() };
    let base = web.site.address("");
    pages::page(StatusCode::OK, &LettersPage::new(base.trim_end_matches('/'), web.site.sign_in.mails, look))
}

/// One letter as a mail program shows it, under a policy of its own: it may be dressed, and can do nothing.
pub(crate) async fn dressed(
    State(web): State<Web>,
    _operator: Operator,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let base = web.site.address("");
    let samples = words::samples(base.trim_end_matches('/'), web.dice.now());
    let found = samples.into_iter().find(|(of, _)| *of == name);
    let (_, letter) = found.ok_or_else(Problem::not_found)?;
    let mut response = Html(letter.html()).into_response();
    response.extensions_mut().insert(MailPolicy);
    Ok(response)
}
