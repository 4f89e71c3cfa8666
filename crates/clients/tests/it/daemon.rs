//! Against a real LXD or Incus. The daemon is named by BERTH_TEST_INCUS_SOCKET, BERTH_TEST_IMAGE,
//! BERTH_TEST_NETWORK and BERTH_TEST_POOL; each test removes what it made.

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use clients::{
    incus::{Incus, Settings},
    provider::{Limits, Provider, ProviderError},
};
use domain::{Id, InstallationId, machine::MachineName};
use serde_json::Value;

use crate::{file, fresh_machine, plan, promises, random_bytes};

struct Daemon {
    settings: Settings,
    image: String,
}

impl Daemon {
    fn from_environment() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "tests take their daemon from the environment that scripts/test sets"
        )]
        let named =
            |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: scripts/test e2e sets it"));
        let settings = Settings {
            socket: PathBuf::from(named("BERTH_TEST_INCUS_SOCKET")),
            network: named("BERTH_TEST_NETWORK"),
            pool: named("BERTH_TEST_POOL"),
            installation: fresh_installation(),
        };
        Self { settings, image: named("BERTH_TEST_IMAGE") }
    }

    fn client(&self) -> Incus {
        Incus::new(self.settings.clone())
    }

    /// The daemon's own client, which nobody here wrote.
    fn their_client(&self, arguments: &[&str]) -> String {
        let folder = self.settings.socket.parent().unwrap();
        let program = if self.settings.socket.to_string_lossy().contains("incus") { "incus" } else { "lxc" };
        let output = Command::new(program)
            .args(arguments)
            .envs([("LXD_DIR", folder), ("INCUS_DIR", folder)])
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the daemon's own client lists under our label.
    fn their_list(&self) -> Vec<Value> {
        let filter = format!("user.berth.installation={}", self.settings.installation);
        serde_json::from_str(&self.their_client(&["list", "--format", "json", &filter])).unwrap()
    }
}

fn fresh_installation() -> InstallationId {
    Id::from_uuid(uuid::Builder::from_random_bytes(random_bytes()).into_uuid())
}

#[tokio::test]
#[ignore = "needs a daemon: scripts/test e2e runs it"]
async fn a_real_daemon_keeps_the_promises() {
    let daemon = Daemon::from_environment();
    let begun = Instant::now();
    promises::a_life(&daemon.client(), &daemon.image).await;
    println!("a whole life, two starts and two ends: {:?}", begun.elapsed());
    assert_eq!(daemon.their_list(), Vec::<Value>::new());
}

/// What this host's kernel lets a running container have of memory, in its first or second version of control groups.
fn memory_bound(seen: &Value) -> Option<String> {
    let group = format!("lxc.payload.{}", seen["name"].as_str()?);
    let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", seen["state"]["pid"])).ok()?;
    let bound = |line: &str| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        // Where that is depends on the daemon's own group; the container's init has gone further down.
        let path = &path[..path.find(&group)? + group.len()];
        let file = match controllers {
            "memory" => format!("/sys/fs/cgroup/memory{path}/memory.limit_in_bytes"),
            _ => format!("/sys/fs/cgroup{path}/memory.max"),
        };
        Some(std::fs::read_to_string(file).ok()?.trim().to_owned())
    };
    groups.lines().find_map(bound)
}

