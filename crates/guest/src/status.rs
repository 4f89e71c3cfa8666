//! `hello` and `status`: who the machine is and how it feels; changes nothing.

use std::{fs, time::Duration};

use domain::protocol::{Gateway, Hello, InForce, Refusal, SecretText, Status};
use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::sleep;

use crate::{
    gateway::{GatewayError, Report},
    in_force,
    machine::Machine,
    paths::Paths,
    sealed::Bundle,
    unit::{self, UnitState},
};

/// A right token was answered after 0.02 to 0.5 s.
const NEXT_TOKEN_AFTER: Duration = Duration::from_millis(300);
/// Longer than the longest delay of a wrong one, so that "not accepted" is told from "busy".
const CONFIG_PATIENCE: Duration = Duration::from_secs(13);
const WORD_CHARS_MAX: usize = 100;

/// Who are you?
pub async fn hello(machine: &Machine) -> Result<Hello, Refusal> {
    let fence = current(machine).map_or(0, |bundle| bundle.fence);
    Ok(Hello {
        machine: machine.config.machine,
        boot: word(&machine.paths.boot_id),
        image: word(&machine.paths.image),
        guest: env!("CARGO_PKG_VERSION").to_owned(),
        openclaw: openclaw_version(&machine.paths),
        gateway: gateway(machine).await?,
        fence,
    })
}

/// How are you?
pub async fn status(machine: &Machine) -> Result<Status, Refusal> {
    let gateway = gateway(machine).await?;
    let in_force = match gateway {
        Gateway::Ready => reported(machine).await,
        Gateway::Stopped | Gateway::Starting | Gateway::Failed => None,
    };
    Ok(Status {
        boot: word(&machine.paths.boot_id),
        gateway,
        in_force,
        memory_bytes: memory_bytes(machine).await,
        disk_free_bytes: rustix::fs::statvfs("/").ok().map(|disk| disk.f_bavail * disk.f_frsize),
        failing: machine.gateway.failing().await.unwrap_or_default(),
    })
}

/// How far the gateway is.
pub async fn gateway(machine: &Machine) -> Result<Gateway, Refusal> {
    if machine.gateway.ready().await {
        return Ok(Gateway::Ready);
    }
    let unit = unit::show(&machine.paths).await.map_err(|error| machine.broken(&error))?;
    Ok(match unit.state {
        UnitState::Stopped => Gateway::Stopped,
        UnitState::Running => Gateway::Starting,
        UnitState::Failed => Gateway::Failed,
    })
}

/// What the gateway says is in force, if it speaks to us.
async fn reported(machine: &Machine) -> Option<InForce> {
    let store = machine.store().ok()?;
    let (current, next) = (store.current().ok()??, store.next());
    let bundles: Vec<&Bundle> = std::iter::once(&current).chain(next.as_ref()).collect();
    let tokens = Machine::tokens(&bundles);
    let (report, _) = first_accepted(machine, &tokens).await.ok()?;
    Some(in_force::read(&machine.paths, &report, &current))
}

/// Asks for the configuration with whichever token is accepted, the likeliest first.
///
/// OpenClaw answers a right token at once and a wrong one later each time (0.25 s at first, 10 s in the end), so
/// the next token is tried while the one before is still waited for.
pub async fn first_accepted<'a>(
    machine: &Machine,
    tokens: &[&'a SecretText],
) -> Result<(Report, &'a SecretText), GatewayError> {
    let mut asked: FuturesUnordered<_> = (0..)
        .zip(tokens)
        .map(|(place, token)| async move {
            sleep(NEXT_TOKEN_AFTER * place).await;
            (machine.gateway.config(token, CONFIG_PATIENCE).await, *token)
        })
        .collect();
    let mut last = GatewayError::Unauthorized;
    while let Some((answer, token)) = asked.next().await {
        match answer {
            Ok(report) => return Ok((report, token)),
            Err(GatewayError::Unauthorized) => {}
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn current(machine: &Machine) -> Option<Bundle> {
    machine.store().ok()?.current().ok()?
}

/// Memory that the unit cannot give back, or, where the kernel does not tell it apart, all that it is charged for.
async fn memory_bytes(machine: &Machine) -> Option<u64> {
    let unit = unit::show(&machine.paths).await.ok()?;
    let folder = unit.cgroup.strip_prefix('/').map(|cgroup| machine.paths.cgroups.join(cgroup));
    let text = folder.and_then(|folder| fs::read_to_string(folder.join("memory.stat")).ok()).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("anon ")?.parse().ok()).or(unit.memory_bytes)
}

/// The first line of a small file, or "unknown".
fn word(path: &std::path::Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line: String = text.lines().next().unwrap_or_default().trim().chars().take(WORD_CHARS_MAX).collect();
    if line.is_empty() { "unknown".to_owned() } else { line }
}

fn openclaw_version(paths: &Paths) -> String {
    let package = fs::read(&paths.openclaw_package).ok();
    let package: Option<serde_json::Value> = package.and_then(|text| serde_json::from_slice(&text).ok());
    let version = package.as_ref().and_then(|package| package.get("version")?.as_str());
    version.unwrap_or("unknown").chars().take(WORD_CHARS_MAX).collect()
}
