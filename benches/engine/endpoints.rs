//! The simulated machines of B7: small HTTP servers on loopback addresses, some dead, some slow.

use std::{net::Ipv4Addr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{lines, lines::Failure};

/// Addresses that the machines share: one alone would run out of ports.
const ADDRESSES: u8 = 64;
/// How long a slow machine takes.
const SLOW: Duration = Duration::from_millis(1500);
/// Longer than anybody waits.
const FOREVER: Duration = Duration::from_mins(1);

/// How a machine behaves; known from its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Answers after the latency.
    Well,
    /// Answers after [`SLOW`]: well, all the same.
    Slow,
    /// Cuts the connection.
    Cuts,
    /// Takes the connection and never answers.
    Hangs,
}

impl Mood {
    /// One in a hundred is dead (every other one hangs), one in a hundred is slow.
    pub(crate) const fn of(machine: u32) -> Self {
        match (machine % 100, machine / 100 % 2) {
            (13, 0) => Self::Hangs,
            (13, _) => Self::Cuts,
            (57, _) => Self::Slow,
            _ => Self::Well,
        }
    }

    pub(crate) const fn is_dead(self) -> bool {
        matches!(self, Self::Cuts | Self::Hangs)
    }
}

/// Where a machine listens, beside the port.
pub(crate) fn address(machine: u32) -> Ipv4Addr {
    let last = u8::try_from(machine % u32::from(ADDRESSES)).unwrap_or_default();
    Ipv4Addr::new(127, 32, 0, last + 1)
}

/// Serves until it is told to end; says the port first.
pub(crate) async fn serve(machines: u32, latency_ms: u64) -> Result<(), Failure> {
    let latency = Duration::from_millis(latency_ms);
    let first = TcpListener::bind((address(0), 0)).await?;
    let port = first.local_addr()?.port();
    tokio::spawn(listen(first, machines, latency));
    for other in 1..u32::from(ADDRESSES) {
        let socket = TcpListener::bind((address(other), port)).await?;
        tokio::spawn(listen(socket, machines, latency));
    }
    lines::say(&port.to_string());
    lines::until(&mut lines::heard(), "end").await;
    Ok(())
}

async fn listen(listener: TcpListener, machines: u32, latency: Duration) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move { answer(stream, machines, latency).await });
        }
    }
}

/// `GET /<number>`: the machine of that number answers in its own way.
async fn answer(mut stream: TcpStream, machines: u32, latency: Duration) -> Option<()> {
    let mut request = [0; 512];
    let length = stream.read(&mut request).await.ok()?;
    let text = std::str::from_utf8(request.get(..length)?).ok()?;
    let number: u32 = text.strip_prefix("GET /")?.split_whitespace().next()?.parse().ok()?;
    match Mood::of(number) {
        Mood::Well => tokio::time::sleep(latency).await,
        Mood::Slow => tokio::time::sleep(SLOW).await,
        Mood::Cuts => return stream.set_zero_linger().ok(),
        Mood::Hangs => {
            // Until the other side gives up.
            tokio::time::timeout(FOREVER, stream.read(&mut request)).await.ok();
            return None;
        }
    }
    let (status, body) = if number < machines { ("200 OK", "ready") } else { ("404 Not Found", "unknown") };
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    stream.write_all(head.as_bytes()).await.ok()
}
