//! One HTTP request over one connection, with bounds on time and size.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// Nobody listens there.
    #[error("cannot be reached")]
    Unreachable,
    /// The connection broke, or what came was no HTTP.
    #[error("broke off")]
    BrokeOff,
    /// The answer is larger than allowed.
    #[error("answered with more than is allowed")]
    TooLarge,
    /// No complete answer in time.
    #[error("did not answer in time")]
    Late,
}

/// Sends one request and reads the whole answer.
pub async fn send(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
    patience: Duration,
    bytes_max: usize,
) -> Result<(StatusCode, Bytes), HttpError> {
    timeout(patience, exchange(address, request, bytes_max)).await.unwrap_or(Err(HttpError::Late))
}

async fn exchange(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
    bytes_max: usize,
) -> Result<(StatusCode, Bytes), HttpError> {
    let stream = TcpStream::connect(address).await.map_err(|_| HttpError::Unreachable)?;
    let _ = stream.set_nodelay(true);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|_| HttpError::BrokeOff)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|_| HttpError::BrokeOff)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), bytes_max).collect().await.map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() { HttpError::TooLarge } else { HttpError::BrokeOff }
        })?;
        Ok((status, body.to_bytes()))
    };
    // The connection is driven here and dropped with the answer: nothing outlives the call.
    tokio::pin!(answer, connection);
    tokio::select! {
        answered = &mut answer => answered,
        _ = &mut connection => answer.await,
    }
}
