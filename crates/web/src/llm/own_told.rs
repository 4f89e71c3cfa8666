//! What a machine is told of a call with its tenant's own key.
//!
//! The account is the tenant's, so what the vendor says of it goes on: which limit
//! was reached, what is not paid. Only what it says of a wrong key does not: some
//! vendors repeat a part of it.

use axum::response::Response;
use bytes::Bytes;
use clients::model::{ModelAnswer, ModelError};
use domain::credential::Kind;
use http::StatusCode;
use serde_json::json;

use super::told::{last_event, named, said};
use crate::problem::Problem;

/// There is no key.
pub(super) fn none(kind: Kind) -> Problem {
    let detail = format!(
        "This tenant has no {} of its own, and Berth has none to lend. Set one in Berth, among the credentials.",
        key(kind)
    );
    Problem::new(StatusCode::FORBIDDEN, "no-own-key", detail)
}

/// No more calls at once.
pub(super) fn too_many() -> Problem {
    let detail = "This tenant has too many model calls under way at once. Wait until one of them ends.";
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-calls", detail);
    Problem { retry_after_seconds: Some(5), ..problem }
}

/// No answer came, or not all of it.
pub(super) fn unanswered(kind: Kind, error: ModelError) -> Problem {
    let vendor = vendor(kind);
    let (status, slug, detail) = match error {
        ModelError::Unreachable(why) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "vendor-away",
            format!("Berth cannot reach {vendor} right now: {why}. Nothing was sent. Try again in a few seconds."),
        ),
        ModelError::Silent(_) | ModelError::TooLong(_) => (
            StatusCode::GATEWAY_TIMEOUT,
            "vendor-silent",
            format!("No answer came in time from {vendor}. It may charge your account for this call."),
        ),
        ModelError::Lost | ModelError::TooLarge(_) => (
            StatusCode::BAD_GATEWAY,
            "vendor-broke-off",
            format!("The answer of {vendor} broke off. It may charge your account for this call."),
        ),
    };
    Problem { cause: Some(Box::new(error)), ..Problem::new(status, slug, detail) }
}

/// What came is no answer.
pub(super) fn unreadable(kind: Kind) -> Problem {
    let detail = format!(
        "The answer of {} is none that Berth can read. It may charge your account for this call.",
        vendor(kind)
    );
    Problem::new(StatusCode::BAD_GATEWAY, "vendor-unreadable", detail)
}

/// The vendor's refusal, in its own words where they are about the request or the account.
pub(super) async fn refused(kind: Kind, mut answer: ModelAnswer) -> Response {
    let (vendor, words) = (vendor(kind), said(&mut answer).await);
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let quoted = |otherwise: &str| words.clone().unwrap_or_else(|| otherwise.to_owned());
    let mut problem = match answer.status {
        401 => {
            let detail = format!(
                "This tenant's own {} is not known to {vendor}. Set another one in Berth, among the credentials.",
                key(kind)
            );
            Problem::new(StatusCode::FORBIDDEN, "own-key-refused", detail)
        }
        400 | 402 | 403 | 404 | 413 | 422 => Problem::new(
            status,
            "vendor-refused",
            quoted(&format!("The request was refused by {vendor}, which did not say why.")),
        ),
        429 => Problem::new(
            status,
            "vendor-busy",
            quoted(&format!(
                "No more calls of your account are taken by {vendor} right now. Try again a little later."
            )),
        ),
        529 | 503 => Problem::new(
            status,
            "vendor-overloaded",
            format!("There is too much to do at {vendor} right now. Try again a little later."),
        ),
        _ => Problem {
            cause: Some(format!("a tenant's own vendor answered {}", answer.status).into()),
            ..Problem::new(
                StatusCode::BAD_GATEWAY,
                "vendor-fault",
                format!("There was a fault at {vendor}. Try again."),
            )
        },
    };
    problem.retry_after_seconds = answer.retry_after_seconds;
    named(problem, answer.request_id.as_deref())
}

/// The last event of a stream that broke off. It begins with an empty line, which ends a half event.
pub(super) fn broke_off(kind: Kind, error: &ModelError, request_id: Option<&str>) -> Bytes {
    let problem = unanswered(kind, error.clone());
    if kind == Kind::Anthropic {
        return last_event(&problem, request_id);
    }
    let error = json!({ "message": problem.detail, "type": "server_error", "param": null, "code": problem.slug });
    Bytes::from(format!("\n\ndata: {}\n\n", json!({ "error": error })))
}

const fn vendor(kind: Kind) -> &'static str {
    match kind {
        Kind::Anthropic => "Anthropic",
        Kind::OpenAi => "OpenAI",
        Kind::OpenRouter => "OpenRouter",
        Kind::Compatible | Kind::Telegram | Kind::Slack | Kind::Discord | Kind::Variable => {
            "the vendor at the tenant's own address"
        }
    }
}

const fn key(kind: Kind) -> &'static str {
    match kind {
        Kind::Anthropic => "Anthropic key",
        Kind::OpenAi => "OpenAI key",
        Kind::OpenRouter => "OpenRouter key",
        Kind::Compatible | Kind::Telegram | Kind::Slack | Kind::Discord | Kind::Variable => {
            "key for a compatible vendor"
        }
    }
}
