//! Vendors of identities that nobody here wrote sign people in through the real routes.

use std::{collections::BTreeMap, process::Stdio, time::Duration};

use http::StatusCode;
use testkit::{
    http_call::{self, Call},
    issuer::{CLIENT, CLIENT_SECRET},
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};
use vault::Secret;
use web::VendorSettings;

use crate::support::{Answer, House};

const REDIRECT: &str = "http://127.0.0.1:8080/auth/oidc/callback";

/// A vendor in a process of its own, and a house that knows it.
struct Peer {
    house: House,
    issuer: String,
    _child: Child,
    /// A vendor whose words nobody takes dies of it.
    _said: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    async fn start(script: &str) -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers");
        let mut child = Command::new("node")
            .args([script, REDIRECT])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let issuer = loop {
            let line = lines.next_line().await.unwrap().expect("the vendor starts; scripts/test installs it first");
            if line.starts_with("http://") {
                break line;
            }
        };
        let settings = VendorSettings {
            slug: "oidc",
            title: "Peer".to_owned(),
            issuer: issuer.parse().unwrap(),
            client_id: CLIENT.to_owned(),
            client_secret: Some(Secret::from(CLIENT_SECRET.to_owned())),
        };
        Self { house: House::with_vendor(settings).await, issuer, _child: child, _said: lines }
    }

    /// Where a browser that leaves is sent, and its cookies.
    async fn leave(&self, cookies: &str) -> (String, String) {
        let start = self.house.page(cookies, "/auth/oidc/start").await;
        assert_eq!(start.status, StatusCode::SEE_OTHER, "{}", start.text);
        let address = start.headers["location"].to_str().unwrap().to_owned();
        let cookies = [cookies, &start.cookies()].into_iter().filter(|c| !c.is_empty()).collect::<Vec<_>>().join("; ");
        (address, cookies)
    }

    async fn come_back(&self, cookies: &str, address: &str) -> Answer {
        let path = address.strip_prefix("http://127.0.0.1:8080").expect("it leads back to Berth");
        self.house.page(cookies, path).await
    }

    async fn me(&self, answer: &Answer) -> serde_json::Value {
        self.house.page(&answer.cookies(), "/api/v1/me").await.json()
    }
}

/// A browser at the vendor: keeps its cookies, fills in its forms, follows it until it leads away.
#[derive(Default)]
struct Browser(BTreeMap<String, String>);

impl Browser {
    async fn walk(&mut self, issuer: &str, address: &str, login: &str) -> String {
        let mut next = address.to_owned();
        for _ in 0..12 {
            let (status, location, body) = self.fetch(&next, None).await;
            let led = if let Some(location) = location {
                location
            } else {
                assert_eq!(status, 200, "{body}");
                let said = |before: &str| body.split(before).nth(1).unwrap().split('"').next().unwrap().to_owned();
                let form = format!("prompt={}&login={login}&password=x", said("name=\"prompt\" value=\""));
                self.fetch(&said("action=\""), Some(form)).await.1.expect("a form leads on")
            };
            next = if led.starts_with('/') { format!("{issuer}{led}") } else { led };
            if !next.starts_with(issuer) {
                return next;
            }
        }
        panic!("it leads nowhere: {next}");
    }