#[tokio::test]
#[ignore = "needs a daemon: scripts/test e2e runs it"]
async fn the_daemons_own_client_sees_what_we_made() {
    let daemon = Daemon::from_environment();
    let client = daemon.client();
    let survey = client.survey().await.unwrap();
    println!("{survey:?}");
    let mut plan = plan(fresh_machine(), &daemon.image);
    plan.files.push(file("/etc/berth-secret", 0o600, 1000, 1000, "hush"));
    let begun = Instant::now();
    let sighting = client.ensure(&plan).await.unwrap();
    println!("made and started: {:?}", begun.elapsed());

    let [seen] = daemon.their_list().try_into().unwrap();
    assert_eq!(seen["name"], plan.name.as_str());
    assert_eq!(seen["status"], "Running");
    let config = &seen["config"];
    assert_eq!(config["user.berth.machine"], plan.machine.to_string());
    assert_eq!(config["security.nesting"], "false");
    assert_eq!(config["security.privileged"], "false");
    assert_eq!(config["limits.memory"], (1u64 << 30).to_string());
    // A larger plan, while it runs: the daemon says so, and so does the kernel.
    let larger = Limits { memory_bytes: 3 << 29, ..plan.limits };
    client.resize(&plan.name, &larger).await.unwrap();
    let [resized] = daemon.their_list().try_into().unwrap();
    assert_eq!(resized["config"]["limits.memory"], larger.memory_bytes.to_string());
    assert_eq!(memory_bound(&resized), Some(larger.memory_bytes.to_string()));
    let nic = &seen["devices"]["eth0"];
    assert_eq!(nic["security.port_isolation"], "true");
    assert_eq!(nic["ipv4.address"], sighting.address.unwrap().to_string());

    let name = plan.name.as_str();
    let inside =
        daemon.their_client(&["exec", name, "--", "stat", "-c", "%a %u %g %s", "/etc/berth-mark", "/etc/berth-secret"]);
    assert_eq!(inside, "640 0 1 18\n600 1000 1000 4\n");
    assert!(
        daemon
            .their_client(&["exec", name, "--", "sh", "-c", "test -e /dev/lxd || test -e /dev/incus || echo none"])
            .contains("none")
    );

    client.remove(&plan.name).await.unwrap();
    assert_eq!(daemon.their_list(), Vec::<Value>::new());
}

