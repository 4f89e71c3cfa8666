//! Pages: rendered here, useful without JavaScript, followed live by one small script.
//!
//! Each page's context is a struct with `samples()`; a test renders every template
//! with every sample, and `examples/gallery.rs` shows them in a browser.

pub(crate) mod account;
pub(crate) mod acts;
pub(crate) mod admin;
pub(crate) mod agent;
pub(crate) mod audit;
pub(crate) mod billing;
pub(crate) mod charts;
pub(crate) mod credentials;
pub(crate) mod dashboard;
pub(crate) mod entry;
pub(crate) mod factor;
pub(crate) mod frame;
pub(crate) mod invitation;
pub(crate) mod letters;
pub(crate) mod login;
pub mod model;
pub(crate) mod problem;
pub(crate) mod rotation;
pub(crate) mod sessions;
pub(crate) mod settings;
pub(crate) mod setup;
pub(crate) mod signup;
pub(crate) mod story;
pub(crate) mod talk;
pub(crate) mod team;
pub(crate) mod tenants;
pub(crate) mod vendor;
pub(crate) mod waitlist;
pub(crate) mod welcome;
pub(crate) mod words;

pub mod samples;

use askama::Template;
use axum::response::{Html, IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};

use crate::problem::Problem;

/// Where a page sends somebody who is not signed in.
pub(crate) fn login_address(path: &str) -> String {
    if path == "/dashboard" || path == "/" {
        return "/login".to_owned();
    }
    let next: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
    format!("/login?next={next}")
}

/// Where a page sends somebody who has to show anew who they are.
pub(crate) fn login_again_address(path: &str) -> String {
    let next: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
    format!("/login?again=1&next={next}")
}

/// 303: the answer to a form, and the way to another page.
pub(crate) fn see_other(address: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let value = HeaderValue::from_str(address).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(header::LOCATION, value);
    response
}

/// The page with a status of its own: 200, or 4xx for a form that comes back.
pub(crate) fn page(status: StatusCode, template: &impl Template) -> Result<Response, Problem> {
    Ok((status, Html(template.render().map_err(Problem::broken)?)).into_response())
}
