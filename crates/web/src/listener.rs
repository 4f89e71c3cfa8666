//! The accept loop: how many connections, how long they may take, how they end.
//!
//! `axum::serve` installs no timer, so half-open connections stay for ever (200
//! of 200 were alive after a minute). This loop bounds every phase: the head of a
//! request, an answer that nobody reads, the age of a connection, their number,
//! and the drain at the end. Body and handler time are bounded per route in
//! [`crate::routes`]. Why HTTP/1.1 only: `docs/decisions/0041-listener.md`.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{Router, body::Body};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, Sleep, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service as _;

/// What a listener bears. The defaults are the ones that production runs on.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most connections at once; more wait in the kernel's queue.
    pub connections: usize,
    /// From the first byte that is waited for until the head of a request is complete. Bounds idle keep-alive too.
    pub head: Duration,
    /// How long an answer may lie unread in a full socket.
    pub unread: Duration,
    /// After this age a connection takes no further request.
    pub age: Duration,
    /// How long open requests may take to end when the process stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            head: Duration::from_secs(10),
            unread: Duration::from_secs(10),
            age: Duration::from_mins(10),
            drain: Duration::from_secs(10),
        }
    }
}

/// The other end of the connection, as the kernel reports it.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// Serves until `closing` is cancelled, then lets open requests end within [`Limits::drain`].
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, closing: CancellationToken) {
    let seats = Arc::new(Semaphore::new(limits.connections));
    let open = TaskTracker::new();
    let cut = CancellationToken::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = closing.cancelled() => break,
            accepted = take(&listener, &seats) => accepted,
        };
        let (stream, peer, seat) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors or a connection that died in the queue: neither ends the service.
                tracing::warn!(error = %error, "a connection could not be accepted");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (router, closing, cut) = (router.clone(), closing.clone(), cut.clone());
        open.spawn(async move {
            tokio::select! {
                () = attend(stream, peer, router, limits, closing) => {}
                () = cut.cancelled() => {}
            }
            drop(seat);
        });
    }
    drop(listener);
    open.close();
    if timeout(limits.drain, open.wait()).await.is_err() {
        tracing::warn!(connections = open.len(), "connections were cut at the end of the drain");
        cut.cancel();
        open.wait().await;
    }
}

async fn take(
    listener: &TcpListener,
    seats: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let seat = Arc::clone(seats).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer, seat))
}

async fn attend(stream: TcpStream, peer: SocketAddr, router: Router, limits: Limits, closing: CancellationToken) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut router = router.clone();
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Peer(peer));
            router.call(request).await
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_headers(64)
        .max_buf_size(64 * 1024)
        .half_close(false)
        .serve_connection(TokioIo::new(Impatient::new(stream, limits.unread)), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = sleep(limits.age) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %peer, error = %error, "a connection ended early");
    }
}

/// A stream whose writes fail once the other side has read nothing for a while.
struct Impatient {
    stream: TcpStream,
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Impatient {
    const fn new(stream: TcpStream, patience: Duration) -> Self {
        Self { stream, patience, stalled: None }
    }

    fn judge<T>(&mut self, result: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stalled = None;
            return result;
        }
        let patience = self.patience;
        let alarm = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + patience)));
        ready!(alarm.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other side does not read")))
    }
}

impl AsyncRead for Impatient {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.judge(result, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.judge(result, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
