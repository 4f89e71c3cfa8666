//! Stripe's HTTP: the key, idempotency, faults on demand, and the ledger.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use super::{FakeStripe, STRIPE_KEY, State, StripeCall, StripeFault, api, form};

/// Why a call is refused: a status, and what stands in `error`.
#[derive(Debug, Clone)]
pub(super) struct Refusal(pub(super) u16, pub(super) Value);

impl Refusal {
    /// A request that is wrong.
    pub(super) fn invalid(message: impl Into<String>, param: Option<&str>) -> Self {
        Self(400, json!({ "type": "invalid_request_error", "message": message.into(), "param": param }))
    }

    /// Something that is not there.
    pub(super) fn missing(status: u16, what: &str, id: &str, param: &str) -> Self {
        let message = format!("No such {what}: '{id}'");
        Self(
            status,
            json!({ "type": "invalid_request_error", "code": "resource_missing", "message": message, "param": param }),
        )
    }
}

/// What a key was used for, and what came of it.
#[derive(Debug)]
pub(super) struct Kept {
    words: String,
    status: u16,
    body: String,
}

/// Serves until the listener breaks.
pub(super) async fn serve(listener: TcpListener, stripe: FakeStripe) {
    while let Ok((stream, _)) = listener.accept().await {
        let stripe = stripe.clone();
        let service = service_fn(move |request| {
            let stripe = stripe.clone();
            async move { answer(&stripe, request).await }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(stripe: &FakeStripe, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let mut params = form::read(head.uri.query().unwrap_or_default().as_bytes());
    params.extend(form::read(&body));
    let call = StripeCall {
        method: head.method.clone(),
        path: head.uri.path().to_owned(),
        params: Value::Object(params.clone()),
        idempotency_key: header("idempotency-key").map(str::to_owned),
        version: header("stripe-version").map(str::to_owned),
        status: 0,
    };
    let is_known = header("authorization").is_some_and(|value| {
        value.strip_prefix("Bearer ") == Some(STRIPE_KEY)
            || value.strip_prefix("Basic ").is_some_and(|basic| is_basic(basic.as_bytes()))
    });
    let (place, fault) = {
        let mut state = stripe.state();
        state.calls.push(call.clone());
        let outage = state.outage;
        (state.calls.len() - 1, state.faults.pop_front().or(outage))
    };
    let (status, body, headers) = match fault {
        Some(StripeFault::Limited { seconds }) => {
            let told = json!({ "error": { "type": "invalid_request_error", "code": "rate_limit",
                "message": "Request rate limit exceeded." } });
            (429, told.to_string(), vec![("retry-after", seconds.to_string())])
        }
        Some(StripeFault::CutBefore) => return Err(std::io::ErrorKind::ConnectionReset.into()),
        Some(StripeFault::Mute) => std::future::pending().await,
        None | Some(StripeFault::CutAfter | StripeFault::Failed | StripeFault::FailedAfter) => {
            let mut state = stripe.state();
            let (status, body, replayed) = if is_known {
                once(&mut state, &call, &params, fault)
            } else {
                let message = "Invalid API Key provided: sk_test_*****none";
                (401, json!({ "error": { "type": "invalid_request_error", "message": message } }).to_string(), false)
            };
            let headers = if replayed { vec![("idempotent-replayed", "true".to_owned())] } else { Vec::new() };
            (status, body, headers)
        }
    };
    if let Some(call) = stripe.state().calls.get_mut(place) {
        call.status = status;
    }
    if matches!(fault, Some(StripeFault::CutAfter)) {
        return Err(std::io::ErrorKind::ConnectionReset.into());
    }
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let into = response.headers_mut();
    into.insert("content-type", HeaderValue::from_static("application/json"));
    into.insert("request-id", HeaderValue::from_static("req_fake"));
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            into.insert(name, value);
        }
    }
    Ok(response)
}

/// `curl -u KEY:` and some clients send the key like this.
fn is_basic(text: &[u8]) -> bool {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.decode(text).is_ok_and(|bytes| bytes == format!("{STRIPE_KEY}:").as_bytes())
}

/// Does a call, or says again what it came to. The last of the answer: whether it is said again.
fn once(
    state: &mut State,
    call: &StripeCall,
    params: &Map<String, Value>,
    fault: Option<StripeFault>,
) -> (u16, String, bool) {
    let key = call.idempotency_key.as_ref().filter(|_| call.method == Method::POST);
    let words = format!("{} {}", call.path, call.params);
    if let Some(kept) = key.and_then(|key| state.keys.get(key)) {
        if kept.words != words {
            let message = "Keys for idempotent requests can only be used with the same parameters they were first used \
                           with. Try using a key other than the one given if you meant to execute a different request.";
            return (400, json!({ "error": { "type": "idempotency_error", "message": message } }).to_string(), false);
        }
        return (kept.status, kept.body.clone(), true);
    }
    let failed = (500, json!({ "error": { "type": "api_error", "message": "An unknown error occurred" } }));
    let (status, body) = match fault {
        Some(StripeFault::Failed) => failed,
        _ => match api::answer(state, &call.method, &call.path, params) {
            Ok(_) if matches!(fault, Some(StripeFault::FailedAfter)) => failed,
            Ok(body) => (200, body),
            Err(Refusal(status, error)) => (status, json!({ "error": error })),
        },
    };
    let body = body.to_string();
    // What was wrong before anything began is not remembered: the key is as good as new.
    if let Some(key) = key
        && !(400..500).contains(&status)
    {
        state.keys.insert(key.clone(), Kept { words, status, body: body.clone() });
    }
    (status, body, false)
}
