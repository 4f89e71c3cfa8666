//! Calls that do not end as they should: refused, cut, silent, endless, left, killed. What is told and what is charged.

use std::{sync::Arc, time::Duration};

use clients::model::anthropic::{Anthropic, Limits as Patience};
use http::StatusCode;
use http_body_util::BodyExt as _;
use serde_json::Value;
use testkit::vendor::{VENDOR_KEY, VendorMood};
use tower::ServiceExt as _;
use web::{
    Door,
    llm::{Forwarding, Models},
};

use crate::forward::{Line, MAX_TOKENS, ask, impatient, soon, until, worst};

/// The vendor counted 12 tokens in; what it had said by then nobody counted.
const CUT_COST: i64 = 12 + MAX_TOKENS * 5;

#[tokio::test]
async fn a_vendors_refusal_is_told_and_costs_nothing() {
    let line = Line::new().await;
    let table = [
        (VendorMood::Limited, 429, "rate_limit_error", "takes no more calls"),
        (VendorMood::Overloaded, 529, "overloaded_error", "overloaded"),
        (VendorMood::Faulty, 502, "api_error", "a fault of its own"),
        (VendorMood::Picky, 400, "invalid_request_error", "messages.0: what you sent is wrong"),
        (VendorMood::Redirect, 502, "api_error", "a fault of its own"),
    ];
    for (mood, status, kind, words) in table {
        line.vendor.set_mood(mood);
        for is_stream in [true, false] {
            let answer = line.call(&ask("hello", is_stream)).await;
            let body = answer.json();
            assert_eq!((answer.status.as_u16(), body["error"]["type"].as_str()), (status, Some(kind)), "{mood:?}");
            assert!(body["type"] == "error" && body["request_id"].is_string(), "{body}");
            assert!(body["error"]["message"].as_str().unwrap().contains(words), "{body}");
            assert!(!answer.text.contains("organization"), "what the vendor says of the account stays here");
            let after = answer.headers.get("retry-after").map(|value| value.to_str().unwrap());
            assert_eq!(after, (mood == VendorMood::Limited).then_some("7"));
        }
    }
    assert_eq!(line.spent().await, 0);
    assert_eq!(line.vendor.calls().len(), 10, "nothing is sent twice, and no redirect is followed");
}

#[tokio::test]
async fn a_house_key_that_the_vendor_refuses_is_not_the_machines_fault() {
    let line = Line::with("5", Patience::default(), "sk-ant-wrong-marker").await;
    let answer = line.call(&ask("hello", false)).await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"]["type"].as_str()), (502, Some("api_error")));
    assert!(answer.text.contains("Its operator has to look") && !answer.text.contains("marker"), "{}", answer.text);
    assert_eq!(line.spent().await, 0);
}

#[tokio::test]
async fn a_vendor_that_cannot_be_reached_is_told_and_costs_nothing() {
    let mut line = Line::new().await;
    let nobody = Anthropic::new("http://127.0.0.1:1", VENDOR_KEY.as_bytes(), Patience::default()).unwrap();
    let Models::Vendor(forwarding) = &line.house.web.models else { panic!() };
    let menu = forwarding.menu.clone();
    let (daily_budget, calls) = (forwarding.daily_budget, line.calls.clone());
    line.house.web.models =
        Models::Vendor(Arc::new(Forwarding { vendor: Arc::new(nobody), menu, daily_budget, calls }));
    line.house.router = web::router(line.house.web.clone(), Door::Public);
    let answer = line.call(&ask("hello", true)).await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"]["type"].as_str()), (503, Some("overloaded_error")));
    assert_eq!(line.spent().await, 0);
}

#[tokio::test]
async fn a_stream_that_breaks_off_says_so_and_is_charged_in_full() {
    let line = Line::with("5", impatient(), VENDOR_KEY).await;
    for (round, mood) in [VendorMood::Cut(4), VendorMood::Stall(4), VendorMood::ErrorEvent].into_iter().enumerate() {
        line.vendor.set_mood(mood);
        let answer = line.call(&ask("hello", true)).await;
        assert_eq!(answer.status, StatusCode::OK);
        let last = answer.text.trim_end().rsplit("\n\n").next().unwrap();
        let error: Value = serde_json::from_str(last.strip_prefix("event: error\ndata: ").unwrap()).unwrap();
        assert!(error["error"]["type"] == "api_error" && error["request_id"] == "req_1", "{mood:?}: {error}");
        assert!(!answer.text.contains("message_stop"));
        assert_eq!(line.spent().await, CUT_COST * (i64::try_from(round).unwrap() + 1), "{mood:?}");
    }
}

