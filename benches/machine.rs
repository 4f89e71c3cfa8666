//! A machine of B6: a real sshd, the guest service as it is shipped, and a gateway that is a stand-in.
//!
//! `machine boot FOLDER ADDRESS PORT` is started by the machine simulator for
//! each machine that gets power, and ends with its input; FOLDER holds the files
//! that Berth placed. `machine shim SOCKET` is what sshd runs for each request.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark that cannot go on says where")]

#[expect(dead_code, reason = "the guest's tests ask more of it")]
#[path = "../crates/guest/tests/it/fake_gateway.rs"]
mod fake_gateway;

use std::{
    fmt::Write as _,
    fs, io,
    net::TcpStream,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    time::Duration,
};

use guest::{accounts::Owner, paths::Paths, serve, shim};

use crate::fake_gateway::FakeGateway;

fn main() -> ExitCode {
    // cargo bench adds a word of its own.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["shim", socket] => match shim::pass(Path::new(socket), io::stdin().lock(), io::stdout().lock()) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) | Err(_) => ExitCode::FAILURE,
        },
        ["boot", folder, address, port] => boot(Path::new(folder), address, port),
        _ => {
            io::Write::write_all(&mut io::stderr(), b"Usage: machine boot FOLDER ADDRESS PORT | machine shim SOCKET\n")
                .ok();
            ExitCode::from(2)
        }
    }
}

fn boot(folder: &Path, address: &str, port: &str) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let gateway = FakeGateway::default();
        let root = folder.join("root");
        let me = fs::metadata(folder).unwrap();
        let paths = Paths::below(&root, gateway.listen(), Owner { uid: me.uid(), gid: me.gid() });
        furnish(folder, &root, &paths);
        gateway.place(root, paths.clone());
        let mut sshd = sshd(folder, &paths, address, port);
        // Berth is told that the machine is up as soon as the service is: by then somebody must listen.
        while TcpStream::connect(format!("{address}:{port}")).is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let input = tokio::task::spawn_blocking(|| io::copy(&mut io::stdin().lock(), &mut io::sink()));
        tokio::select! {
            _ = input => {}
            served = serve::serve(paths) => served.unwrap(),
        }
        sshd.kill().ok();
        sshd.wait().ok();
    });
    ExitCode::SUCCESS
}

/// What the image has, as the guest's tests furnish it; and what Berth placed.
fn furnish(folder: &Path, root: &Path, paths: &Paths) {
    for part in ["run", "etc", "state", "secrets", "home/.openclaw", "ssh"] {
        fs::create_dir_all(root.join(part)).unwrap();
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    for (name, path) in [("fake-systemctl", &paths.systemctl), ("fake-journalctl", &paths.journalctl)] {
        symlink(here.join(name), path).ok();
    }
    fs::copy(folder.join("etc/berth/guest.json"), &paths.config).unwrap();
    fs::copy(folder.join("etc/berth/machine.key"), &paths.machine_key).unwrap();
    let boot = format!("boot-{}\n", std::process::id());
    let texts =
        [("image", "bench\n"), ("package.json", r#"{"version":"bench"}"#), ("journal", ""), ("unit", "active\n")];
    for (name, text) in texts.into_iter().chain([("boot_id", boot.as_str()), ("starts", "first\n")]) {
        fs::write(root.join(name), text).unwrap();
    }
}

/// Configured as the machine image configures it, where the folder allows; `peer.pub` lets the other side in.
fn sshd(folder: &Path, paths: &Paths, address: &str, port: &str) -> Child {
    let key = folder.join("etc/ssh/ssh_host_ed25519_key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let name = fs::read_to_string(folder.join("etc/berth/principals")).unwrap();
    let program = std::env::current_exe().unwrap();
    let forced = format!("command=\"{} shim {}\" {name}", program.display(), paths.socket.display());
    fs::write(folder.join("principals"), forced).unwrap();
    let mut config = format!("ListenAddress {address}:{port}\nHostKey {}\n", key.display());
    for (setting, file) in [
        ("TrustedUserCAKeys", "etc/berth/ssh_ca.pub"),
        ("AuthorizedPrincipalsFile", "principals"),
        ("AuthorizedKeysFile", "../peer.pub"),
    ] {
        writeln!(config, "{setting} {}", folder.join(file).display()).unwrap();
    }
    config.push_str(
        "PidFile none\nLogLevel QUIET\nStrictModes no\nUseDNS no\nUsePAM no\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nPermitTTY no\nDisableForwarding yes\n\
         ExposeAuthInfo yes\n",
    );
    fs::write(folder.join("sshd_config"), config).unwrap();
    // It ends with us, however we end.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "/usr/sbin/sshd", "-D", "-f"]).arg(folder.join("sshd_config"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("setpriv and openssh-server are installed")
}
