//! What Berth counts and traces, as programs read it that nobody here wrote; and that a collector may be away.

mod bots;
mod prober;
mod telegram;

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Stdio,
    time::{Duration, Instant},
};

use http::Method;
use serde_json::{Value, json};
use testkit::{
    Database,
    http_call::{Call, call},
    sim::{How, Verb},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::fleet::{CRON, Fleet};

const METRICS: &str = "metrics-token-of-these-tests";
/// Words of a turn, and the name of an agent: neither may stand in a span.
const WORDS: &str = "marmalade-marker";
const NAME: &str = "hush-marker";
/// Longest until an agent is live here.
const LIVE_MAX: Duration = Duration::from_mins(1);

/// Everything that `/metrics` tells, with its type.
const FAMILIES: [(&str, &str); 12] = [
    ("berth_alerts_open", "gauge"),
    ("berth_database_connections", "gauge"),
    ("berth_database_connections_idle", "gauge"),
    ("berth_flows", "gauge"),
    ("berth_flows_due", "gauge"),
    ("berth_flows_due_oldest_seconds", "gauge"),
    ("berth_http_request_seconds", "histogram"),
    ("berth_http_requests", "counter"),
    ("berth_machines", "gauge"),
    ("berth_spares", "gauge"),
    ("berth_step_seconds", "histogram"),
    ("berth_steps", "counter"),
];

/// What may stand in a span. The first line is what OpenTelemetry adds; the others are in `docs/LOGGING.md`.
const ATTRIBUTES: &str = "\
    busy_ns idle_ns target level code.file.path code.line.number code.module.name thread.id thread.name \
    id method route path status took_ms peer cause flow kind agent machine step attempt why \
    alert delivery carrier tries tenant model how verb call jobs \
    error error.chain exception.message exception.stacktrace \
    summary db.statement elapsed elapsed_secs rows_affected rows_returned slow_threshold";

fn python(script: &str) -> Command {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let mut command = Command::new(format!("{root}/target/peers/bin/python"));
    command.arg(format!("{root}/crates/server/tests/peers/{script}")).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// What Prometheus' own reader makes of `/metrics`.
struct Counted(Value);

impl Counted {
    async fn of(address: std::net::SocketAddr) -> Self {
        let headers = vec![("authorization", format!("Bearer {METRICS}"))];
        let url = format!("http://{address}/metrics");
        let patience = Duration::from_secs(5);
        let answer = call(Call { method: Method::GET, url, headers, body: None, patience }).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        let mut reader = python("metrics.py").spawn().expect("scripts/test integration makes target/peers");
        reader.stdin.take().unwrap().write_all(answer.body.as_bytes()).await.unwrap();
        let output = reader.wait_with_output().await.unwrap();
        assert!(output.status.success(), "{}", answer.body);
        Self(serde_json::from_slice(&output.stdout).unwrap())
    }

    fn families(&self) -> &[Value] {
        self.0.as_array().unwrap()
    }

    /// Every sample that only grows, by name and labels.
    fn growing(&self) -> BTreeMap<String, f64> {
        let mut all = BTreeMap::new();
        for family in self.families().iter().filter(|family| family["type"] != "gauge") {
            for sample in family["samples"].as_array().unwrap() {
                let before = all.insert(format!("{} {}", sample[0], sample[1]), sample[2].as_f64().unwrap());
                assert_eq!(before, None, "{sample} comes twice");
            }
        }
        all
    }

    fn value(&self, name: &str, labels: &Value) -> f64 {
        let samples = self.families().iter().flat_map(|family| family["samples"].as_array().unwrap());
        let found = samples.into_iter().find(|sample| sample[0] == name && &sample[1] == labels);
        found.and_then(|sample| sample[2].as_f64()).unwrap_or_default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs prometheus_client: scripts/test integration installs it first"]
async fn prometheus_own_parser_reads_every_name_type_and_unit() {
    let settings = vec![("BERTH_METRICS_TOKEN", METRICS.to_owned())];
    let fleet = Fleet::with(Database::fresh().await, 1, settings).await;
    let address = fleet.processes[0].people();
    let agent = fleet.api.create(NAME).await;
    fleet.api.seen(&agent, "live", LIVE_MAX).await.unwrap();
    let first = Counted::of(address).await;
    let told: BTreeSet<_> =
        first.families().iter().map(|f| (f["name"].as_str().unwrap(), f["type"].as_str().unwrap())).collect();
    assert_eq!(told, BTreeSet::from(FAMILIES));
    for family in first.families() {
        let (name, samples) = (family["name"].as_str().unwrap(), family["samples"].as_array().unwrap());
        assert!(family["help"].as_str().is_some_and(|help| help.ends_with('.')), "{name} does not say what it is");
        // Base units: seconds, never a part of them.
        assert!(!["_ms", "_millis", "_minutes", "_bytes_mib"].iter().any(|unit| name.ends_with(unit)), "{name}");
        assert!(samples.iter().all(|sample| sample[2].as_f64().is_some_and(|value| value >= 0.0)), "{name}");
        match family["type"].as_str().unwrap() {
            "counter" => assert!(samples.iter().all(|s| s[0] == format!("{name}_total")), "{name}"),
            "histogram" => assert!(name.ends_with("_seconds") && is_whole(samples), "{name}: {samples:?}"),
            _ => assert!(samples.iter().all(|sample| sample[0] == name), "{name}"),
        }
    }
    let live = json!({ "kind": "life", "step": "live" });
    assert!((first.value("berth_flows", &live) - 1.0).abs() < f64::EPSILON);

    fleet.api.post(&agent, "proofs").await;
    sleep(Duration::from_secs(1)).await;
    fleet.api.seen(&agent, "live", LIVE_MAX).await.unwrap();
    let second = Counted::of(address).await;
    let later = second.growing();
    for (sample, value) in first.growing() {
        assert!(
            later.get(&sample).is_some_and(|now| *now >= value),
            "{sample} was {value}, is {:?}",
            later.get(&sample)
        );
    }
    let proved = json!({ "kind": "life", "step": "prove", "ended": "well" });
    let asked = json!({ "method": "POST", "route": "/api/v1/agents/{id}/proofs", "status": "202" });
    for (name, labels, least) in [("berth_steps_total", proved, 1.0), ("berth_http_requests_total", asked, 1.0)] {
        let grown = second.value(name, &labels) - first.value(name, &labels);
        assert!(grown >= least, "{name}{labels} grew by {grown}");
    }
    let private = second.0.to_string();
    for word in [NAME, agent.as_str(), fleet.api.token.as_str(), METRICS, CRON, "captain@"] {
        assert!(!private.contains(word), "{word} stands in the metrics");
    }
}

/// Buckets that add up, and a sum and a count for each set of labels.
fn is_whole(samples: &[Value]) -> bool {
    let mut last: BTreeMap<String, f64> = BTreeMap::new();
    let mut counts = BTreeMap::new();
    for sample in samples {
        let (name, mut labels, value) = (sample[0].as_str().unwrap(), sample[1].clone(), sample[2].as_f64().unwrap());
        let le = labels.as_object_mut().unwrap().remove("le");
        if name.ends_with("_bucket") {
            let before = last.insert(labels.to_string(), value).unwrap_or_default();
            if le.is_none() || before > value {
                return false;
            }
        } else if name.ends_with("_count") {
            counts.insert(labels.to_string(), value);
        } else if !name.ends_with("_sum") {
            return false;
        }
    }
    // The last bucket is the one without a bound.
    !counts.is_empty() && last == counts
}

/// OpenTelemetry's own decoder behind a small server.
struct Collector {
    address: String,
    _child: Child,
}

impl Collector {
    async fn start() -> Self {
        let mut child = python("collector.py").spawn().expect("scripts/test integration makes target/peers");
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = said.next_line().await.unwrap().expect("it started");
        let port = port.strip_prefix("port ").expect("a port").to_owned();
        Self { address: format!("http://127.0.0.1:{port}"), _child: child }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("OTEL_EXPORTER_OTLP_ENDPOINT", self.address.clone()), ("OTEL_BSP_SCHEDULE_DELAY", "200".to_owned())]
    }

    async fn spans(&self) -> Vec<Value> {
        let (method, url, patience) = (Method::GET, format!("{}/", self.address), Duration::from_secs(5));
        let answer = call(Call { method, url, headers: Vec::new(), body: None, patience }).await.unwrap().json();
        assert_eq!(answer["refused"], json!([]), "what was sent could not be decoded");
        answer["spans"].as_array().unwrap().clone()
    }

    /// Asks until what came is enough.
    async fn until(&self, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let began = Instant::now();
        loop {
            let spans = self.spans().await;
            if enough(&spans) || began.elapsed() > Duration::from_secs(20) {
                return spans;
            }
            sleep(Duration::from_millis(200)).await;
        }
    }
}

/// The click goes to one process, which is then stopped in the middle: another one takes the steps over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs opentelemetry-proto: scripts/test integration installs it first"]
async fn one_trace_leads_from_the_click_to_the_proof_through_two_processes() {
    let collector = Collector::start().await;
    let fleet = Fleet::with(Database::fresh().await, 2, collector.settings()).await;
    fleet.only(0);
    // The first try fails, so that most of the steps are still to come when the process stops.
    fleet.simulator.strike(Verb::Create, How::Fail, 1);
    let agent = fleet.api.create(NAME).await;
    while fleet.simulator.will_strike(Verb::Create) {
        sleep(Duration::from_millis(5)).await;
    }
    fleet.processes[0].signal("STOP").await;
    fleet.only(1);
    fleet.api.seen(&agent, "live", LIVE_MAX).await.unwrap();
    fleet.processes[0].signal("CONT").await;
    let turn = json!({ "text": WORDS });
    let answer = fleet.api.ask(Method::POST, &format!("/api/v1/agents/{agent}/turns?wait=30"), Some(turn), "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let spoken = answer.json()["text"].as_str().unwrap().to_owned();

    let is_click =
        |span: &Value| span["attributes"]["route"] == "/api/v1/agents" && span["attributes"]["method"] == "POST";
    let is_turn = |span: &Value| span["attributes"]["verb"] == "turn";
    // A span is sent when it ends: those inside a step come before the step itself.
    let spans = collector
        .until(|all| all.iter().any(is_click) && all.iter().filter(|s| is_turn(s)).count() >= 2 && gaps(all) == 0)
        .await;
    let clicks: Vec<_> = spans.iter().filter(|span| is_click(span)).collect();
    assert_eq!(clicks.len(), 1, "one click");
    let (click, trace) = (clicks[0], &clicks[0]["trace"]);
    assert_eq!((&click["parent"], &click["name"]), (&"".into(), &"request".into()), "it is the beginning");

    let ours: Vec<_> = spans.iter().filter(|span| &span["trace"] == trace).collect();
    let steps: Vec<_> = ours.iter().filter(|span| span["name"] == "step").collect();
    let life = |span: &&&&Value| span["attributes"]["kind"] == "life";
    let told: BTreeSet<_> =
        steps.iter().filter(life).map(|step| step["attributes"]["step"].as_str().unwrap()).collect();
    assert!(
        ["reserve", "create", "await", "hello", "apply", "prove"].iter().all(|step| told.contains(step)),
        "{told:?}"
    );
    let flows: BTreeSet<_> =
        steps.iter().filter(life).map(|step| step["attributes"]["flow"].as_str().unwrap()).collect();
    assert_eq!(flows.len(), 1, "one agent's flow: {flows:?}");
    assert!(steps.iter().all(|step| step["parent"] == click["span"]), "steps hang at the click");
    assert_eq!(gaps(&spans), 0, "a span whose parent never came");
    assert!(ours.iter().any(|span| span["name"] == "provider") && ours.iter().any(|span| is_turn(span)), "no effect");
    assert!(ours.iter().all(|span| span["began"].as_u64() >= click["began"].as_u64()), "before the click");

    let process = |span: &Value| span["resource"]["service.instance.id"].as_str().unwrap().to_owned();
    let proof = steps.iter().find(|step| step["attributes"]["step"] == "prove").unwrap();
    assert_ne!(process(click), process(proof), "another process took the proof, in the same trace");
    assert!(spans.iter().all(|span| span["resource"]["service.name"] == "berth"));
    // Steps of this flow until it was live stand in no other trace.
    let strays = spans
        .iter()
        .filter(|span| &span["trace"] != trace && span["attributes"]["flow"] == proof["attributes"]["flow"]);
    let strays: BTreeSet<_> = strays.map(|span| span["attributes"]["step"].as_str().unwrap_or_default()).collect();
    assert!(strays.is_subset(&BTreeSet::from(["live"])), "{strays:?}");
    says_nothing_private(&spans, &fleet, &spoken);
}

/// How many spans name a parent that is not there.
fn gaps(spans: &[Value]) -> usize {
    let known: BTreeSet<_> = spans.iter().map(|span| (span["trace"].to_string(), span["span"].to_string())).collect();
    let is_lost = |span: &&Value| !known.contains(&(span["trace"].to_string(), span["parent"].to_string()));
    spans.iter().filter(|span| span["parent"] != "").filter(is_lost).count()
}

fn says_nothing_private(spans: &[Value], fleet: &Fleet, spoken: &str) {
    assert!(spoken.len() > 8, "{spoken}");
    let all = Value::from(spans.to_vec()).to_string();
    let words = [NAME, WORDS, spoken, &fleet.api.token, CRON, "captain@", "PRIVATE KEY", "postgres://", "Bearer "];
    let tokens = ["berth_pat_", "berth_ses_", "berth_lnk_", "berth_mch_", "berth_llm_", "berth_gtw_"];
    for private in words.into_iter().chain(tokens) {
        assert!(!all.contains(private), "{private} stands in a span");
    }
    let of = |span: &Value| span["attributes"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let told = spans.iter().flat_map(|span| {
        let events = span["events"].as_array().unwrap().iter().flat_map(of);
        of(span).into_iter().chain(events).collect::<Vec<_>>()
    });
    let unknown: BTreeSet<_> = told.filter(|name| !ATTRIBUTES.split(' ').any(|known| known == name)).collect();
    assert_eq!(unknown, BTreeSet::new(), "docs/LOGGING.md does not name them");
}

/// A collector that refuses connections, and one that takes them and never answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_changes_nothing_for_an_agent() {
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    for address in [away, mute.local_addr().unwrap()] {
        let settings = vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}")),
            ("OTEL_BSP_SCHEDULE_DELAY", "50".to_owned()),
        ];
        let mut fleet = Fleet::with(Database::fresh().await, 1, settings).await;
        let agent = fleet.api.create(NAME).await;
        fleet.api.seen(&agent, "live", LIVE_MAX).await.unwrap();
        let turn = json!({ "text": WORDS });
        let path = format!("/api/v1/agents/{agent}/turns?wait=30");
        assert_eq!(fleet.api.ask(Method::POST, &path, Some(turn), "").await.status, 200);
        fleet.api.delete(&agent).await;
        fleet.api.seen(&agent, "gone", LIVE_MAX).await.unwrap();
        fleet.processes[0].signal("TERM").await;
        let ended = timeout(Duration::from_secs(30), async {
            loop {
                if let Some(status) = fleet.processes[0].ended() {
                    return status;
                }
                sleep(Duration::from_millis(50)).await;
            }
        });
        assert!(ended.await.expect("it stops though nobody takes its traces").success(), "{}", fleet.log());
        fleet.processes[0].bury();
    }
}
