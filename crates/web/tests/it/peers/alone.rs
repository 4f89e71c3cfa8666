//! slowhttptest (Debian): a thousand connections that dawdle. `scripts/test integration` runs this by itself, because it
//! compares times.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use http::Method;
use testkit::http_call::{Call, call};
use tokio::{
    process::{Child, Command},
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::finders::{anywhere, serve};
use crate::support::House;

/// How many dawdle.
const DAWDLERS: usize = 1_000;
/// Until all of them are shown out.
const SHOWN_OUT: Duration = Duration::from_secs(12);
/// A hundred good requests a second.
const PACE: Duration = Duration::from_millis(10);
/// Of the good requests while they dawdle, 99 in 100 take at most so many times as long as when nobody does.
const SLOWER_MAX: f64 = 2.0;
/// Computers are noisy: the second measurement counts as much as the first.
const TRIES: u32 = 2;

/// Times of good requests while nobody dawdles, and while a thousand do.
#[derive(Debug)]
struct Measured {
    idle: Vec<Duration>,
    held: Vec<Duration>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs slowhttptest, and a computer for itself: scripts/test integration sees to both"]
async fn a_thousand_dawdlers_are_shown_out_and_nobody_else_notices() {
    let house = House::new().await;
    let address = serve(&house, "http://127.0.0.1:8080", anywhere().await);
    let slow_reading = ["-X", "-w", "10", "-y", "20", "-n", "5", "-z", "4", "-k", "3"];
    for (what, how) in [("heads", &["-H"][..]), ("bodies", &["-B", "-t", "POST"]), ("answers", &slow_reading)] {
        let mut ratios = Vec::new();
        for _ in 0..TRIES {
            let measured = measure(address, what, how).await;
            let (idle, held) = (p99(&measured.idle), p99(&measured.held));
            assert!(measured.held.len() >= 900, "{what}: only {} good requests were answered", measured.held.len());
            ratios.push((held.as_secs_f64() / idle.as_secs_f64(), idle, held));
            if ratios.iter().any(|(ratio, ..)| *ratio <= SLOWER_MAX) {
                break;
            }
        }
        let best = ratios.iter().map(|(ratio, ..)| *ratio).fold(f64::INFINITY, f64::min);
        assert!(
            best <= SLOWER_MAX,
            "{what}: good requests are {best:.1} times as slow (ratio, idle, held): {ratios:?}"
        );
    }
}

/// Good requests for as long as dawdlers are let in, first without them and then with them; and that none is left.
async fn measure(address: SocketAddr, what: &str, how: &[&str]) -> Measured {
    let idle = good_requests(address, SHOWN_OUT).await;
    let before = sockets();
    let mut dawdling = dawdle(address, how);
    let began = Instant::now();
    while sockets() < before + DAWDLERS * 95 / 100 {
        assert!(began.elapsed() < Duration::from_secs(10), "{what}: they did not come: {}", sockets());
        sleep(Duration::from_millis(20)).await;
    }
    let held = tokio::spawn(good_requests(address, SHOWN_OUT));
    sleep(SHOWN_OUT).await;
    let left = sockets();
    dawdling.kill().await.unwrap();
    let held = held.await.unwrap();
    assert!(left < before + 30, "{what}: {left} connections are held, {before} before");
    Measured { idle, held }
}

fn dawdle(address: SocketAddr, how: &[&str]) -> Child {
    let (login, count) = (format!("http://{address}/login"), DAWDLERS.to_string());
    let common = ["-c", &count, "-r", &count, "-i", "4", "-l", "40", "-p", "5", "-u", &login];
    let mut command = Command::new("slowhttptest");
    command.args(how.iter().chain(&common)).stdout(Stdio::null()).kill_on_drop(true);
    command.spawn().unwrap_or_else(|error| panic!("slowhttptest: {error}; scripts/test installs it"))
}

/// Sockets that this process holds: what dawdlers cost, whatever they themselves believe.
fn sockets() -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    open.filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:")))
        .count()
}

/// A request every so often, each on a connection of its own, each answered well; how long each took.
async fn good_requests(address: SocketAddr, longest: Duration) -> Vec<Duration> {
    let (began, mut took) = (Instant::now(), Vec::new());
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while began.elapsed() < longest {
        pace.tick().await;
        let call_of = Call {
            method: Method::GET,
            url: format!("http://{address}/login"),
            headers: Vec::new(),
            body: None,
            patience: Duration::from_secs(5),
        };
        let asked = Instant::now();
        let answer = call(call_of).await.expect("a good request is answered");
        assert_eq!(answer.status, 200);
        took.push(asked.elapsed());
    }
    took
}

/// What 99 in 100 are below.
fn p99(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() * 99 / 100]
}
