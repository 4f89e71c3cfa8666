//! One HTTP request over one connection, for simulated machines and for tests that ask Berth.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// A request.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its method.
    pub method: Method,
    /// `http://host:port/path`.
    pub url: String,
    /// Beside `host` and `content-type`.
    pub headers: Vec<(&'static str, String)>,
    /// Sent as JSON.
    pub body: Option<Value>,
    /// From the connection to the last byte of the answer.
    pub patience: Duration,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: String,
}

impl Answer {
    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// Sends it and reads the whole answer.
///
/// # Errors
/// A sentence: no connection, no whole answer, not in time.
pub async fn call(call: Call) -> Result<Answer, String> {
    let patience = call.patience;
    match tokio::time::timeout(patience, exchange(call)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} ms", patience.as_millis())),
    }
}

/// What a browser reads of an answer.
#[derive(Debug, Clone)]
pub struct Page {
    /// Its status.
    pub status: u16,
    /// Where it leads.
    pub location: Option<String>,
    /// Cookies that it sets, whole.
    pub set_cookies: Vec<String>,
    /// Its body.
    pub body: String,
}

/// Fetches a page, or posts a form, as a browser with these cookies would. No redirect is followed.
///
/// # Errors
/// A sentence: no connection, no whole answer.
pub async fn browse(url: &str, cookies: &str, form: Option<String>) -> Result<Page, String> {
    let uri: Uri = url.parse().map_err(|_| format!("{url} is no address"))?;
    let authority = uri.authority().ok_or("the address has no host")?.clone();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let method = if form.is_some() { Method::POST } else { Method::GET };
    let request = Request::builder().method(method).uri(path).header(header::HOST, authority.as_str());
    let request = request.header(header::ACCEPT, "text/html").header(header::COOKIE, cookies);
    let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let request = request.body(Full::new(Bytes::from(form.unwrap_or_default()))).map_err(|error| error.to_string())?;
    let stream = TcpStream::connect(authority.as_str()).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let talk = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let text = |value: &http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let location = response.headers().get(header::LOCATION).map(text);
        let set_cookies = response.headers().get_all(header::SET_COOKIE).iter().map(text).collect();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        Ok(Page { status, location, set_cookies, body: String::from_utf8_lossy(&body).into_owned() })
    };
    tokio::pin!(talk, connection);
    tokio::select! {
        answer = &mut talk => answer,
        _ = &mut connection => talk.await,
    }
}

async fn exchange(call: Call) -> Result<Answer, String> {
    let uri: Uri = call.url.parse().map_err(|_| format!("{} is no address", call.url))?;
    let authority = uri.authority().ok_or("the address has no host")?.clone();
    let address = if authority.port().is_some() { authority.to_string() } else { format!("{authority}:80") };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder().method(call.method).uri(path).header(header::HOST, authority.as_str());
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    if call.body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let body = call.body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
    let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
    let stream = TcpStream::connect(&address).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).ok();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let talk = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
    };
    // The connection is driven here and dropped with the answer: nothing outlives the call.
    tokio::pin!(talk, connection);
    tokio::select! {
        answer = &mut talk => answer,
        _ = &mut connection => talk.await,
    }
}
