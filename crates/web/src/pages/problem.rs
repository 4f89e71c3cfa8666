//! A problem as a page.

use askama::Template;

use crate::{pages::frame::Frame, problem::Problem};

/// The page that a browser gets instead of problem+json.
#[derive(Debug, Template)]
#[template(path = "problem.html")]
pub struct ProblemPage {
    frame: Frame,
    status: u16,
    heading: &'static str,
    detail: String,
    request_id: String,
}

impl ProblemPage {
    /// The same words as in JSON.
    #[must_use]
    pub fn new(problem: &Problem, request_id: &str) -> Self {
        Self {
            frame: Frame::alone(problem.title()),
            status: problem.status.as_u16(),
            heading: problem.title(),
            detail: problem.detail.clone().into_owned(),
            request_id: request_id.to_owned(),
        }
    }
}
