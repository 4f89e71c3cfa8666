//! The TCP connection under SSH: acknowledges at once, and ends when its owner lets go.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::oneshot,
};

/// A TCP connection for a session that russh runs in a task of its own.
///
/// Two things that a plain `TcpStream` does not do:
/// - It asks for an immediate acknowledgement after every read. After sign-in
///   sshd sends a notice, and its Nagle then holds back the confirmation of our
///   channel until the delayed acknowledgement arrives: 43 ms of waiting in
///   every connection without this, 2 ms with it (measured). The kernel forgets the
///   setting, so it has to be repeated.
/// - It reads as closed once its [`Grip`] is gone. Without that, a peer which
///   falls silent in the middle of the key exchange would keep the session's
///   task alive after the call that wanted it has given up.
pub(crate) struct Line {
    stream: TcpStream,
    let_go: oneshot::Receiver<()>,
}

/// Whoever holds this holds the line; dropping it closes the connection.
pub(crate) struct Grip(#[expect(dead_code, reason = "its end is the message")] oneshot::Sender<()>);

impl Line {
    /// Connects without Nagle's algorithm.
    pub(crate) async fn open(address: SocketAddr) -> io::Result<(Self, Grip)> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (grip, let_go) = oneshot::channel();
        Ok((Self { stream, let_go }, Grip(grip)))
    }
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        if line.let_go.is_terminated() || Pin::new(&mut line.let_go).poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let read = Pin::new(&mut line.stream).poll_read(cx, buffer);
        if read.is_ready() {
            // A hint for speed; where the system does not know it, nothing is lost but time.
            SockRef::from(&line.stream).set_tcp_quickack(true).ok();
        }
        read
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn a_line_never_waits_for_nagle_and_acknowledges_every_read_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (mut line, _grip) = Line::open(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        assert!(line.stream.nodelay().unwrap());
        for _ in 0..3 {
            SockRef::from(&line.stream).set_tcp_quickack(false).unwrap();
            peer.write_all(b"x").await.unwrap();
            line.read_exact(&mut [0]).await.unwrap();
            assert!(SockRef::from(&line.stream).tcp_quickack().unwrap());
        }
    }

    #[tokio::test]
    async fn a_line_that_is_let_go_wakes_its_reader() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (mut line, grip) = Line::open(listener.local_addr().unwrap()).await.unwrap();
        let reader = tokio::spawn(async move { line.read(&mut [0]).await.map_err(|error| error.kind()) });
        tokio::task::yield_now().await;
        drop(grip);
        assert_eq!(reader.await.unwrap(), Err(io::ErrorKind::ConnectionAborted));
    }
}
