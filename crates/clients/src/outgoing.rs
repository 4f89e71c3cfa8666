//! What all calls over HTTP have in common: no redirect is followed, no proxy is taken from the environment, every
//! answer has a bound.
//!
//! A redirect would carry a key elsewhere; a proxy would read it. No text of the
//! HTTP library goes on from here: it would hold the address, which may hold a token.

use std::time::Duration;

use futures::StreamExt as _;
use http::{HeaderValue, header::InvalidHeaderValue};
use reqwest::{Client, ClientBuilder, RequestBuilder, Response, redirect::Policy};
use url::{Host, Url};

use crate::reach::NotPublic;

/// What a client is made from.
pub(crate) fn builder(connect: Duration) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("berth/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(connect)
}

/// A header's value that is printed nowhere.
pub(crate) fn sensitive(text: &[u8]) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::from_bytes(text)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whether this is a host of the same machine, to which plain http may go.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(domain)) => domain == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// No connection: the other side has heard nothing.
    Unreachable,
    /// The name leads to an address that is not on the public internet: nothing was sent.
    NotPublic,
    /// The connection broke, or what came is no HTTP.
    Broken,
}

/// The beginning of an answer.
pub(crate) async fn send(request: RequestBuilder) -> Result<Response, NoAnswer> {
    request.send().await.map_err(|error| NoAnswer::of(&error))
}

impl NoAnswer {
    pub(crate) fn of(error: &reqwest::Error) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(one) = cause {
            if one.is::<NotPublic>() {
                return Self::NotPublic;
            }
            cause = one.source();
        }
        if error.is_connect() || error.is_builder() { Self::Unreachable } else { Self::Broken }
    }
}

/// The body of an answer, or its beginning.
pub(crate) struct Heard {
    pub(crate) body: Vec<u8>,
    /// Whether that is all of it.
    pub(crate) is_whole: bool,
}

/// Reads at most so many bytes of an answer.
pub(crate) async fn read(response: Response, bytes_max: usize) -> Result<Heard, NoAnswer> {
    let (mut body, mut pieces) = (Vec::new(), response.bytes_stream());
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| NoAnswer::Broken)?;
        let room = bytes_max - body.len();
        body.extend_from_slice(piece.get(..room).unwrap_or(&piece));
        if piece.len() > room {
            return Ok(Heard { body, is_whole: false });
        }
    }
    Ok(Heard { body, is_whole: true })
}
