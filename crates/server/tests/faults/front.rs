//! What stands before several processes: connections go to one that takes them, one after the other.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::AbortHandle,
    time::{sleep, timeout},
};

/// Longest until whoever had this address before has let go of it.
const FREE_MAX: Duration = Duration::from_secs(10);

/// One port of the front. Dropping it closes the port; open connections end by themselves.
pub(crate) struct Front {
    behind: Arc<Vec<Behind>>,
    accepting: AbortHandle,
}

struct Behind {
    address: SocketAddr,
    /// Whether it is in rotation, as a health check would say.
    takes: AtomicBool,
}

impl Front {
    pub(crate) async fn open(address: SocketAddr, behind: &[SocketAddr]) -> Self {
        let listener = listen(address).await;
        let behind = behind.iter().map(|address| Behind { address: *address, takes: AtomicBool::new(true) }).collect();
        let behind = Arc::new(behind);
        let accepting = tokio::spawn(accept(listener, Arc::clone(&behind))).abort_handle();
        Self { behind, accepting }
    }

    /// Takes one in or out of rotation.
    pub(crate) fn rotate(&self, index: usize, takes: bool) {
        self.behind[index].takes.store(takes, Ordering::Relaxed);
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The fleet that had this network before may be on its last breath: its port closes a moment after it was dropped.
async fn listen(address: SocketAddr) -> TcpListener {
    let began = Instant::now();
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && began.elapsed() < FREE_MAX => {
                sleep(Duration::from_millis(10)).await;
            }
            Err(error) => panic!("{address}: {error}"),
        }
    }
}

async fn accept(listener: TcpListener, behind: Arc<Vec<Behind>>) {
    let next = Arc::new(AtomicUsize::new(0));
    loop {
        let Ok((mut stream, _)) = listener.accept().await else { continue };
        let (behind, turn) = (Arc::clone(&behind), next.fetch_add(1, Ordering::Relaxed));
        tokio::spawn(async move {
            stream.set_nodelay(true).ok();
            // Nobody takes it: the connection closes, as that of a front whose servers are all away.
            if let Some(mut server) = connect(&behind, turn).await {
                copy_bidirectional(&mut stream, &mut server).await.ok();
            }
        });
    }
}

async fn connect(behind: &[Behind], turn: usize) -> Option<TcpStream> {
    for n in 0..behind.len() {
        let one = &behind[(turn + n) % behind.len()];
        if !one.takes.load(Ordering::Relaxed) {
            continue;
        }
        if let Ok(Ok(server)) = timeout(Duration::from_millis(500), TcpStream::connect(one.address)).await {
            server.set_nodelay(true).ok();
            return Some(server);
        }
    }
    None
}
