//! Berth as a program meets it that was written to find fault: the MDN HTTP Observatory (npm), over the real listener.

use std::{
    net::SocketAddr,
    process::{ExitStatus, Stdio},
    sync::Arc,
};

use axum::Router;
use tokio::{net::TcpListener, process::Command};
use tokio_util::sync::CancellationToken;
use url::Url;
use web::{Door, Limits, Pace, Site, Web};

use crate::{gate::Gate, support::House};

/// The house behind the listener that production runs on, at this public address.
pub(super) fn serve(house: &House, public_url: &str, listener: TcpListener) -> SocketAddr {
    let address = listener.local_addr().unwrap();
    let ready: web::Ready = Arc::new(|| Box::pin(async { Ok(()) }));
    let mut site = Site::new(Url::parse(public_url).unwrap(), None, None, ready);
    // One program asks as fast as it can.
    site.pace = Pace::per_minute(0);
    let router: Router = web::router(Web { site: Arc::new(site), ..house.web.clone() }, Door::Public);
    tokio::spawn(web::serve(listener, router, Limits::default(), CancellationToken::new()));
    address
}

pub(super) async fn anywhere() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn run(program: &str, folder: &str, arguments: &[&str]) -> (ExitStatus, String) {
    let mut command = Command::new(program);
    let output = command.args(arguments).current_dir(folder).stdin(Stdio::null()).output().await;
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; scripts/test integration installs it"));
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status, text)
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
