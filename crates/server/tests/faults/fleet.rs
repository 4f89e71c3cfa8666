//! Several processes of Berth on one database, before one simulated daemon, behind one front.

use std::{io::Write as _, net::Ipv4Addr, path::Path, time::Duration};

use http::Method;
use serde_json::Value;
use tempfile::TempDir;
use testkit::{
    Database,
    http_call::{Call, call},
    sim::{Options, Simulator},
};
use tokio::time::sleep;

use crate::{api::Api, front::Front, process::Process, program::key};

/// The shortest lease there is: whoever died is relieved after a second.
pub(crate) const LEASE: Duration = Duration::from_secs(1);

/// Bearer of the cron routes.
pub(crate) const CRON: &str = "cron-secret-of-these-tests";

/// A fleet.
pub(crate) struct Fleet {
    pub(crate) processes: Vec<Process>,
    people: Front,
    machines: Front,
    // Dropped after everything that listens on its network: then another fleet may take that.
    pub(crate) simulator: Simulator,
    pub(crate) database: Database,
    pub(crate) api: Api,
    folder: TempDir,
}

impl Fleet {
    /// This many processes on a database of their own, all up.
    pub(crate) async fn start(count: usize) -> Self {
        Self::on(Database::fresh().await, count).await
    }

    /// The same on this database.
    pub(crate) async fn on(database: Database, count: usize) -> Self {
        Self::with(database, count, Vec::new()).await
    }

    /// The same with further settings.
    pub(crate) async fn with(database: Database, count: usize, settings: Vec<(&'static str, String)>) -> Self {
        let folder = TempDir::new().unwrap();
        let simulator = Simulator::start(Options::below(folder.path())).await.unwrap();
        let [a, b, _, _] = simulator.home().octets();
        let common = [environment(&database, &simulator), settings].concat();
        let address = |n: usize| Ipv4Addr::new(a, b, 0, 10 + u8::try_from(n).unwrap());
        let mut processes: Vec<Process> =
            (0..count).map(|n| Process::new(address(n), folder.path(), common.clone())).collect();
        let behind = |port: fn(&Process) -> std::net::SocketAddr| processes.iter().map(port).collect::<Vec<_>>();
        let people = Front::open((simulator.home(), 8080).into(), &behind(Process::people)).await;
        let machines = Front::open((simulator.home(), 8081).into(), &behind(Process::machines)).await;
        for process in &mut processes {
            process.start(None);
            process.up().await;
        }
        let token = token(&processes[0], &["--email", "captain@example.org", "--operator"]).await;
        let api = Api { base: format!("http://{}:8080", simulator.home()), token };
        Self { processes, people, machines, simulator, database, api, folder }
    }

    /// Where the processes run and log.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Somebody else, with a tenant of their own.
    pub(crate) async fn person(&self, name: &str) -> Api {
        let token = token(&self.processes[0], &["--email", &format!("{name}@example.org")]).await;
        Api { base: self.api.base.clone(), token }
    }

    /// Takes a process in or out of the front's rotation.
    pub(crate) fn rotate(&self, index: usize, takes: bool) {
        self.people.rotate(index, takes);
        self.machines.rotate(index, takes);
    }

    /// Everything that people and machines say goes to this process.
    pub(crate) fn only(&self, index: usize) {
        for n in 0..self.processes.len() {
            self.rotate(n, n == index);
        }
    }

    /// Everybody is in rotation.
    pub(crate) fn all(&self) {
        for n in 0..self.processes.len() {
            self.rotate(n, true);
        }
    }

    /// `kill -9`, and started again as a service manager does.
    pub(crate) async fn kill(&mut self, index: usize) {
        self.processes[index].kill().await;
        self.processes[index].start(None);
    }

    /// Asks for a job as cron does; its run, as it is answered.
    pub(crate) async fn cron(&self, job: &str) -> Value {
        let asked = Call {
            method: Method::POST,
            url: format!("{}/api/cron/{job}", self.api.base),
            headers: vec![("authorization", format!("Bearer {CRON}"))],
            body: None,
            patience: Duration::from_secs(80),
        };
        let answer = call(asked).await.expect("cron is answered");
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    /// All of them are killed and start again with other settings.
    pub(crate) async fn restart_with(&mut self, settings: &[(&'static str, &str)]) {
        for process in &mut self.processes {
            process.kill().await;
            for (name, value) in settings {
                process.set(name, value);
            }
            process.start(None);
        }
        for process in &mut self.processes {
            process.up().await;
        }
    }

    /// `kill -9`, and started anew so that it dies there.
    pub(crate) async fn arm(&mut self, index: usize, crash_at: &str) {
        self.processes[index].kill().await;
        self.processes[index].start(Some(crash_at));
        self.processes[index].up().await;
    }

    /// Starts again whoever ended because the database was away. Nobody may end otherwise.
    pub(crate) async fn raise(&mut self, away_allowed: bool) {
        for process in &mut self.processes {
            if let Some(status) = process.ended() {
                assert!(
                    away_allowed && status.code() == Some(1),
                    "a process ended by itself: {status}\n{}",
                    process.log()
                );
                process.bury();
                process.start(None);
            }
        }
        sleep(Duration::from_millis(50)).await;
    }

    /// What all of them logged last.
    pub(crate) fn log(&self) -> String {
        self.processes.iter().map(Process::log).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if std::thread::panicking() {
            writeln!(std::io::stderr(), "what Berth logged last:\n{}", self.log()).ok();
        }
    }
}

async fn token(process: &Process, whose: &[&str]) -> String {
    let output = process.command(&[&["admin", "issue-token"], whose].concat()).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn environment(database: &Database, simulator: &Simulator) -> Vec<(&'static str, String)> {
    let options = simulator.options();
    vec![
        ("DATABASE_URL", database.url_as("berth_login")),
        ("CREDENTIAL_ENCRYPTION_KEY", key()),
        ("CRON_SECRET", CRON.to_owned()),
        ("BERTH_PUBLIC_URL", format!("http://{}:8080", simulator.home())),
        ("BERTH_MACHINE_HOME", format!("http://{}:8081", simulator.home())),
        ("BERTH_INCUS_SOCKET", simulator.socket().display().to_string()),
        ("BERTH_INCUS_NETWORK", simulator.bridge().to_owned()),
        ("BERTH_INCUS_POOL", simulator.pool().to_owned()),
        ("BERTH_MACHINE_IMAGE", options.image.clone()),
        ("BERTH_MACHINE_SSH_PORT", options.ssh_port.to_string()),
        ("BERTH_LEASE_SECONDS", LEASE.as_secs().to_string()),
        ("BERTH_DATABASE_CONNECTIONS", "6".to_owned()),
        // One owner asks as fast as the machine bears.
        ("BERTH_REQUESTS_PER_MINUTE", "0".to_owned()),
    ]
}
