//! One machine in a temporary folder: files, a fake gateway, and the guest service in a process of its own.

use std::{
    fs::{self, File},
    io::Cursor,
    net::SocketAddr,
    os::unix::fs::{MetadataExt as _, symlink},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use domain::{
    channel::Channels,
    openclaw::{AgentModel, Settings, document},
    protocol::{Answer, Ask, InForce, Outcome, Refusal, Reply, Request, SecretFile, SecretText, Variable},
};
use guest::{accounts::Owner, paths::Paths, shim};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fake_gateway::FakeGateway;

/// Stands in every secret and in every word of a conversation.
pub const MARKER: &str = "MARKER";
pub const MACHINE: &str = "mch_0198f0000000700080000000000000ab";
const ROOT: &str = "GUEST_TEST_ROOT";
const GATEWAY: &str = "GUEST_TEST_GATEWAY";

pub struct World {
    root: TempDir,
    pub paths: Paths,
    pub gateway: FakeGateway,
    service: Child,
}

/// Everything that one apply may bring.
#[derive(Default)]
pub struct Wish<'a> {
    pub fence: u64,
    pub document: Value,
    pub secrets: Vec<SecretFile>,
    pub told: Option<&'a str>,
    pub variables: &'a [(&'a str, &'a str)],
    pub reach: &'a [&'a str],
}

