//! One process of the real program: started, killed, stopped in the middle, and watched while it dies.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::program::PROGRAM;

/// Where people and machines reach a process, below ports that the kernel gives away.
const PEOPLE: u16 = 8080;
const MACHINES: u16 = 8081;

/// One process, running or not.
pub(crate) struct Process {
    address: Ipv4Addr,
    log: PathBuf,
    folder: PathBuf,
    /// The environment that all processes of a fleet share.
    common: Vec<(&'static str, String)>,
    /// Which parts it runs: `all`, `serve` or `work`.
    parts: &'static str,
    child: Option<Child>,
}

impl Process {
    pub(crate) fn new(address: Ipv4Addr, folder: &Path, common: Vec<(&'static str, String)>) -> Self {
        let log = folder.join(format!("{address}.log"));
        Self { address, log, folder: folder.to_owned(), common, parts: "all", child: None }
    }

    pub(crate) fn people(&self) -> SocketAddr {
        (self.address, PEOPLE).into()
    }

    pub(crate) fn machines(&self) -> SocketAddr {
        (self.address, MACHINES).into()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs(self.common.iter().map(|(name, value)| (*name, value.as_str())))
            .env("BERTH_LISTEN", self.people().to_string())
            .env("BERTH_MACHINE_LISTEN", self.machines().to_string())
            .kill_on_drop(true);
        command
    }

    /// Changes the environment of its next start.
    pub(crate) fn set(&mut self, name: &'static str, value: &str) {
        self.common.retain(|(other, _)| *other != name);
        self.common.push((name, value.to_owned()));
    }

    /// Changes which parts its next start runs. One that only works listens nowhere.
    pub(crate) const fn part(&mut self, parts: &'static str) {
        self.parts = parts;
    }

    /// Starts it; `crash_at` is where it dies, if anywhere.
    pub(crate) fn start(&mut self, crash_at: Option<&str>) {
        assert!(self.child.is_none(), "it runs already");
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = self.command(&[self.parts]);
        command.envs(crash_at.map(|point| ("BERTH_CRASH_AT", point)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().expect("berth was built"));
    }

    /// Waits until it listens, or died before.
    pub(crate) async fn up(&mut self) {
        let began = Instant::now();
        while TcpStream::connect(self.machines()).await.is_err() {
            if self.ended().is_some() {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "it does not listen\n{}", self.log());
            sleep(Duration::from_millis(15)).await;
        }
    }

    /// `kill -9`.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.unwrap();
        }
    }

    /// Sends `STOP` or `CONT`.
    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.as_ref().and_then(Child::id).expect("it runs").to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().await.unwrap().success());
    }

    /// How it ended, if it did by itself.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().unwrap()
    }

    /// Whether it died at its crash point within this time.
    pub(crate) async fn crashed(&mut self, longest: Duration) -> bool {
        let child = self.child.as_mut().expect("it was started");
        let Ok(status) = timeout(longest, child.wait()).await else { return false };
        let status = status.unwrap();
        assert_eq!(status.signal(), Some(6), "it ended otherwise: {status}\n{}", self.log());
        self.child = None;
        true
    }

    /// Forgets a child that ended.
    pub(crate) fn bury(&mut self) {
        self.child = None;
    }

    /// The end of what it logged.
    pub(crate) fn log(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        format!("{}:\n{}", self.address, lines[lines.len().saturating_sub(60)..].join("\n"))
    }
}

impl Drop for Process {
    /// Waits until it is gone: its address is free for whoever comes next.
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        child.start_kill().ok();
        let began = Instant::now();
        while matches!(child.try_wait(), Ok(None)) && began.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
