//! What the listener bears: slow, silent, greedy and late callers.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, routing::get};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use web::Limits;

struct Serving {
    address: SocketAddr,
    closing: CancellationToken,
    task: JoinHandle<()>,
}

async fn serving(limits: Limits) -> Serving {
    let router = Router::new()
        .route("/", get(|| async { "here" }))
        .route(
            "/slow",
            get(|| async {
                sleep(Duration::from_millis(400)).await;
                "done"
            }),
        )
        .route(
            "/stuck",
            get(|| async {
                sleep(Duration::from_mins(10)).await;
                "never"
            }),
        )
        .route("/long", get(|| async { "x".repeat(64 << 20) }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, closing) = (listener.local_addr().unwrap(), CancellationToken::new());
    let task = tokio::spawn(web::serve(listener, router, limits, closing.clone()));
    Serving { address, closing, task }
}

async fn ask(stream: &mut TcpStream, path: &str) -> String {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: b\r\n\r\n").as_bytes()).await.unwrap();
    let mut buffer = [0; 2048];
    let read = timeout(Duration::from_secs(3), stream.read(&mut buffer)).await.expect("an answer").unwrap();
    String::from_utf8_lossy(&buffer[..read]).into_owned()
}

/// Whether the other side closes within the time.
async fn is_closed(stream: &mut TcpStream, within: Duration) -> bool {
    let mut sink = [0; 4096];
    timeout(within, async { while stream.read(&mut sink).await.is_ok_and(|read| read > 0) {} }).await.is_ok()
}

#[tokio::test]
async fn half_open_and_silent_connections_are_closed() {
    let limits = Limits { head: Duration::from_millis(300), ..Limits::default() };
    let serving = serving(limits).await;
    let mut held = Vec::new();
    for start in ["", "G", "PRI", "GET / HTTP/1.1\r\nHost: b\r\nX-Slow: "] {
        for _ in 0..25 {
            let mut stream = TcpStream::connect(serving.address).await.unwrap();
            stream.write_all(start.as_bytes()).await.unwrap();
            held.push(stream);
        }
    }
    let mut idle = TcpStream::connect(serving.address).await.unwrap();
    assert!(ask(&mut idle, "/").await.ends_with("here"));
    held.push(idle);
    for mut stream in held {
        assert!(is_closed(&mut stream, Duration::from_secs(2)).await);
    }
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_given_up() {
    let limits = Limits { unread: Duration::from_millis(300), ..Limits::default() };
    let serving = serving(limits).await;
    let mut stream = TcpStream::connect(serving.address).await.unwrap();
    stream.write_all(b"GET /long HTTP/1.1\r\nHost: b\r\n\r\n").await.unwrap();
    sleep(Duration::from_millis(1200)).await;
    let mut all = Vec::new();
    let read = timeout(Duration::from_secs(5), stream.read_to_end(&mut all)).await.expect("it is closed");
    assert!(read.is_err() || all.len() < 64 << 20, "the connection was cut before all of it was sent");
}

#[tokio::test]
async fn connections_are_counted_and_a_seat_comes_free() {
    let limits = Limits { connections: 2, head: Duration::from_millis(500), ..Limits::default() };
    let serving = serving(limits).await;
    let _one = TcpStream::connect(serving.address).await.unwrap();
    let _two = TcpStream::connect(serving.address).await.unwrap();
    let mut three = TcpStream::connect(serving.address).await.unwrap();
    let began = Instant::now();
    assert!(ask(&mut three, "/").await.ends_with("here"));
    assert!(began.elapsed() > Duration::from_millis(200), "it waited for a seat");
}

#[tokio::test]
async fn a_stop_lets_open_requests_end_and_cuts_stuck_ones() {
    let limits = Limits { drain: Duration::from_millis(900), ..Limits::default() };
    let serving = serving(limits).await;
    let mut slow = TcpStream::connect(serving.address).await.unwrap();
    let mut stuck = TcpStream::connect(serving.address).await.unwrap();
    stuck.write_all(b"GET /stuck HTTP/1.1\r\nHost: b\r\n\r\n").await.unwrap();
    let answer = tokio::spawn(async move { ask(&mut slow, "/slow").await });
    sleep(Duration::from_millis(100)).await;
    serving.closing.cancel();
    assert!(answer.await.unwrap().ends_with("done"), "a request under way is answered");
    timeout(Duration::from_secs(2), serving.task).await.expect("the drain has an end").unwrap();
    assert!(TcpStream::connect(serving.address).await.is_err(), "nobody listens any more");
}