impl World {
    /// A machine as after its first boot: nothing applied, gateway ready, guest service up.
    pub async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let gateway = FakeGateway::default();
        let address = gateway.listen();
        let paths = paths(root.path(), address);
        for folder in ["run", "etc", "state", "secrets", "home", "ssh"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
        symlink(here.join("fake-systemctl"), &paths.systemctl).unwrap();
        symlink(here.join("fake-journalctl"), &paths.journalctl).unwrap();
        fs::write(&paths.machine_key, [9; 32]).unwrap();
        fs::write(&paths.image, "image-7\n").unwrap();
        fs::write(&paths.boot_id, "boot-1\n").unwrap();
        fs::write(&paths.openclaw_package, r#"{"version":"2026.9.6"}"#).unwrap();
        fs::write(root.path().join("journal"), "").unwrap();
        fs::write(root.path().join("starts"), "first\n").unwrap();
        fs::write(root.path().join("unit"), "active\n").unwrap();
        let token = format!("berth_mch_{MARKER}");
        let config = json!({ "machine": MACHINE, "home": format!("http://{address}"), "machine_token": token });
        fs::write(&paths.config, config.to_string()).unwrap();
        gateway.place(root.path().to_owned(), paths.clone());
        let service = start(root.path(), address);
        let world = Self { root, paths, gateway, service };
        world.wait_for_service().await;
        world
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// `kill -9`, and systemd's restart.
    pub async fn kill_service(&mut self) {
        self.service.kill().unwrap();
        self.service.wait().unwrap();
        self.service = start(self.root.path(), self.paths.gateway);
        self.wait_for_service().await;
    }

    /// The gateway's process ends and systemd starts it again.
    pub fn restart_gateway(&self) {
        Command::new(&self.paths.systemctl).args(["restart", "openclaw.service"]).status().unwrap();
    }

    async fn wait_for_service(&self) {
        for _ in 0..500 {
            if matches!(self.ask(Ask::Hello).await, Ok(Reply::Hello(_))) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the service did not come up");
    }

    /// Sends bytes through the shim.
    pub async fn send(&self, bytes: Vec<u8>) -> Answer {
        let socket = self.paths.socket.clone();
        let work = tokio::task::spawn_blocking(move || {
            let mut out = Vec::new();
            shim::pass(&socket, Cursor::new(bytes), &mut out).unwrap();
            serde_json::from_slice(&out).unwrap()
        });
        work.await.unwrap()
    }

    pub async fn ask(&self, ask: Ask) -> Result<Reply, Refusal> {
        match self.send(serde_json::to_vec(&Request::new(ask)).unwrap()).await.outcome {
            Outcome::Done(reply) => Ok(reply),
            Outcome::Refused(refusal) => Err(refusal),
        }
    }

    pub async fn apply(&self, fence: u64, name: &str) -> Result<InForce, Refusal> {
        self.apply_with(fence, wanted(name), secrets(name)).await
    }

    pub async fn apply_with(&self, fence: u64, document: Value, secrets: Vec<SecretFile>) -> Result<InForce, Refusal> {
        self.apply_told(fence, document, secrets, None).await
    }

    pub async fn apply_told(
        &self,
        fence: u64,
        document: Value,
        secrets: Vec<SecretFile>,
        told: Option<&str>,
    ) -> Result<InForce, Refusal> {
        self.apply_whole(Wish { fence, document, secrets, told, ..Wish::default() }).await
    }

    pub async fn apply_whole(&self, wish: Wish<'_>) -> Result<InForce, Refusal> {
        let Wish { fence, document, secrets, told, variables, reach } = wish;
        let instructions = told.map(|text| SecretText::new(text.to_owned()));
        let variable = |(name, value): &(&str, &str)| Variable {
            name: (*name).to_owned(),
            value: SecretText::new((*value).to_owned()),
        };
        let variables = variables.iter().map(variable).collect();
        let reach = reach.iter().map(|place| (*place).to_owned()).collect();
        match self.ask(Ask::Apply { fence, document, secrets, instructions, variables, reach }).await? {
            Reply::Applied(in_force) => Ok(in_force),
            other => panic!("another reply: {other:?}"),
        }
    }

    pub async fn turn(&self, text: &str) -> Result<String, Refusal> {
        let text = SecretText::new(text.to_owned());
        match self.ask(Ask::Turn { text, session: "s".into(), timeout_ms: 10_000 }).await? {
            Reply::Turn { text, .. } => Ok(text.expose().to_owned()),
            other => panic!("another reply: {other:?}"),
        }
    }

    /// What the service wrote for the journal, over all its lives.
    pub fn service_log(&self) -> String {
        fs::read_to_string(self.root.path().join("service.log")).unwrap_or_default()
    }

    /// Waits for something that comes by itself.
    pub async fn until(&self, what: impl Fn(&Self) -> bool) {
        for _ in 0..1_000 {
            if what(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it did not come");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}

pub fn wanted(name: &str) -> Value {
    document(&Settings {
        model_base_url: "http://home/llm".into(),
        model: AgentModel { name: name.into(), ..AgentModel::proof() },
        channels: Channels::default(),
    })
}

pub fn secrets(name: &str) -> Vec<SecretFile> {
    let secret = |file: &str, value: String| SecretFile { name: file.into(), value: SecretText::new(value) };
    vec![secret("gateway_token", token(name)), secret("model_key", key(name))]
}

pub fn token(name: &str) -> String {
    format!("token-{MARKER}-{name}")
}

pub fn key(name: &str) -> String {
    format!("key-{MARKER}-{name}")
}

pub fn paths(root: &Path, gateway: SocketAddr) -> Paths {
    let me = fs::metadata(root).unwrap();
    Paths::below(root, gateway, Owner { uid: me.uid(), gid: me.gid() })
}

fn start(root: &Path, gateway: SocketAddr) -> Child {
    let log = File::options().create(true).append(true).open(root.join("service.log")).unwrap();
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "world::the_service_in_its_own_process", "--ignored", "--nocapture"])
        .env(ROOT, root)
        .env(GATEWAY, gateway.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "no test: the other tests start it as a process that they can kill"]
fn the_service_in_its_own_process() {
    let (Some(root), Some(gateway)) = (std::env::var_os(ROOT), std::env::var_os(GATEWAY)) else { return };
    let paths = paths(Path::new(&root), gateway.to_str().unwrap().parse().unwrap());
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(guest::serve::serve(paths)).unwrap();
}