    async fn fetch(&mut self, url: &str, form: Option<String>) -> (u16, Option<String>, String) {
        let cookies = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let answer = http_call::browse(url, &cookies, form).await.unwrap();
        for set in &answer.set_cookies {
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() {
                self.0.remove(name);
            } else {
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
        (answer.status, answer.location, answer.body)
    }
}

#[tokio::test]
#[ignore = "needs the npm package oidc-provider: scripts/test runs `npm ci` in crates/web/tests/peers first"]
async fn the_certified_vendor_signs_people_in() {
    let peer = Peer::start("oidc_provider.mjs").await;
    let invite = format!("berth_invite={}", peer.house.invite(3).await);
    let mut ada = Browser::default();
    let (address, cookies) = peer.leave(&invite).await;
    let back = ada.walk(&peer.issuer, &address, "ada").await;
    let entered = peer.come_back(&cookies, &back).await;
    assert_eq!(entered.headers["location"], "/welcome");
    // Its token says no address; the user info does.
    let me = peer.me(&entered).await;
    assert_eq!(me["email"], "ada@harbour.example");
    assert_eq!(peer.come_back(&cookies, &back).await.status, StatusCode::BAD_REQUEST, "the same answer again");

    // Known there and here: straight through, without an invite.
    let (address, cookies) = peer.leave("").await;
    let back = ada.walk(&peer.issuer, &address, "nobody asks").await;
    assert_eq!(peer.me(&peer.come_back(&cookies, &back).await).await["user"], me["user"]);

    // Somebody else, without an invite, and somebody whose address is not verified.
    let (address, cookies) = peer.leave("").await;
    let back = Browser::default().walk(&peer.issuer, &address, "mallory").await;
    assert_eq!(peer.come_back(&cookies, &back).await.headers["location"], "/signup?closed=1");
    let (address, cookies) = peer.leave(&invite).await;
    let back = Browser::default().walk(&peer.issuer, &address, "unverified").await;
    assert_eq!(peer.come_back(&cookies, &back).await.status, StatusCode::FORBIDDEN);

    // Asked again, it shows the sign-in form to somebody whom it knows, and its token says when.
    let session = entered.cookies();
    let start = peer.house.page(&session, "/auth/oidc/start?again=1").await;
    let cookies = format!("{session}; {}", start.cookies());
    let back = ada.walk(&peer.issuer, start.headers["location"].to_str().unwrap(), "ada").await;
    let again = peer.come_back(&cookies, &back).await;
    assert_eq!(peer.me(&again).await["user"], me["user"]);

    // A stolen code is worth nothing with another attempt's verifier.
    let (address, _) = peer.leave("").await;
    let stolen = ada.walk(&peer.issuer, &address, "ada").await;
    let code = stolen.split("code=").nth(1).unwrap().split('&').next().unwrap();
    let (address, cookies) = peer.leave("").await;
    let state = address.split("state=").nth(1).unwrap().split('&').next().unwrap();
    let forged = format!("{REDIRECT}?code={code}&state={state}");
    assert_eq!(peer.come_back(&cookies, &forged).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
#[ignore = "needs the npm package oauth2-mock-server: scripts/test runs `npm ci` in crates/web/tests/peers first"]
async fn another_vendor_signs_people_in_and_its_forgeries_do_not() {
    let peer = Peer::start("oauth2_mock_server.mjs").await;
    let invite = format!("berth_invite={}", peer.house.invite(1).await);
    let before = peer.house.world.database.count("select count(*) from users").await;
    for forgery in ["aud", "iss", "exp", "iat", "nonce", "sub", "kid"] {
        let (address, cookies) = peer.leave(&invite).await;
        let back = Browser::default().walk(&peer.issuer, &address, "").await;
        let forged = back.replace("&state", &format!("%2B{forgery}&state"));
        assert_ne!(back, forged, "{back}");
        let answer = peer.come_back(&cookies, &forged).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{forgery}: {}", answer.text);
    }
    assert_eq!(peer.house.world.database.count("select count(*) from users").await, before);
    let (address, cookies) = peer.leave(&invite).await;
    let back = Browser::default().walk(&peer.issuer, &address, "").await;
    let entered = peer.come_back(&cookies, &back).await;
    assert_eq!(peer.me(&entered).await["email"], "joan@harbour.example");
    let call = Call {
        method: http::Method::GET,
        url: format!("{}/jwks", peer.issuer),
        headers: Vec::new(),
        body: None,
        patience: Duration::from_secs(5),
    };
    let keys = http_call::call(call).await.unwrap().json();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2, "it signs with RS256 and publishes another key beside");
}
