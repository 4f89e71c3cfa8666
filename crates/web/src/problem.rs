//! What a caller is told when something cannot be done (RFC 9457), and what only the operator reads.
//!
//! `detail` is a sentence for the caller; `cause` is for the log and has no way
//! into a body. A handler returns a [`Problem`]; [`crate::edge`] gives it the
//! request id and its dress: JSON, a page, or the model API's own form.

use std::{borrow::Cow, error::Error, sync::Arc};

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

type Cause = Box<dyn Error + Send + Sync>;

/// Why a request was not carried out.
#[derive(Debug)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// A stable word for programs; the end of `type`.
    pub slug: &'static str,
    /// What happened, what it means, what to do: sentences for the caller.
    pub detail: Cow<'static, str>,
    /// The part of the request that is meant, if there is one.
    pub field: Option<&'static str>,
    /// For the log only.
    pub cause: Option<Cause>,
    /// When it makes sense to ask again.
    pub retry_after_seconds: Option<u32>,
    /// How to sign in, on 401.
    pub challenge: Option<&'static str>,
}

impl Problem {
    /// The word of [`Self::factor_needed`], which leads a browser there.
    pub(crate) const FACTOR: &'static str = "second-factor";

    /// A problem of this status; `slug` names it for programs, `detail` for people.
    pub fn new(status: StatusCode, slug: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        Self { status, slug, detail, field: None, cause: None, retry_after_seconds: None, challenge: None }
    }

