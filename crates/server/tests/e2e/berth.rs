//! One Berth under test: the real program with a database, ports and an installation of its own.

use std::{
    fs::File,
    io::Write as _,
    net::TcpListener,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use domain::InstallationId;
use serde_json::Value;
use tempfile::TempDir;
use testkit::Database;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::{
    curl::Curl,
    machines::Machines,
    program::{PROGRAM, key},
    setting::{Setting, say},
};

pub(crate) const CRON: &str = "cron-secret-of-these-tests";
/// Longest from "create" to "live" that these tests wait; a busy machine with two cores takes 40 s.
const LIVE_MAX: Duration = Duration::from_mins(3);

/// One Berth.
pub(crate) struct Berth {
    pub(crate) setting: Setting,
    pub(crate) database: Database,
    folder: TempDir,
    people: u16,
    machines: u16,
    key: String,
    child: Option<Child>,
    /// The one-time set-up link, as printed at the last start.
    pub(crate) link: Option<String>,
    installation: Option<InstallationId>,
}

impl Berth {
    /// A database and ports; nothing runs yet.
    pub(crate) async fn fresh() -> Self {
        let setting = Setting::of_process();
        let (people, machines) = (free_port("127.0.0.1"), free_port(&setting.home));
        Self {
            database: Database::fresh().await,
            key: key(),
            folder: TempDir::new().unwrap(),
            setting,
            people,
            machines,
            child: None,
            link: None,
            installation: None,
        }
    }

    /// Started, with an operator's token.
    pub(crate) async fn ready() -> (Self, Curl) {
        let mut berth = Self::fresh().await;
        berth.start(&[]).await;
        let token = berth.token("captain@example.org", true).await;
        let api = berth.api(&token);
        (berth, api)
    }

    /// `curl` with this token.
    pub(crate) fn api(&self, token: &str) -> Curl {
        Curl { base: self.url(), token: Some(token.to_owned()) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.people)
    }

    /// Where machines reach it.
    pub(crate) fn home(&self) -> String {
        format!("http://{}:{}", self.setting.home, self.machines)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let setting = &self.setting;
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("DATABASE_URL", self.database.url_as("berth_login"))
            .env("BERTH_DATABASE_MIGRATOR_URL", self.database.url_as("berth_migrator"))
            .env("CREDENTIAL_ENCRYPTION_KEY", &self.key)
            .env("CRON_SECRET", CRON)
            .env("BERTH_PUBLIC_URL", self.url())
            .env("BERTH_LISTEN", format!("127.0.0.1:{}", self.people))
            .env("BERTH_MACHINE_LISTEN", format!("{}:{}", setting.home, self.machines))
            .env("BERTH_INCUS_SOCKET", &setting.socket)
            .env("BERTH_INCUS_NETWORK", &setting.network)
            .env("BERTH_INCUS_POOL", &setting.pool)
            .env("BERTH_MACHINE_IMAGE", &setting.image)
            .env("BERTH_LEASE_SECONDS", "3")
            .kill_on_drop(true);
        command
    }

    /// A second process that only works, beside the first one.
    pub(crate) fn worker(&self, more: &[(&str, &str)]) -> Child {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut command = self.command(&["work"]);
        command.envs(more.iter().copied()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.spawn().expect("berth was built")
    }

    /// What `berth verify` says; it must be content.
    pub(crate) async fn verified(&self) {
        let output = self.command(&["verify", "--json"]).output().await.unwrap();
        assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stdout), self.log());
    }

    /// Starts it with more settings and waits until it says where it is, or dies of `BERTH_CRASH_AT` before.
    pub(crate) async fn start(&mut self, more: &[(&str, &str)]) {
        assert!(self.child.is_none(), "it runs already");
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut command = self.command(&["all"]);
        command.envs(more.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("berth was built");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut greeted = false;
        self.link = None;
        let greeting = async {
            while let Ok(Some(line)) = lines.next_line().await {
                greeted |= line.starts_with("Berth is at ");
                if greeted {
                    break;
                }
            }
            // A set-up link follows at once or not at all.
            if let Ok(Ok(Some(line))) = timeout(Duration::from_millis(300), lines.next_line()).await {
                self.link = line.find("http").and_then(|at| line.get(at..)).map(str::to_owned);
            }
        };
        timeout(Duration::from_secs(20), greeting).await.ok();
        self.child = Some(child);
        let dies = more.iter().any(|(name, _)| *name == "BERTH_CRASH_AT");
        assert!(greeted || dies, "it did not start:\n{}", self.log());
        if self.installation.is_none() {
            self.installation = Some(self.read_installation().await);
        }
    }

    async fn read_installation(&self) -> InstallationId {
        let mut tx = self.database.db.system().await.unwrap();
        // Berth wrote one when it started; this id is for nobody.
        store::house::installation(&mut tx, InstallationId::from_uuid(uuid::Uuid::nil())).await.unwrap()
    }

    /// The daemon, as far as this installation goes.
    pub(crate) fn machines(&self) -> Machines {
        Machines::of(&self.setting, self.installation.expect("it was started once"))
    }

    /// `kill -9`.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.unwrap();
        }
    }

    /// Waits until it died by itself.
    pub(crate) async fn death(&mut self, longest: Duration) -> ExitStatus {
        let mut child = self.child.take().expect("it was started");
        let waited = timeout(longest, child.wait()).await;
        let status = waited.unwrap_or_else(|_| panic!("it did not die within {longest:?}:\n{}", self.log()));
        status.unwrap()
    }

    /// Ends it as a service manager would; it must end well, and soon.
    pub(crate) async fn end(&mut self) {
        let mut child = self.child.take().expect("it was started");
        let id = child.id().expect("it runs").to_string();
        Command::new("kill").args(["-TERM", &id]).status().await.unwrap();
        let status = timeout(Duration::from_secs(25), child.wait()).await.expect("it ends within 25 s").unwrap();
        assert!(status.success(), "{status}\n{}", self.log());
        let mixed = "there is already a transaction in progress";
        assert!(!self.log().contains(mixed), "a connection came back with its transaction open\n{}", self.log());
    }

    /// A personal token by the command line.
    pub(crate) async fn token(&self, email: &str, operator: bool) -> String {
        let mut arguments = vec!["admin", "issue-token", "--email", email];
        arguments.extend(operator.then_some("--operator"));
        let output = self.command(&arguments).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A one-time link for somebody who is known.
    pub(crate) async fn sign_in_link(&self, email: &str) -> String {
        let output = self.command(&["admin", "sign-in-link", "--email", email]).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Creates an agent; its id.
    pub(crate) async fn create(&self, api: &Curl, name: &str) -> String {
        let agent = api.post("/api/v1/agents", Some(&format!("{{\"name\":\"{name}\"}}"))).await.expect(201);
        agent["id"].as_str().expect("an agent has an id").to_owned()
    }

    /// Waits until an agent is seen in this state; whatever it fails with ends the test.
    pub(crate) async fn seen(&self, api: &Curl, id: &str, state: &str) -> Value {
        let began = Instant::now();
        let mut before = String::new();
        loop {
            let answer = api.get(&format!("/api/v1/agents/{id}")).await;
            let agent = answer.expect(200);
            let now = agent["seen"]["state"].as_str().unwrap_or_default().to_owned();
            if now != before {
                say(&format!("{:>6.1} s {now}", began.elapsed().as_secs_f64()));
                before.clone_from(&now);
            }
            if now == state {
                return agent;
            }
            assert!(now != "failed", "{agent}\n{}", self.log());
            assert!(began.elapsed() < LIVE_MAX, "not {state} within {LIVE_MAX:?}: {agent}\n{}", self.log());
            sleep(Duration::from_millis(250)).await;
        }
    }

    /// Waits until an agent is gone: 404, no row, no machine at the daemon.
    pub(crate) async fn gone(&self, api: &Curl, id: &str) {
        let began = Instant::now();
        while api.get(&format!("/api/v1/agents/{id}")).await.status != 404 {
            assert!(began.elapsed() < LIVE_MAX, "not gone within {LIVE_MAX:?}\n{}", self.log());
            sleep(Duration::from_millis(250)).await;
        }
        say(&format!("{:>6.1} s gone", began.elapsed().as_secs_f64()));
        self.nothing_left().await;
    }

    /// No agent, no living machine, no flow of theirs, nothing at the daemon, no open alert.
    pub(crate) async fn nothing_left(&self) {
        for (what, statement) in [
            ("agents", "select count(*) from agents"),
            ("timeline", "select count(*) from timeline"),
            ("proofs", "select count(*) from proofs"),
            ("exchanges", "select count(*) from exchanges"),
            ("living machines", "select count(*) from machines where state <> 'gone'"),
            ("flows", "select count(*) from flows where kind = 'life'"),
            ("open alerts", "select count(*) from alerts where closed_at is null"),
        ] {
            assert_eq!(self.database.count(statement).await, 0, "{what} left\n{}", self.log());
        }
        assert_eq!(self.machines().list().await, [], "machines left at the daemon");
    }

    /// The end of what it logged.
    pub(crate) fn log(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(120)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Berth {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.start_kill().ok();
        }
        if std::thread::panicking() {
            writeln!(std::io::stderr(), "what Berth logged last:\n{}", self.log()).ok();
        }
        let Some(installation) = self.installation else { return };
        let machines = Machines::of(&self.setting, installation);
        // Within the test's runtime nothing can be waited for: another one does.
        let cleaning = std::thread::spawn(move || {
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
                runtime.block_on(machines.clean());
            }
        });
        cleaning.join().ok();
    }
}

fn free_port(address: &str) -> u16 {
    let listener = TcpListener::bind((address, 0)).unwrap_or_else(|error| panic!("{address}: {error}"));
    listener.local_addr().unwrap().port()
}
