//! A wire to the database that counts how often somebody waits for its other end.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use store::{Db, DbOptions};
use testkit::Database;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixStream},
};

/// The database behind a counting wire.
pub struct Wire {
    pub db: Db,
    trips: Arc<AtomicUsize>,
}

impl Wire {
    pub async fn to(database: &Database) -> Self {
        let url = url::Url::parse(&database.url_as("berth_login")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let trips = Arc::new(AtomicUsize::new(0));
        let (counter, server) = (Arc::clone(&trips), url.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(connect(near, server.clone(), Arc::clone(&counter)));
            }
        });
        let url = format!("postgres://berth_login@{address}{}?sslmode=disable", url.path());
        let db = Db::connect(&DbOptions { url, connections_max: 1 }).await.unwrap();
        Self { db, trips }
    }

    /// Round trips so far: statements sent, with their transactions' beginnings and ends.
    pub fn trips(&self) -> usize {
        self.trips.load(Ordering::SeqCst)
    }
}

async fn connect(near: TcpStream, server: url::Url, trips: Arc<AtomicUsize>) {
    let port = server.port().unwrap_or(5432);
    let socket = server.query_pairs().find(|(name, _)| name == "host").map(|(_, folder)| folder.into_owned());
    if let Some(folder) = socket {
        let far = UnixStream::connect(format!("{folder}/.s.PGSQL.{port}")).await.unwrap();
        pump(near, tokio::io::split(far), trips).await;
    } else {
        let far = TcpStream::connect((server.host_str().unwrap(), port)).await.unwrap();
        pump(near, tokio::io::split(far), trips).await;
    }
}

async fn pump(
    near: TcpStream,
    (mut from_far, to_far): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    trips: Arc<AtomicUsize>,
) {
    let (from_near, mut to_near) = near.into_split();
    let out = count(from_near, to_far, trips);
    let back = tokio::io::copy(&mut from_far, &mut to_near);
    tokio::select! {
        _ = out => {}
        _ = back => {}
    }
}

/// Passes messages on: the first has a length only, the others a letter before it. `Q`, and
/// `S` after a statement, ask for an answer; an `S` alone is the pool's ping when it takes a connection back.
async fn count(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    trips: Arc<AtomicUsize>,
) -> std::io::Result<()> {
    let (mut is_first, mut asks) = (true, false);
    loop {
        if !is_first {
            let kind = from.read_u8().await?;
            let is_trip = kind == b'Q' || (kind == b'S' && asks);
            asks = kind != b'S' && (asks || kind == b'P' || kind == b'B');
            trips.fetch_add(usize::from(is_trip), Ordering::SeqCst);
            to.write_u8(kind).await?;
        }
        is_first = false;
        let length = from.read_u32().await?;
        to.write_u32(length).await?;
        let mut rest = vec![0; length as usize - 4];
        from.read_exact(&mut rest).await?;
        to.write_all(&rest).await?;
        to.flush().await?;
    }
}
