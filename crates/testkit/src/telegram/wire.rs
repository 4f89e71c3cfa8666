//! The Bot API's HTTP: `/bot<token>/<method>`, parameters as JSON, as a form or in the address.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use super::FakeBotApi;

/// Serves until the listener breaks.
pub(super) async fn serve(listener: TcpListener, api: FakeBotApi) {
    while let Ok((stream, _)) = listener.accept().await {
        let api = api.clone();
        let service = service_fn(move |request| {
            let api = api.clone();
            async move { Ok::<_, Infallible>(answer(&api, request).await) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(api: &FakeBotApi, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let path = head.uri.path().strip_prefix("/bot").and_then(|rest| rest.split_once('/'));
    let Some((token, method)) = path else { return failed((404, "Not Found")) };
    let kind = head.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let mut params = form(head.uri.query().unwrap_or_default().as_bytes());
    if kind.starts_with("application/json") {
        let Ok(Value::Object(given)) = serde_json::from_slice(&body) else {
            return failed((400, "Bad Request: can't parse JSON object"));
        };
        params.extend(given);
    } else if kind.starts_with("application/x-www-form-urlencoded") {
        params.extend(form(&body));
    }
    let token = percent_decoded(token);
    match api.call(token, method.to_owned(), Value::Object(params)).await {
        Ok(result) => respond(200, &json!({ "ok": true, "result": result })),
        Err(refused) => failed(refused),
    }
}

fn failed((status, words): (u16, &str)) -> Response<Full<Bytes>> {
    let mut body = json!({ "ok": false, "error_code": status, "description": words });
    if status == 429
        && let Value::Object(map) = &mut body
    {
        map.insert("parameters".to_owned(), json!({ "retry_after": 1 }));
    }
    respond(status, &body)
}

fn respond(status: u16, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}

fn form(text: &[u8]) -> Map<String, Value> {
    let pairs = url::form_urlencoded::parse(text);
    pairs.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect()
}

/// A token's colon may come as `%3A`.
fn percent_decoded(text: &str) -> String {
    text.replace("%3A", ":").replace("%3a", ":")
}
