//! What a machine is told of a call: the vendor's answer, or why there is none.
//!
//! Errors are in the vendor's own form, in Berth's words: what the vendor says of
//! the house's account stays here.

use app::model_budget::HoldError;
use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use bytes::{Bytes, BytesMut};
use clients::model::{ModelAnswer, ModelError};
use futures::StreamExt as _;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::problem::Problem;

/// Most bytes of a vendor's refusal that are read.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// Only what a caller needs of the vendor's head goes on: the kind of body and the call's name.
pub(super) fn response(request_id: Option<&str>, kind: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(Ok(id)) = request_id.map(HeaderValue::from_str) {
        response.headers_mut().insert(HeaderName::from_static("request-id"), id);
    }
    response
}

/// Why a call is not paid for, as the vendor would say it.
pub(super) fn refusal(error: HoldError) -> Result<Response, Problem> {
    match error {
        HoldError::Store(error) => Err(error.into()),
        HoldError::TooLarge { worst, limit } => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "budget-too-small",
            format!(
                "This call could cost up to {worst}, more than the {limit} that this tenant may spend on models in a \
                 day. Shorten it or ask for fewer max_tokens."
            ),
        )),
        HoldError::UsedUp { today, worst, limit } => {
            let detail = format!(
                "The model budget of today does not pay for this call: {} of {limit} is used or held for calls under \
                 way, and this one could cost up to {worst}. The budget begins anew at {}.",
                today.used,
                today.resets_at.format("%Y-%m-%d %H:%M UTC"),
            );
            let problem = Problem {
                retry_after_seconds: Some(today.resets_in_seconds),
                ..Problem::new(StatusCode::TOO_MANY_REQUESTS, "budget-used-up", detail)
            };
            // The vendor's clients would try again at once.
            let mut response = problem.into_response();
            response.headers_mut().insert("x-should-retry", HeaderValue::from_static("false"));
            Ok(response)
        }
    }
}

/// No answer came, or not all of it.
pub(super) fn unanswered(error: ModelError) -> Problem {
    let (status, slug, detail) = match error {
        ModelError::Unreachable(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "vendor-away",
            "Berth cannot reach the model vendor right now. Nothing was charged. Try again in a few seconds.",
        ),
        ModelError::Silent(_) | ModelError::TooLong(_) => (
            StatusCode::GATEWAY_TIMEOUT,
            "vendor-silent",
            "The model vendor did not answer in time. What it may charge for this call is charged to today's budget.",
        ),
        ModelError::Lost | ModelError::TooLarge(_) => (
            StatusCode::BAD_GATEWAY,
            "vendor-broke-off",
            "The model vendor's answer broke off. What it may charge for this call is charged to today's budget.",
        ),
    };
    Problem { cause: Some(Box::new(error)), ..Problem::new(status, slug, detail) }
}

pub(super) fn unreadable() -> Problem {
    let detail = "The model vendor's answer is none that Berth can read. What it may charge for this call is charged to today's budget.";
    Problem::new(StatusCode::BAD_GATEWAY, "vendor-unreadable", detail)
}

/// What a vendor says of its refusal, if it does. Both APIs say it in the same place.
pub(super) async fn said(answer: &mut ModelAnswer) -> Option<String> {
    let mut body = BytesMut::new();
    while let Some(Ok(piece)) = answer.body.next().await {
        if body.len() + piece.len() > REFUSAL_BYTES_MAX {
            break;
        }
        body.extend_from_slice(&piece);
    }
    let body: Value = serde_json::from_slice(&body).ok()?;
    Some(body.pointer("/error/message")?.as_str()?.chars().take(1000).collect())
}

/// The vendor's refusal in Berth's words, but for what it says about the request itself.
pub(super) async fn refused(mut answer: ModelAnswer) -> Result<Response, Problem> {
    let said = said(&mut answer).await;
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let problem = |status, slug, detail: &'static str| Problem::new(status, slug, detail);
    let mut problem = match answer.status {
        400 | 404 | 413 => Problem::new(
            status,
            "vendor-refused",
            said.unwrap_or_else(|| "The model vendor refused the request and did not say why.".to_owned()),
        ),
        429 => problem(
            status,
            "vendor-busy",
            "The model vendor takes no more calls from this installation right now. Nothing was charged. Try again a little later.",
        ),
        401..=403 => Problem {
            cause: Some(
                "the model vendor refuses this installation's key: look at ANTHROPIC_API_KEY and the account".into(),
            ),
            ..problem(
                StatusCode::BAD_GATEWAY,
                "vendor-account",
                "The model vendor refuses this installation. Its operator has to look at the vendor's account. Nothing was charged.",
            )
        },
        529 | 503 => problem(
            status,
            "vendor-overloaded",
            "The model vendor is overloaded right now. Nothing was charged. Try again a little later.",
        ),
        _ => Problem {
            cause: Some(format!("the model vendor answered {}", answer.status).into()),
            ..problem(
                StatusCode::BAD_GATEWAY,
                "vendor-fault",
                "The model vendor had a fault of its own. Nothing was charged. Try again.",
            )
        },
    };
    problem.retry_after_seconds = answer.retry_after_seconds;
    Ok(named(problem, answer.request_id.as_deref()))
}

/// A refusal with the vendor's name for the call.
pub(super) fn named(problem: Problem, request_id: Option<&str>) -> Response {
    let mut response = problem.into_response();
    if let Some(Ok(id)) = request_id.map(HeaderValue::from_str) {
        response.headers_mut().insert(HeaderName::from_static("request-id"), id);
    }
    response
}

/// The last event of a stream that broke off. It begins with an empty line, which ends a half event.
pub(super) fn broke_off(error: &ModelError, request_id: Option<&str>) -> Bytes {
    last_event(&unanswered(error.clone()), request_id)
}

/// The same, of a problem.
pub(super) fn last_event(problem: &Problem, request_id: Option<&str>) -> Bytes {
    let error = json!({ "type": "api_error", "message": problem.detail });
    let body = json!({ "type": "error", "error": error, "request_id": request_id });
    Bytes::from(format!("\n\nevent: error\ndata: {body}\n\n"))
}
