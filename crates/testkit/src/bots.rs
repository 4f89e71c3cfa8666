//! What the fakes of Slack and Discord share: one port for calls by HTTP and for sockets that stay open, in the clear or
//! under TLS.

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::service_fn,
    upgrade::{self, Upgraded},
};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::derive_accept_key, protocol::Role},
};

/// A socket that stays open.
pub(crate) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// One call as it came.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Without what follows the question mark.
    pub(crate) path: String,
    /// The header `authorization`.
    pub(crate) authorization: String,
    /// What it asked for: JSON, a form, or what stands in the address.
    pub(crate) params: Value,
}

/// A vendor whom bots speak with.
pub(crate) trait Vendor: Clone + Send + Sync + 'static {
    /// Answers a call; nothing where there is nothing to say. `sockets` is where its own sockets are opened, if it is not
    /// the vendor's own name.
    fn answer(&self, call: Call, sockets: Option<SocketAddr>) -> (u16, Value);

    /// Holds a socket that was opened at this address until one of both ends it.
    fn hold(&self, target: &str, socket: Socket) -> impl Future<Output = ()> + Send;
}

/// Serves in the clear at a port of its own.
pub(crate) async fn plain<V: Vendor>(ip: &str, vendor: V) -> SocketAddr {
    let (listener, address) = port(ip).await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, vendor.clone(), Some(address)));
        }
    });
    address
}

/// Serves under TLS at a port of its own, for who takes it for the vendor.
pub(crate) async fn under_tls<V: Vendor>(ip: &str, acceptor: TlsAcceptor, vendor: V) -> SocketAddr {
    let (listener, address) = port(ip).await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, vendor) = (acceptor.clone(), vendor.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    connection(stream, vendor, None).await;
                }
            });
        }
    });
    address
}

async fn port(ip: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((ip, 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

async fn connection<V: Vendor>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    vendor: V,
    sockets: Option<SocketAddr>,
) {
    let service = service_fn(move |request| {
        let vendor = vendor.clone();
        async move { Ok::<_, Infallible>(answer(vendor, request, sockets).await) }
    });
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await.ok();
}

async fn answer<V: Vendor>(
    vendor: V,
    mut request: Request<Incoming>,
    sockets: Option<SocketAddr>,
) -> Response<Full<Bytes>> {
    if let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) {
        let accept = derive_accept_key(key.as_bytes());
        let target = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        tokio::spawn(async move {
            if let Ok(stream) = upgrade::on(&mut request).await {
                let socket = Socket::from_raw_socket(TokioIo::new(stream), Role::Server, None).await;
                vendor.hold(&target, socket).await;
            }
        });
        return switched(&accept);
    }
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let call = Call {
        method: head.method,
        path: head.uri.path().to_owned(),
        authorization: text(&head.headers, &header::AUTHORIZATION).to_owned(),
        params: params(&head.headers, head.uri.query().unwrap_or_default(), &body),
    };
    let (status, said) = vendor.answer(call, sockets);
    let text = if said.is_null() { String::new() } else { said.to_string() };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn switched(accept: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(accept).expect("base64"));
    response
}

/// What is said twice counts as said in the body.
fn params(headers: &HeaderMap, query: &str, body: &[u8]) -> Value {
    let mut all = form(query.as_bytes());
    if text(headers, &header::CONTENT_TYPE).starts_with("application/json") {
        match serde_json::from_slice(body) {
            Ok(Value::Object(given)) => all.extend(given),
            Ok(other) => return other,
            Err(_) => {}
        }
    } else {
        all.extend(form(body));
    }
    Value::Object(all)
}

fn form(text: &[u8]) -> Map<String, Value> {
    let pairs = url::form_urlencoded::parse(text);
    pairs.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect()
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