#[tokio::test]
async fn an_answer_that_never_begins_or_cannot_be_read_is_charged_at_its_worst() {
    let line = Line::with("5", impatient(), VENDOR_KEY).await;
    let mut charged = 0;
    for (mood, is_stream, status) in [
        (VendorMood::Mute, true, 504),
        (VendorMood::Mute, false, 504),
        (VendorMood::Garbled, false, 502),
        (VendorMood::Garbled, true, 502),
        (VendorMood::Huge, false, 502),
        (VendorMood::Cut(0), true, 502),
    ] {
        line.vendor.set_mood(mood);
        let body = ask("hello", is_stream);
        let answer = line.call(&body).await;
        assert_eq!(answer.status.as_u16(), status, "{mood:?} {}", answer.text);
        charged += worst(&body);
        assert_eq!(line.spent().await, charged, "{mood:?}");
    }
}

#[tokio::test]
async fn an_endless_stream_has_an_end() {
    let line = Line::with("5", Patience { bytes: 1 << 20, ..Patience::default() }, VENDOR_KEY).await;
    line.vendor.set_mood(VendorMood::Huge);
    let answer = soon(line.call(&ask("hello", true))).await;
    assert!(answer.text.len() <= (1 << 20) + 1000 && answer.text.contains("event: error"));
    assert_eq!(line.spent().await, CUT_COST);
    until("the vendor's stream is dropped", || line.vendor.dropped() == 1).await;
}

#[tokio::test]
async fn a_caller_who_goes_away_ends_the_vendors_call() {
    let line = Line::new().await;
    // In mid-stream.
    line.vendor.set_gate(false);
    let response = soon(line.house.router.clone().oneshot(line.request(&ask("hello", true)))).await.unwrap();
    let mut body = response.into_body();
    soon(body.frame()).await.unwrap().unwrap();
    drop(body);
    line.settled().await;
    assert_eq!(line.spent().await, CUT_COST);
    line.vendor.set_gate(true);
    until("the vendor's stream is dropped", || line.vendor.dropped() == 1).await;
    // Before the answer began.
    line.vendor.set_mood(VendorMood::Mute);
    let asked = ask("hello", true);
    let waiting = tokio::spawn(line.house.router.clone().oneshot(line.request(&asked)));
    until("the vendor hears", || line.vendor.calls().len() == 2).await;
    waiting.abort();
    line.settled().await;
    assert_eq!(line.spent().await, CUT_COST + worst(&asked));
}

#[tokio::test]
async fn a_caller_who_reads_nothing_holds_the_vendor_back() {
    let line = Line::new().await;
    line.vendor.set_mood(VendorMood::Huge);
    let response = soon(line.house.router.clone().oneshot(line.request(&ask("hello", true)))).await.unwrap();
    // What fits into the sockets' buffers goes; then nothing more is made.
    let mut before = usize::MAX;
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = line.vendor.pieces();
        if now == before {
            break;
        }
        before = now;
    }
    assert!(line.vendor.pieces() < 2000, "{} pieces of 16 KiB were taken in for nobody", line.vendor.pieces());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(line.vendor.pieces(), before, "it goes on without a reader");
    drop(response);
    line.settled().await;
    assert_eq!(line.spent().await, CUT_COST);
}

/// As after `kill -9`: the task that would have settled is gone, and no code of it runs again.
#[test]
fn a_process_killed_in_the_middle_leaves_a_hold_that_counts() {
    let outer = tokio::runtime::Runtime::new().unwrap();
    let line = outer.block_on(Line::new());
    line.vendor.set_mood(VendorMood::Mute);
    let asked = ask("hello", true);
    let doomed = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    doomed.spawn(line.house.router.clone().oneshot(line.request(&asked)));
    outer.block_on(async {
        until("the vendor hears", || line.vendor.calls().len() == 1).await;
    });
    doomed.shutdown_timeout(Duration::from_secs(5));
    outer.block_on(async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!((line.held().await, line.spent().await), (worst(&asked), 0));
        let used = line.house.get(&line.house.alice, "/api/v1/model").await.json();
        assert_eq!(used["budget"]["used_micro_usd"], worst(&asked), "what may have been spent counts as used");
    });
    drop(line);
}
