//! What stands between a client and an sshd, and cuts the line at a byte.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

/// When a connection is cut, in bytes that went one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    Never,
    /// Once the client sent so many.
    Up(usize),
    /// Once the server sent so many.
    Down(usize),
}

/// What went through a connection.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    /// What the client sent, as it was on the wire.
    pub up: Vec<u8>,
    /// How much the server sent.
    pub down: usize,
    /// How much both had sent, client first, whenever the server spoke.
    pub turns: Vec<(usize, usize)>,
}

/// One way to one server. Every connection is treated alike, until [`Proxy::cut`] says otherwise.
pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Mutex<(Cut, Seen)>>,
    accepting: AbortHandle,
}

impl Proxy {
    pub async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new((Cut::Never, Seen::default())));
        let of_all = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(server).await.unwrap();
                of_all.lock().unwrap().1 = Seen::default();
                tokio::spawn(pass(client, server, Arc::clone(&of_all)));
            }
        });
        Self { address, shared, accepting: accepting.abort_handle() }
    }

    /// What is done to the connections that come.
    pub fn cut(&self, cut: Cut) {
        self.shared.lock().unwrap().0 = cut;
    }

    /// What went through the last connection so far.
    pub fn seen(&self) -> Seen {
        self.shared.lock().unwrap().1.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Passes bytes on until one side ends or the cut; then both sides see the end at once, in the middle of whatever it was.
async fn pass(mut client: TcpStream, mut server: TcpStream, shared: Arc<Mutex<(Cut, Seen)>>) {
    let (mut from_client, mut from_server) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    loop {
        let (end, sent) = tokio::select! {
            read = client.read(&mut from_client) => {
                let Ok(count @ 1..) = read else { return };
                let bytes = {
                    let (cut, seen) = &mut *shared.lock().unwrap();
                    let count = match cut {
                        Cut::Up(at) => count.min(at.saturating_sub(seen.up.len())),
                        Cut::Never | Cut::Down(_) => count,
                    };
                    seen.up.extend_from_slice(&from_client[..count]);
                    (matches!(cut, Cut::Up(at) if seen.up.len() >= *at), count)
                };
                (bytes.0, server.write_all(&from_client[..bytes.1]).await)
            }
            read = server.read(&mut from_server) => {
                let Ok(count @ 1..) = read else { return };
                let bytes = {
                    let (cut, seen) = &mut *shared.lock().unwrap();
                    let count = match cut {
                        Cut::Down(at) => count.min(at.saturating_sub(seen.down)),
                        Cut::Never | Cut::Up(_) => count,
                    };
                    let before = (seen.up.len(), seen.down);
                    seen.turns.push(before);
                    seen.down += count;
                    (matches!(cut, Cut::Down(at) if seen.down >= *at), count)
                };
                (bytes.0, client.write_all(&from_server[..bytes.1]).await)
            }
        };
        if end || sent.is_err() {
            return;
        }
    }
}
