//! Stripe's own clients before the one that stands for Stripe; and ours before a Stripe that others wrote.

use std::{process::Stdio, time::Duration};

use chrono::{DateTime, Utc};
use clients::{
    payments::{NewCustomer, Payments as _, PaymentsError},
    stripe::Stripe,
};
use domain::{
    Id,
    billing::{CheckoutId, IdempotencyKey, SubscriptionStatus},
    names::Email,
};
use testkit::stripe::{FakeStripe, STRIPE_KEY, StripeFault};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::Command,
};
use vault::Secret;

pub(super) const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/peers/bin/python");
pub(super) const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers");

/// Runs a program that asks for what a customer does, or a fault, until it says that all is well.
async fn drive(program: &str, script: &str) {
    let start = DateTime::<Utc>::from_timestamp(1_795_000_000, 0).expect("a moment");
    let stripe = FakeStripe::start(start).await;
    let price = stripe.add_price("starter", 2_900);
    let mut child = Command::new(program)
        .args([script, &stripe.url(), STRIPE_KEY, price.as_str()])
        .current_dir(PEERS)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("scripts/test integration installs it first");
    let mut into = child.stdin.take().expect("a pipe");
    let mut said = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    loop {
        let line = said.next_line().await.expect("a line").expect("it ends well");
        let answer = match line.split_once(' ') {
            Some(("pay", checkout)) => stripe.pay(&CheckoutId::parse(checkout).expect("a checkout")).to_string(),
            Some(("limit", _)) => {
                stripe.fail_next(StripeFault::Limited { seconds: 1 });
                String::new()
            }
            Some(("fail", _)) => {
                stripe.fail_next(StripeFault::Failed);
                String::new()
            }
            _ if line == "well" => break,
            _ => panic!("{line}"),
        };
        into.write_all(format!("{answer}\n").as_bytes()).await.expect("it listens");
    }
    assert!(child.wait().await.expect("it ends").success());
}

#[tokio::test]
#[ignore = "needs the npm package stripe: scripts/test integration installs it first"]
async fn stripes_own_client_for_node_understands_the_fake() {
    drive("node", "stripe.mjs").await;
}

#[tokio::test]
#[ignore = "needs Python's stripe: scripts/test integration installs it first"]
async fn stripes_own_client_for_python_understands_the_fake() {
    drive(PYTHON, "stripe_client.py").await;
}

/// Asks localstripe for something that our client does not do.
async fn form(url: &str, path: &str, fields: &[(&str, &str)]) -> serde_json::Value {
    let request = reqwest::Client::new().post(format!("{url}/v1/{path}")).basic_auth(STRIPE_KEY, Some("")).form(fields);
    let answer = request.send().await.expect("an answer");
    let (status, body) = (answer.status(), answer.text().await.expect("a body"));
    assert!(status.is_success(), "{path}: {status} {body}");
    serde_json::from_str(&body).expect("JSON")
}

#[tokio::test]
#[ignore = "needs localstripe: scripts/test integration installs it first"]
async fn our_client_reads_the_lives_that_localstripe_leads() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").port()
    };
    let folder = tempfile::tempdir().expect("a folder");
    let _child = Command::new(PYTHON)
        .args(["-m", "localstripe", "--port", &port.to_string(), "--from-scratch"])
        .env("HOME", folder.path())
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("scripts/test integration installs it first");
    let url = format!("http://127.0.0.1:{port}");
    let to = Stripe::new(&url.parse().expect("an address"), &Secret::from(STRIPE_KEY.to_owned())).expect("a client");
    let new = NewCustomer {
        tenant: Id::from_uuid(uuid::Uuid::from_u128(7)),
        name: "Ada".to_owned(),
        email: Email::parse("ada@harbour.example").expect("an address"),
    };
    let key = IdempotencyKey::parse("key:customer").expect("a key");
    let mut tries = 0;
    let customer = loop {
        match to.create_customer(&key, &new).await {
            Err(PaymentsError::Unavailable { .. }) if tries < 100 => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            made => break made.expect("a customer"),
        }
    };
    assert_eq!(to.subscriptions(&customer).await, Ok(Vec::new()));
    // It knows no prices, only the plans that were there before them.
    let price = "price_starter";
    let plan = [("id", price), ("currency", "usd"), ("amount", "2900"), ("interval", "month"), ("product[name]", "S")];
    form(&url, "plans", &plan).await;
    let card = [
        ("type", "card"),
        ("card[number]", "4242424242424242"),
        ("card[exp_month]", "12"),
        ("card[exp_year]", "2040"),
        ("card[cvc]", "123"),
    ];
    let card = form(&url, "payment_methods", &card).await;
    let card = card["id"].as_str().expect("a card");
    form(&url, &format!("payment_methods/{card}/attach"), &[("customer", customer.as_str())]).await;
    let named = [("invoice_settings[default_payment_method]", card)];
    form(&url, &format!("customers/{customer}"), &named).await;
    let wish = [("customer", customer.as_str()), ("items[0][plan]", price)];
    form(&url, "subscriptions", &wish).await;

    let all = to.subscriptions(&customer).await.expect("a listing");
    let [active] = &all[..] else { panic!("{all:?}") };
    assert_eq!((active.status, active.price.as_str(), active.ends), (SubscriptionStatus::Active, price, None));
    assert!(active.period_ends > active.created);
    let key = IdempotencyKey::parse("key:cancel").expect("a key");
    let leaving = to.cancel_at_period_end(&key, &active.id).await.expect("it is taken");
    assert_eq!(leaving.ends, Some(active.period_ends));
    let over = to.cancel_now(&active.id).await.expect("it ends");
    assert_eq!(over.status, SubscriptionStatus::Canceled);
}