    /// There is no such thing, or it is not the caller's: the two read the same.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "There is nothing here. It may be gone, or the address may be mistyped.",
        )
    }

    /// Nobody is signed in.
    #[must_use]
    pub fn signed_out() -> Self {
        let detail = "You are not signed in. Send a personal token as `Authorization: Bearer berth_pat_…`, or sign in at /login.";
        Self { challenge: Some("Bearer realm=\"berth\""), ..Self::new(StatusCode::UNAUTHORIZED, "signed-out", detail) }
    }

    /// Somebody signed in a while ago and asks for what cannot be undone.
    #[must_use]
    pub fn sign_in_again() -> Self {
        let detail = "This cannot be undone, and you signed in more than ten minutes ago. Sign in again at /login?again=1, then do it once more.";
        Self { detail: detail.into(), slug: "sign-in-again", ..Self::signed_out() }
    }

    /// Somebody is signed in and may not do this.
    #[must_use]
    pub fn not_allowed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "not-allowed", detail)
    }

    /// An operator took the caller, or their tenant, out of service.
    #[must_use]
    pub fn suspended(who: &str, why: &str) -> Self {
        let detail = format!("{who} is suspended: {why}. Nothing was deleted. Ask whoever runs this Berth.");
        Self::new(StatusCode::FORBIDDEN, "suspended", detail)
    }

    /// An operator has to give a second factor first.
    #[must_use]
    pub fn factor_needed() -> Self {
        let detail = "Give your second factor first, at /factor. It holds for twelve hours in this browser.";
        Self::new(StatusCode::FORBIDDEN, Self::FACTOR, detail)
    }

    /// A value that cannot be; `field` names it.
    #[must_use]
    pub fn unusable(field: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { field: Some(field), ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unusable-value", detail) }
    }

    /// The request cannot be read.
    #[must_use]
    pub fn unreadable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "unreadable", detail)
    }

    /// The body is larger than this route takes.
    #[must_use]
    pub fn too_large(bytes_max: usize) -> Self {
        let detail = format!("The request's body is too large. This address takes at most {} KiB.", bytes_max / 1024);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
    }

    /// Too much of it for now; in so many seconds there is room again.
    #[must_use]
    pub fn too_many(seconds: u32) -> Self {
        let unit = if seconds == 1 { "second" } else { "seconds" };
        let detail = format!("That was too often for now, so it was not done. Wait {seconds} {unit}, then try again.");
        Self { retry_after_seconds: Some(seconds), ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many", detail) }
    }

    /// What is asked does not fit what is there.
    #[must_use]
    pub fn conflict(slug: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, slug, detail)
    }

    /// Something is missing that will be there again, or has to be set up first.
    #[must_use]
    pub fn unavailable(slug: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, slug, detail)
    }

    /// Berth itself failed. The caller gets the request id, the log gets the cause.
    #[must_use]
    pub fn broken(cause: impl Into<Cause>) -> Self {
        let detail = "Berth could not finish this: a fault on our side, now in our log. Nothing was changed. Try again; if it stays, quote the request id.";
        Self { cause: Some(cause.into()), ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, "fault", detail) }
    }

    /// The database does not answer right now.
    #[must_use]
    pub fn database_away(cause: impl Into<Cause>) -> Self {
        let detail = "Berth cannot reach its database right now. Nothing was changed; agents go on running. Try again in a few seconds.";
        Self { cause: Some(cause.into()), retry_after_seconds: Some(5), ..Self::unavailable("database-away", detail) }
    }

    /// This process holds no key that opens what is needed.
    #[must_use]
    pub fn sealed(cause: impl Into<Cause>) -> Self {
        let detail = "Berth runs without the key that opens secrets, so this cannot be done now. Nothing was changed; agents go on running. Whoever runs this Berth has to start it with its key.";
        Self { cause: Some(cause.into()), ..Self::unavailable("sealed", detail) }
    }

    /// The title that belongs to the status.
    #[must_use]
    pub fn title(&self) -> &'static str {
        match self.status {
            StatusCode::BAD_REQUEST => "The request cannot be read",
            StatusCode::UNAUTHORIZED => "Sign in first",
            StatusCode::FORBIDDEN => "That is not yours to do",
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::METHOD_NOT_ALLOWED => "This address does not do that",
            StatusCode::REQUEST_TIMEOUT => "The request took too long",
            StatusCode::CONFLICT => "That does not fit what is there",
            StatusCode::GONE => "That is used up",
            StatusCode::PAYLOAD_TOO_LARGE => "Too large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "Another content type is needed",
            StatusCode::UNPROCESSABLE_ENTITY => "A value cannot be used",
            StatusCode::TOO_MANY_REQUESTS => "Too many requests",
            StatusCode::SERVICE_UNAVAILABLE => "Not available right now",
            StatusCode::BAD_GATEWAY => "The answer cannot be used",
            StatusCode::GATEWAY_TIMEOUT => "The answer took too long",
            _ => "A fault in Berth",
        }
    }

    /// The body of `application/problem+json`.
    #[must_use]
    pub fn to_json(&self, request_id: &str) -> Value {
        let mut body = json!({
            "type": format!("urn:berth:problem:{}", self.slug),
            "title": self.title(),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "instance": format!("urn:uuid:{request_id}"),
            "request_id": request_id,
        });
        if let (Some(field), Some(map)) = (self.field, body.as_object_mut()) {
            map.insert("field".into(), json!(field));
        }
        body
    }

    /// The body that clients of the Chat Completions API expect.
    #[must_use]
    pub fn to_chat_json(&self, request_id: &str) -> Value {
        let kind = match self.status.as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            429 => "rate_limit_error",
            400..500 => "invalid_request_error",
            _ => "server_error",
        };
        let error = json!({ "message": self.detail, "type": kind, "param": self.field, "code": self.slug });
        json!({ "error": error, "request_id": request_id })
    }

    /// The body that clients of the Messages API expect.
    #[must_use]
    pub fn to_model_json(&self, request_id: &str) -> Value {
        let kind = match self.status.as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            503 | 529 => "overloaded_error",
            400..500 => "invalid_request_error",
            _ => "api_error",
        };
        json!({ "type": "error", "error": { "type": kind, "message": self.detail }, "request_id": request_id })
    }
}

/// A problem on its way to the edge, which writes the body.
#[derive(Debug, Clone)]
pub(crate) struct Undressed(pub Arc<Problem>);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(challenge) = self.challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response.extensions_mut().insert(Undressed(Arc::new(self)));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_has_no_way_into_a_body() {
        let problem = Problem::broken("password=hunter2");
        for body in [problem.to_json("r"), problem.to_model_json("r"), problem.to_chat_json("r")] {
            assert!(!body.to_string().contains("hunter2"));
        }
    }
}
