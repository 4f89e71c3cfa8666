//! B7: the real sweep over machines that exist as rows, as lines of a listing, and as HTTP endpoints.
//!
//! Simulated: the provider's listing; the connection to a machine, which is an
//! HTTP request instead of SSH; what the flows of dead machines do when they are
//! told, which is nothing here.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use app::agents::LIFE;
use async_trait::async_trait;
use clients::provider::{Limits, Plan, Provider, ProviderError, Sighting};
use domain::{
    MachineId,
    job::{AskedBy, Job},
    machine::{Isolation, MachineName},
    protocol::{Answer, Gateway, Outcome as Answered, Reply, Request, Status, VERSION},
};
use flows::{
    RunnerOptions, World,
    outcome::{Next, Outcome, Step, StepError},
};
use futures::future::BoxFuture;
use ssh::{Reach, SshError, Target};
use store::flows::Claim;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    endpoints::{Mood, address},
    lines,
    lines::Failure,
    world,
};

/// What Berth is started with unless it is set otherwise.
const CONNECTIONS: u32 = 12;

/// Sweeps whenever it hears `sweep`, until `end`. Says wall time, memory and counts of each as JSON.
pub(crate) async fn sweep(url: &str, machines: u32, port: u16) -> Result<(), Failure> {
    let world = world::with_machines(world::on(url, CONNECTIONS).await?, Listing { machines }, Line, port);
    let mut heard = lines::heard();
    let stop = CancellationToken::new();
    let options = RunnerOptions { behaviour: but_lives_rest, ..RunnerOptions::default() };
    let running = tokio::spawn(flows::run(world.clone(), options, stop.clone()));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let idle = memory("VmRSS:")?;
    lines::say("ready");
    while let Some(line) = heard.recv().await {
        if line != "sweep" {
            break;
        }
        // From here on the kernel remembers the peak anew.
        std::fs::write("/proc/self/clear_refs", "5")?;
        let cpu = processor_seconds()?;
        let began = Instant::now();
        let counts = once(&world).await?;
        let said = serde_json::json!({
            "seconds": began.elapsed().as_secs_f64(),
            "cpu_seconds": processor_seconds()? - cpu,
            "idle_kib": idle,
            "peak_kib": memory("VmHWM:")?,
            "counts": counts,
            "dead": (0..machines).filter(|n| Mood::of(*n).is_dead()).count(),
        });
        lines::say(&said.to_string());
    }
    stop.cancel();
    running.await?;
    Ok(())
}

/// Asks for a sweep as an operator does, and waits for its end.
async fn once(world: &World) -> Result<serde_json::Value, Failure> {
    let mut tx = world.db.system().await?;
    let run = app::jobs::ask(&mut tx, world.entropy.as_ref(), Job::Health, AskedBy::Operator).await?;
    let mut watch = world.db.watch(run);
    tx.commit().await?;
    loop {
        let mut tx = world.db.system().await?;
        if let Some(counts) = app::jobs::counts(&mut tx, run).await? {
            return Ok(counts);
        }
        drop(tx);
        tokio::time::timeout(Duration::from_secs(1), watch.changed()).await.ok();
    }
}

fn but_lives_rest<'a>(world: &'a World, claim: &'a Claim) -> BoxFuture<'a, Result<Outcome, StepError>> {
    if claim.kind == LIFE {
        let stay = Step { name: "live", value: claim.step.clone(), deadline: None };
        let rests = Outcome::next(Next::Wait(stay, Duration::from_hours(1))).heard();
        return Box::pin(std::future::ready(Ok(rests)));
    }
    flows::behaviour(world, claim)
}

/// The number of a machine is the end of its id.
fn number(machine: MachineId) -> u32 {
    u32::try_from(machine.uuid().as_u128() & u128::from(u32::MAX)).unwrap_or(u32::MAX)
}

/// As benches/sweep.py writes the rows.
fn id(machine: u32) -> MachineId {
    MachineId::from_uuid(Uuid::from_u128((0x0198_u128 << 112) | u128::from(machine)))
}

/// HTTP instead of SSH: connect, ask, read to the end.
struct Line;

#[async_trait]
impl Reach for Line {
    async fn ask(&self, target: &Target<'_>, _: &Request, limit: Duration) -> Result<Answer, SshError> {
        let asked = async {
            let mut stream = TcpStream::connect(target.address).await?;
            let request = format!("GET /{} HTTP/1.1\r\nhost: machine\r\n\r\n", number(target.machine));
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::with_capacity(256);
            stream.read_to_end(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        match tokio::time::timeout(limit, asked).await {
            Err(_) => Err(SshError::TimedOut { limit }),
            Ok(Err(error)) => Err(SshError::Lost { why: error.to_string() }),
            Ok(Ok(answer)) if answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(b"ready") => {
                let status = Status {
                    boot: String::new(),
                    gateway: Gateway::Ready,
                    in_force: None,
                    memory_bytes: None,
                    disk_free_bytes: None,
                    failing: Vec::new(),
                };
                Ok(Answer { version: VERSION, outcome: Answered::Done(Reply::Status(status)) })
            }
            Ok(Ok(_)) => Err(SshError::Garbled { why: "not what a machine says".into() }),
        }
    }
}

/// A provider that holds them all, and can only be looked at.
struct Listing {
    machines: u32,
}

fn refused<T>() -> Result<T, ProviderError> {
    Err(ProviderError::Refused { why: "these machines are only looked at".into() })
}

#[async_trait]
impl Provider for Listing {
    fn isolation(&self) -> Isolation {
        Isolation::Container
    }

    async fn ensure(&self, _: &Plan) -> Result<Sighting, ProviderError> {
        refused()
    }

    async fn look(&self, _: &MachineName) -> Result<Option<Sighting>, ProviderError> {
        refused()
    }

    async fn start(&self, _: &MachineName) -> Result<(), ProviderError> {
        refused()
    }

    async fn stop(&self, _: &MachineName, _: Duration) -> Result<(), ProviderError> {
        refused()
    }

    async fn resize(&self, _: &MachineName, _: &Limits) -> Result<(), ProviderError> {
        refused()
    }

    async fn remove(&self, _: &MachineName) -> Result<(), ProviderError> {
        refused()
    }

    async fn list(&self) -> Result<Vec<Sighting>, ProviderError> {
        let seen = |machine| Sighting {
            name: MachineName::of(id(machine)),
            machine: Some(id(machine)),
            running: true,
            address: Some(IpAddr::V4(address(machine))),
            image: Some("bench".into()),
            created_at: chrono::DateTime::UNIX_EPOCH,
        };
        Ok((0..self.machines).map(seen).collect())
    }

    async fn home_address(&self) -> Result<IpAddr, ProviderError> {
        refused()
    }
}

/// A figure of this process, in KiB.
fn memory(name: &str) -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("the kernel tells no memory")?;
    Ok(line.split_whitespace().next().unwrap_or_default().parse()?)
}

/// Processor time of this process so far; the kernel counts in hundredths.
fn processor_seconds() -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit_once(')').ok_or("no stat")?.1.split_whitespace().collect();
    let ticks: f64 = fields.iter().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    Ok(ticks / 100.0)
}
