//! Requests that two servers could read in two ways, and other ill-made ones: byte by byte, to the real listener.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use web::{Door, Limits};

use super::insides;
use crate::support::House;

async fn serving(house: &House) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = web::router(house.web.clone(), Door::Public);
    tokio::spawn(web::serve(listener, router, Limits::default(), CancellationToken::new()));
    address
}

/// All that comes back for these bytes: until the other side closes, or has said nothing for a while.
async fn said(address: SocketAddr, bytes: &[u8]) -> (String, bool) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may hang up before it has heard all of it.
    stream.write_all(bytes).await.ok();
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match timeout(Duration::from_millis(700), stream.read(&mut buffer)).await {
            Ok(Ok(0) | Err(_)) => return (String::from_utf8_lossy(&all).into_owned(), true),
            Ok(Ok(read)) => all.extend_from_slice(&buffer[..read]),
            Err(_) => return (String::from_utf8_lossy(&all).into_owned(), false),
        }
    }
}

fn answers(text: &str) -> usize {
    text.matches("HTTP/1.1 ").count()
}

const SECOND: &str = "GET /health HTTP/1.1\r\nHost: b\r\n\r\n";

/// What is hidden behind a body of doubtful length is never read as a request of its own.
#[tokio::test]
async fn no_second_request_hides_in_a_body_of_doubtful_length() {
    let house = House::new().await;
    let address = serving(&house).await;
    let post = "POST /api/v1/invites/validate HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\n";
    let doubtful = [
        ("both lengths", format!("{post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SECOND}")),
        (
            "both, the other way",
            format!("{post}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{SECOND}"),
        ),
        ("two lengths", format!("{post}Content-Length: 0\r\nContent-Length: {}\r\n\r\n{SECOND}", SECOND.len())),
        ("a list of lengths", format!("{post}Content-Length: 0, {}\r\n\r\n{SECOND}", SECOND.len())),
        ("a length with a sign", format!("{post}Content-Length: +0\r\n\r\n{SECOND}")),
        ("a negative length", format!("{post}Content-Length: -1\r\n\r\n{SECOND}")),
        ("a length of no digits", format!("{post}Content-Length: 0x0\r\n\r\n{SECOND}")),
        ("an unknown coding", format!("{post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{SECOND}")),
        ("chunked, but not last", format!("{post}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{SECOND}")),
        ("a space before the colon", format!("{post}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{SECOND}")),
        ("a folded line", format!("{post}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n{SECOND}")),
        ("a chunk without end", format!("{post}Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n{SECOND}")),
        ("a huge chunk", format!("{post}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n{SECOND}")),
        ("coding in 1.0", format!("{}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SECOND}", post.replace("1.1", "1.0"))),
    ];
    for (what, bytes) in doubtful {
        let (text, is_closed) = said(address, bytes.as_bytes()).await;
        assert!(answers(&text) <= 1, "{what}: {text}");
        assert!(!text.contains(r#"{"status":"ok"}"#), "{what}: {text}");
        assert!(is_closed, "{what}: the connection goes on: {text}");
        assert_eq!(insides(&text), None, "{what}: {text}");
    }
    let (text, _) = said(address, format!("{post}Content-Length: 2\r\n\r\n{{}}{SECOND}").as_bytes()).await;
    assert_eq!(answers(&text), 2, "two honest requests on one connection are answered: {text}");
}

/// Heads that are no heads, and heads that never end.
#[tokio::test]
async fn an_ill_made_head_is_refused() {
    let house = House::new().await;
    let address = serving(&house).await;
    let long = format!("GET /health HTTP/1.1\r\nHost: b\r\nX-Long: {}\r\n\r\n", "x".repeat(200_000));
    let many = format!("GET /health HTTP/1.1\r\nHost: b\r\n{}\r\n", "X-Many: 1\r\n".repeat(65));
    let far = format!("GET /{} HTTP/1.1\r\nHost: b\r\n\r\n", "x".repeat(200_000));
    for (what, bytes, status) in [
        ("a name with a space", "GET /health HTTP/1.1\r\nHo st: b\r\n\r\n", "400"),
        ("a name with nothing", "GET /health HTTP/1.1\r\n: b\r\n\r\n", "400"),
        ("a value with a nul", "GET /health HTTP/1.1\r\nHost: b\r\nX: a\0b\r\n\r\n", "400"),
        ("no version", "GET /health\r\nHost: b\r\n\r\n", "400"),
        ("another protocol", "GET /health SMTP/1.1\r\nHost: b\r\n\r\n", "400"),
        ("a longer head than is read", &long, "431"),
        ("more lines than are read", &many, "431"),
        ("a longer address than is read", &far, "431"),
    ] {
        let (text, is_closed) = said(address, bytes.as_bytes()).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")) && is_closed, "{what}: {text}");
        let head = text.to_lowercase();
        assert!(!head.contains("\r\nserver:") && !head.contains("hyper"), "{what}: {text}");
    }
    let (trace, _) = said(address, b"TRACE /health HTTP/1.1\r\nHost: b\r\nX-Secret: marker\r\n\r\n").await;
    assert!(trace.starts_with("HTTP/1.1 405 ") && !trace.contains("marker"), "{trace}");
}

/// Which host a request names changes nothing: addresses are made from the configured one.
#[tokio::test]
async fn the_host_that_a_request_names_is_in_no_answer() {
    let house = House::new().await;
    for path in ["/login", "/nothing", "/openapi.json", "/.well-known/security.txt", "/dashboard", "/signup", "/setup"]
    {
        let request = http::Request::get(path).header("host", "evil.example").header("accept", "text/html");
        let request = request.header("x-forwarded-host", "evil.example").header("forwarded", "host=evil.example");
        let answer = house.send(request.body(axum::body::Body::empty()).unwrap()).await;
        let all = format!("{:?}{}", answer.headers, answer.text);
        assert!(!all.contains("evil.example"), "{path}: {all}");
    }
}
