//! Berth as programs meet it that were written to find fault: slowhttptest (Debian), the MDN HTTP Observatory (npm),
//! schemathesis (PyPI). Each speaks to the real listener.

use std::{
    net::SocketAddr,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use tokio::{
    net::TcpListener,
    process::Command,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use url::Url;
use web::{Door, Limits, Pace, Site, Web};

use crate::{gate::Gate, support::House};

/// The house behind the listener that production runs on, at this public address.
fn serve(house: &House, public_url: &str, listener: TcpListener) -> SocketAddr {
    let address = listener.local_addr().unwrap();
    let ready: web::Ready = Arc::new(|| Box::pin(async { Ok(()) }));
    let mut site = Site::new(Url::parse(public_url).unwrap(), None, None, ready);
    // One program asks as fast as it can.
    site.pace = Pace::per_minute(0);
    let router: Router = web::router(Web { site: Arc::new(site), ..house.web.clone() }, Door::Public);
    tokio::spawn(web::serve(listener, router, Limits::default(), CancellationToken::new()));
    address
}

async fn anywhere() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn run(program: &str, folder: &str, arguments: &[&str]) -> (ExitStatus, String) {
    let mut command = Command::new(program);
    let output = command.args(arguments).current_dir(folder).stdin(Stdio::null()).output().await;
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; scripts/test integration installs it"));
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status, text)
}

/// Sockets that this process holds: what dawdlers cost, whatever they themselves believe.
fn sockets() -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    open.filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:")))
        .count()
}

/// A thousand connections that dawdle over heads, bodies and answers; beside them, people who do not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs slowhttptest: scripts/test integration installs it first"]
async fn a_thousand_dawdlers_are_shown_out_and_nobody_else_notices() {
    let house = House::new().await;
    let address = serve(&house, "http://127.0.0.1:8080", anywhere().await);
    let login = format!("http://{address}/login");
    let slow_reading = ["-X", "-w", "10", "-y", "20", "-n", "5", "-z", "4", "-k", "3"];
    for (what, how) in [("heads", &["-H"][..]), ("bodies", &["-B", "-t", "POST"]), ("answers", &slow_reading)] {
        let before = sockets();
        let common = ["-c", "1000", "-r", "1000", "-i", "4", "-l", "40", "-p", "5", "-u", &login];
        let dawdling = Command::new("slowhttptest").args(how.iter().chain(&common)).stdout(Stdio::null()).spawn();
        let mut dawdling = dawdling.unwrap_or_else(|error| panic!("slowhttptest: {error}; scripts/test installs it"));
        let ended = CancellationToken::new();
        let good = tokio::spawn(good_requests(address, ended.clone()));
        let began = Instant::now();
        while sockets() < before + 950 {
            assert!(began.elapsed() < Duration::from_secs(10), "{what}: they did not come: {}", sockets());
            sleep(Duration::from_millis(20)).await;
        }
        sleep(Duration::from_secs(12)).await;
        let left = sockets();
        dawdling.kill().await.unwrap();
        ended.cancel();
        let (asked, slowest) = good.await.unwrap();
        assert!(left < before + 30, "{what}: {left} connections are held, {before} before");
        assert!(asked > 100, "{what}: only {asked} good requests were answered");
        assert!(slowest < Duration::from_secs(3), "{what}: a good request took {slowest:?}");
    }
}

/// One request after another, each on a connection of its own, each answered well. How many, and the slowest.
async fn good_requests(address: SocketAddr, ended: CancellationToken) -> (u32, Duration) {
    let (mut asked, mut slowest) = (0, Duration::ZERO);
    while !ended.is_cancelled() {
        let call = testkit::http_call::Call {
            method: http::Method::GET,
            url: format!("http://{address}/login"),
            headers: Vec::new(),
            body: None,
            patience: Duration::from_secs(5),
        };
        let began = Instant::now();
        let answer = testkit::http_call::call(call).await.expect("a good request is answered");
        assert_eq!(answer.status, 200);
        slowest = slowest.max(began.elapsed());
        asked += 1;
        sleep(Duration::from_millis(20)).await;
    }
    (asked, slowest)
}

/// Every page, with and without somebody signed in, is graded by MDN's own rules: 100 points and no test failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MDN's Observatory: scripts/test integration runs `npm ci` in crates/web/tests/peers first"]
async fn every_page_is_graded_a_plus_by_mdns_observatory() {
    let gate = Gate::new().await;
    gate.house.world.database.sql("update users set is_operator = true where email = 'alice@example.org'").await;
    let cookie = gate.house.cookie().await.replace("berth_session", "__Host-berth");
    let address = serve(&gate.house, "https://localhost", anywhere().await);
    let folder = tempdir();
    let (certificate, key) = (format!("{folder}/certificate.pem"), format!("{folder}/key.pem"));
    let request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    let subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
    let files = ["-keyout", &key, "-out", &certificate];
    let (made, told) = run("openssl", &folder, &[&request[..], &subject, &files].concat()).await;
    assert!(made.success(), "{told}");
    let (berth, pages) = (format!("http://{address}"), gate.pages());
    assert!(pages.len() >= 10, "{pages:?}");
    for cookie in ["", &cookie] {
        let mut arguments = vec!["observatory.mjs", &berth, &certificate, &key, cookie];
        arguments.extend(pages.iter().map(String::as_str));
        let mut command = Command::new("node");
        command.args(arguments).env("NODE_EXTRA_CA_CERTS", &certificate);
        command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers"));
        let output = command.output().await.unwrap();
        let lines = String::from_utf8_lossy(&output.stdout);
        assert_eq!(lines.lines().count(), pages.len(), "{}", String::from_utf8_lossy(&output.stderr));
        for line in lines.lines() {
            let grade: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(grade["score"].as_u64().unwrap() >= 100 && grade["failed"] == serde_json::json!([]), "{line}");
            assert!(cookie.is_empty() || grade["status"] != 404, "{line}");
        }
    }
    std::fs::remove_dir_all(folder).ok();
}

fn tempdir() -> String {
    let folder = format!("{}/observatory-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
