//! The gateway's systemd unit.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, bail};
use tokio::{io::AsyncReadExt as _, process::Command, time::timeout};

use crate::paths::Paths;

/// The unit's name.
pub const OPENCLAW: &str = "openclaw.service";

/// What systemctl is told, so that the packet filter reads its list again.
pub const RELOAD_FIREWALL: [&str; 2] = ["reload", "berth-firewall.service"];

const SHOW_PATIENCE: Duration = Duration::from_secs(5);
/// Above the unit's TimeoutStartSec and TimeoutStopSec together, so that systemd gives up first.
const CHANGE_PATIENCE: Duration = Duration::from_secs(100);

/// What systemd says of the unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// How it is.
    pub state: UnitState,
    /// Its control group, below the root of them.
    pub cgroup: String,
    /// Memory charged to it, file cache included.
    pub memory_bytes: Option<u64>,
}

/// Whether the unit runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitState {
    /// Not running, and nobody tries to.
    Stopped,
    /// Running, on the way there, or on the way down.
    Running,
    /// Given up.
    Failed,
}

/// Asks systemd.
pub async fn show(paths: &Paths) -> Result<Unit> {
    let arguments = ["show", "--property=ActiveState,ControlGroup,MemoryCurrent", OPENCLAW];
    let text = run(&paths.systemctl, &arguments, SHOW_PATIENCE, 64 * 1024).await?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let value = |key: &str| {
        text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default().to_owned()
    };
    let state = match value("ActiveState").as_str() {
        "active" | "activating" | "reloading" | "deactivating" | "refreshing" => UnitState::Running,
        "failed" => UnitState::Failed,
        "inactive" => UnitState::Stopped,
        other => bail!("systemd calls the gateway's unit {other:?}"),
    };
    Ok(Unit { state, cgroup: value("ControlGroup"), memory_bytes: value("MemoryCurrent").parse().ok() })
}

/// Starts the unit; one that gave up is given a fresh chance.
pub async fn start(paths: &Paths) -> Result<()> {
    let _ = run(&paths.systemctl, &["reset-failed", OPENCLAW], SHOW_PATIENCE, 64 * 1024).await;
    change(paths, "start").await
}

/// Stops the unit, within the unit's own time for it.
pub async fn stop(paths: &Paths) -> Result<()> {
    change(paths, "stop").await
}

/// Stops and starts the unit in one go.
pub async fn restart(paths: &Paths) -> Result<()> {
    change(paths, "restart").await
}

/// Has the packet filter read its list again.
pub async fn reload_firewall(paths: &Paths) -> Result<()> {
    run(&paths.systemctl, &RELOAD_FIREWALL, CHANGE_PATIENCE, 64 * 1024).await.map(drop)
}

async fn change(paths: &Paths, verb: &str) -> Result<()> {
    let done = run(&paths.systemctl, &[verb, OPENCLAW], CHANGE_PATIENCE, 64 * 1024).await;
    done.map(drop).with_context(|| format!("systemctl could not {verb} the gateway"))
}

/// Runs a program with fixed arguments and gives back what it printed, bounded in time and size.
pub async fn run(program: &Path, arguments: &[&str], patience: Duration, bytes_max: u64) -> Result<Vec<u8>> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let stdout = child.stdout.take().context("a child without output")?;
    let work = async {
        let mut printed = Vec::new();
        // Dropping the pipe at the limit ends a program that prints without end.
        stdout.take(bytes_max).read_to_end(&mut printed).await?;
        anyhow::Ok((child.wait().await?, printed))
    };
    let (status, printed) = timeout(patience, work).await.context("took too long")??;
    if !status.success() {
        bail!("{} ended with {status}", program.display());
    }
    Ok(printed)
}
