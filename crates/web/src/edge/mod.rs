//! What every request passes on its way in and out, in one function: [`attend`].
//!
//! It gives the request an id, catches panics, dresses problems for whoever
//! asked, sets the security headers and writes one line to the log. The line
//! holds the path and never the query: set-up and sign-in links live there.

pub(crate) mod dress;
pub(crate) mod headers;
pub(crate) mod origin;
mod source;

use std::{panic::AssertUnwindSafe, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue};
use tracing::Instrument as _;

use crate::{
    listener::Peer,
    problem::{Problem, Undressed},
    state::Web,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Outermost middleware.
pub(crate) async fn attend(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = request_id(request.headers(), &web);
    let asked = dress::Asked::of(&request);
    let method = request.method().clone();
    let path: String = request.uri().path().chars().take(200).collect();
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    if let Some(source) = source::of(&request, &web.site) {
        request.extensions_mut().insert(source);
    }

    let span = tracing::info_span!("request", %id, %method, route, otel.kind = "server");
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span).await;
    let response = answered.unwrap_or_else(|panic| Problem::broken(panic_words(panic.as_ref())).into_response());

    let cause = response.extensions().get::<Undressed>().and_then(|problem| chain(&problem.0));
    let mut response = dress::dress(response, &asked, &id);
    let mail = response.extensions_mut().remove::<headers::MailPolicy>();
    headers::protect(response.headers_mut(), &asked, &web.site, mail);
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let status = response.status().as_u16();
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    crate::figures::answered(&method, &route, status, began.elapsed());
    let peer = peer.map(tracing::field::display);
    if status >= 500 {
        tracing::error!(%id, %method, path, status, took_ms, peer, cause, "answered");
    } else {
        tracing::info!(%id, %method, path, status, took_ms, peer, cause, "answered");
    }
    response
}

/// A well-formed id from a proxy is kept, so that its log and ours meet; anything else is replaced.
fn request_id(headers: &HeaderMap, web: &Web) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let given = given.and_then(|text| uuid::Uuid::try_parse(text).ok());
    given.unwrap_or_else(|| web.dice.0.uuid()).hyphenated().to_string()
}

fn chain(problem: &Problem) -> Option<String> {
    let mut text = problem.cause.as_ref()?.to_string();
    let mut source = problem.cause.as_ref()?.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    Some(text)
}

fn panic_words(panic: &(dyn std::any::Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().map(ToString::to_string);
    let words = words.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", words.unwrap_or_default())
}
