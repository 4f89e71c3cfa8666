//! One call to Stripe: the key in a header, bounds on time and size, and what an answer without success means.

use std::time::Duration;

use domain::billing::IdempotencyKey;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use reqwest::Client;
use stripe_client_core::{RequestBuilder, StripeMethod};
use tokio::time::timeout;
use url::Url;
use vault::Secret;
use zeroize::Zeroizing;

use super::{ANSWER_MAX, API_VERSION, CALL_MAX, NoStripe, wire};
use crate::{
    outgoing::{self, NoAnswer},
    payments::PaymentsError,
};

const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Longest that Stripe is left alone at its word.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);
/// Most characters of a sentence of Stripe's.
const WHY_CHARS_MAX: usize = 300;

pub(super) struct Line {
    http: Client,
    address: Url,
    authorization: HeaderValue,
    call_max: Duration,
}

impl Line {
    pub(super) fn new(address: &Url, key: &Secret) -> Result<Self, NoStripe> {
        let is_safe = address.scheme() == "https" || (address.scheme() == "http" && outgoing::is_loopback(address));
        let address = address.join("v1/").ok().filter(|_| is_safe).ok_or(NoStripe::BadAddress)?;
        let rest = key.expose_text().and_then(|text| {
            ["sk_test_", "sk_live_", "rk_test_", "rk_live_"].iter().find_map(|prefix| text.strip_prefix(prefix))
        });
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let is_key = rest.is_some_and(|rest| (8..=250).contains(&rest.len()) && rest.bytes().all(plain));
        let bearer = Zeroizing::new([b"Bearer ", key.expose()].concat());
        let authorization = outgoing::sensitive(&bearer).ok().filter(|_| is_key).ok_or(NoStripe::BadKey)?;
        // Over HTTP/1.1: an HTTP/2 library has tables of headers, and a log of its own.
        let http = outgoing::builder(CONNECT_MAX).http1_only().build().map_err(|_| NoStripe::NoTls)?;
        Ok(Self { http, address, authorization, call_max: CALL_MAX })
    }

    pub(super) fn within(self, call_max: Duration) -> Self {
        Self { call_max, ..self }
    }

    /// The body of an answer with success.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        key: Option<&IdempotencyKey>,
    ) -> Result<Vec<u8>, PaymentsError> {
        let answered = timeout(self.call_max, self.exchange(request, key)).await;
        let answered =
            answered.unwrap_or_else(|_| Err(unavailable(format!("no answer in {} ms", self.call_max.as_millis()))));
        if let Err(error) = &answered {
            tracing::warn!(%error, "a call to Stripe failed");
        }
        answered
    }

    async fn exchange(&self, request: RequestBuilder, key: Option<&IdempotencyKey>) -> Result<Vec<u8>, PaymentsError> {
        let RequestBuilder { query, body, path, method } = request;
        // The path is made of Stripe's words and parsed names.
        let mut url = self.address.join(path.trim_start_matches('/')).map_err(|_| wire::garbled("no such path"))?;
        url.set_query(query.as_deref().filter(|query| !query.is_empty()));
        let method = match method {
            StripeMethod::Get => Method::GET,
            StripeMethod::Post => Method::POST,
            StripeMethod::Delete => Method::DELETE,
        };
        let mut request = self
            .http
            .request(method, url)
            .header("authorization", self.authorization.clone())
            .header("stripe-version", API_VERSION);
        if let Some(key) = key {
            request = request.header("idempotency-key", key.as_str());
        }
        if let Some(body) = body.filter(|body| !body.is_empty()) {
            request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        let response = outgoing::send(request).await.map_err(no_answer)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let heard = outgoing::read(response, ANSWER_MAX).await.map_err(no_answer)?;
        if !status.is_success() {
            return Err(judge(status, &headers, &heard.body));
        }
        if heard.is_whole { Ok(heard.body) } else { Err(wire::garbled("the answer is too large")) }
    }
}

fn unavailable(why: impl Into<String>) -> PaymentsError {
    PaymentsError::Unavailable { why: why.into(), retry_after: None }
}

fn no_answer(none: NoAnswer) -> PaymentsError {
    unavailable(match none {
        NoAnswer::Unreachable | NoAnswer::NotPublic => "no connection",
        NoAnswer::Broken => "the connection broke before the whole answer came",
    })
}

/// What an answer without success means. Source: Stripe API Reference, "Errors" and "Idempotent requests".
fn judge(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> PaymentsError {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match status.as_u16() {
        401 | 403 => PaymentsError::BadKey,
        404 => PaymentsError::NotFound,
        500.. if text("idempotent-replayed") == Some("true") => PaymentsError::KeySpent,
        409 | 424 | 429 | 500.. => {
            let seconds = text("retry-after").and_then(|text| text.parse().ok());
            let retry_after = seconds.map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
            PaymentsError::Unavailable { why: format!("it answered {}", status.as_u16()), retry_after }
        }
        400..500 => {
            let told = wire::trouble(body);
            let code = told.code.or(told.kind).unwrap_or_else(|| status.as_u16().to_string());
            PaymentsError::Refused { code: cleaned(&code), why: cleaned(&told.message.unwrap_or_default()) }
        }
        other => wire::garbled(format!("the status {other}")),
    }
}

/// A sentence of Stripe's as one line without what may be a secret: such sentences are seen by operators.
fn cleaned(words: &str) -> String {
    let is_secret = |word: &str| ["sk_", "rk_", "whsec_", "@"].iter().any(|mark| word.contains(mark));
    let shown = words.split_whitespace().map(|word| if is_secret(word) { "…" } else { word });
    let line = shown.collect::<Vec<_>>().join(" ");
    line.chars().filter(|c| !c.is_control()).take(WHY_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> PaymentsError {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        judge(StatusCode::from_u16(status).unwrap(), &headers.collect(), body.as_bytes())
    }

    #[test]
    fn each_status_has_its_meaning() {
        let transient = |status, headers: &[_]| judged(status, headers, "").is_transient();
        for status in [409, 424, 429, 500, 502, 503, 504] {
            assert!(transient(status, &[]), "{status}");
        }
        assert_eq!(judged(429, &[("retry-after", "7")], "").retry_after(), Some(Duration::from_secs(7)));
        assert_eq!(judged(429, &[("retry-after", "999999")], "").retry_after(), Some(RETRY_AFTER_MAX));
        assert_eq!(judged(429, &[("retry-after", "Thu")], "").retry_after(), None);
        assert_eq!(judged(500, &[("idempotent-replayed", "true")], ""), PaymentsError::KeySpent);
        assert_eq!((judged(401, &[], ""), judged(403, &[], "")), (PaymentsError::BadKey, PaymentsError::BadKey));
        assert_eq!(judged(404, &[], ""), PaymentsError::NotFound);
        assert!(matches!(judged(302, &[], ""), PaymentsError::Garbled { .. }));
    }

    #[test]
    fn a_refusal_tells_stripes_sentence_without_what_may_be_secret() {
        let body = r#"{"error":{"type":"invalid_request_error","code":"resource_missing",
            "message":"No such\nprice: 'price_1', key sk_test_hunter2 of eve@evil.example"}}"#;
        let PaymentsError::Refused { code, why } = judged(400, &[], body) else { panic!("refused") };
        assert_eq!((code.as_str(), why.as_str()), ("resource_missing", "No such price: 'price_1', key … of …"));
        assert_eq!(judged(400, &[], "<html>"), PaymentsError::Refused { code: "400".to_owned(), why: String::new() });
        assert_eq!(cleaned(&"long ".repeat(1_000)).chars().count(), WHY_CHARS_MAX);
    }
}