#[tokio::test]
#[ignore = "needs a daemon: scripts/test e2e runs it"]
async fn two_workers_at_once_make_one_machine() {
    let daemon = Daemon::from_environment();
    let plan = plan(fresh_machine(), &daemon.image);
    let (one, other) = (daemon.client(), daemon.client());
    let (first, second) = tokio::join!(one.ensure(&plan), other.ensure(&plan));
    // One of them may have met the other in the middle; then it says that it may be asked again.
    for outcome in [&first, &second] {
        assert!(outcome.as_ref().err().is_none_or(ProviderError::is_transient), "{outcome:?}");
    }
    assert!(one.ensure(&plan).await.unwrap().running);
    assert_eq!(daemon.their_list().len(), 1);
    one.remove(&plan.name).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a daemon: scripts/test e2e runs it"]
async fn giving_up_at_any_moment_is_healed_by_asking_again() {
    let daemon = Daemon::from_environment();
    let mut cut_short = 0;
    for after_ms in [1, 5, 12, 20, 30, 60, 120, 300, 600, 1200] {
        let plan = plan(fresh_machine(), &daemon.image);
        let given_up = tokio::time::timeout(Duration::from_millis(after_ms), daemon.client().ensure(&plan)).await;
        cut_short += usize::from(given_up.is_err());
        let client = daemon.client();
        let sighting = while_busy(|| client.ensure(&plan)).await;
        assert!(sighting.running, "given up after {after_ms} ms");
        let mark = daemon.their_client(&["exec", plan.name.as_str(), "--", "cat", "/etc/berth-mark"]);
        assert_eq!(mark, "mark of a machine\n", "given up after {after_ms} ms");
        assert_eq!(daemon.their_list().len(), 1, "given up after {after_ms} ms");
        while_busy(|| client.remove(&plan.name)).await;
    }
    assert!(cut_short >= 5, "only {cut_short} calls were cut short");

    // A removal that comes while the making goes on finds it.
    for after_ms in [5, 25, 100] {
        let plan = plan(fresh_machine(), &daemon.image);
        tokio::time::timeout(Duration::from_millis(after_ms), daemon.client().ensure(&plan)).await.ok();
        let client = daemon.client();
        while_busy(|| client.remove(&plan.name)).await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(daemon.their_list(), Vec::<Value>::new(), "removed after {after_ms} ms");
    }
}

/// Asks again while the daemon is still at what was given up: the flows do so too.
async fn while_busy<T, F: Future<Output = Result<T, ProviderError>>>(ask: impl Fn() -> F) -> T {
    for _ in 0..60 {
        match ask().await {
            Err(ProviderError::Busy) => tokio::time::sleep(Duration::from_secs(1)).await,
            ended => return ended.unwrap(),
        }
    }
    panic!("the daemon is busy for a minute");
}

#[tokio::test]
#[ignore = "needs a daemon: scripts/test e2e runs it"]
async fn what_another_installation_made_is_not_touched() {
    let daemon = Daemon::from_environment();
    let theirs = daemon.client();
    let ours = Incus::new(Settings { installation: fresh_installation(), ..daemon.settings.clone() });
    let plan = plan(fresh_machine(), &daemon.image);
    let sighting = theirs.ensure(&plan).await.unwrap();

    let refused =
        |error: Option<ProviderError>| assert!(matches!(error, Some(ProviderError::Refused { .. })), "{error:?}");
    refused(ours.ensure(&plan).await.err());
    refused(ours.look(&plan.name).await.err());
    refused(ours.start(&plan.name).await.err());
    refused(ours.stop(&plan.name, Duration::ZERO).await.err());
    refused(ours.remove(&plan.name).await.err());
    assert_eq!(ours.list().await.unwrap(), vec![]);
    assert_eq!(theirs.look(&plan.name).await.unwrap(), Some(sighting), "as it was");
    theirs.remove(&plan.name).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a daemon: scripts/test e2e runs it"]
async fn a_half_made_machine_with_a_taken_address_is_adopted() {
    let daemon = Daemon::from_environment();
    let client = daemon.client();
    let first = plan(fresh_machine(), &daemon.image);
    let taken = client.ensure(&first).await.unwrap().address.unwrap();

    let second = plan(fresh_machine(), &daemon.image);
    let name = second.name.as_str();
    // As a worker leaves it that chose at the same time and was killed: the daemon looks at addresses only at the start.
    let body = serde_json::json!({
        "name": name, "type": "container", "profiles": [], "source": {"type": "image", "alias": daemon.image},
        "config": {
            "user.berth.installation": daemon.settings.installation.to_string(),
            "user.berth.machine": second.machine.to_string(),
        },
        "devices": {
            "root": {"type": "disk", "path": "/", "pool": daemon.settings.pool},
            "eth0": {"type": "nic", "network": daemon.settings.network, "ipv4.address": taken.to_string()},
        },
    });
    daemon.their_client(&["query", "--wait", "-X", "POST", "-d", &body.to_string(), "/1.0/instances"]);

    let sighting = client.ensure(&second).await.unwrap();
    assert!(sighting.running);
    assert_ne!(sighting.address, Some(taken));
    let mark = daemon.their_client(&["exec", name, "--", "cat", "/etc/berth-mark"]);
    assert_eq!(mark, "mark of a machine\n");
    for plan in [&first, &second] {
        client.remove(&plan.name).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs a daemon: scripts/test e2e runs it"]
async fn what_is_missing_is_said() {
    let daemon = Daemon::from_environment();
    let plan_without_image = plan(fresh_machine(), "no-such-image");
    let missing = daemon.client().ensure(&plan_without_image).await;
    assert_eq!(missing, Err(ProviderError::ImageMissing { alias: "no-such-image".into() }));

    let mut plan = plan(fresh_machine(), &daemon.image);
    plan.files.push(file("/no/such/folder/file", 0o600, 0, 0, ""));
    let refused = daemon.client().ensure(&plan).await.unwrap_err();
    assert!(refused.to_string().contains("no folder for /no/such/folder/file"), "{refused}");
    daemon.client().remove(&plan.name).await.unwrap();

    for settings in [
        Settings { network: "nosuchnet".into(), ..daemon.settings.clone() },
        Settings { pool: "nosuchpool".into(), ..daemon.settings.clone() },
    ] {
        let refused = Incus::new(settings).survey().await.unwrap_err();
        assert!(!refused.is_transient(), "{refused}");
    }
    assert_eq!(daemon.their_list(), Vec::<Value>::new());
}

#[tokio::test]
async fn a_daemon_that_is_down_is_unavailable_in_every_verb() {
    let client = Incus::new(Settings {
        socket: PathBuf::from("/nonexistent/unix.socket"),
        network: "none".into(),
        pool: "none".into(),
        installation: fresh_installation(),
    });
    let plan = plan(fresh_machine(), "machine");
    let name = MachineName::of(plan.machine);
    let errors = [
        client.survey().await.err(),
        client.ensure(&plan).await.err(),
        client.look(&name).await.err(),
        client.start(&name).await.err(),
        client.stop(&name, Duration::ZERO).await.err(),
        client.remove(&name).await.err(),
        client.list().await.err(),
        client.home_address().await.err(),
    ];
    for error in errors {
        let error = error.unwrap();
        assert!(matches!(error, ProviderError::Unavailable { .. }) && error.is_transient(), "{error}");
    }
}
