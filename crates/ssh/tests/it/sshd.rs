//! A private sshd, configured like a machine's.

use std::{
    fs,
    io::{BufRead, BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use domain::MachineId;
use ssh::{Authority, HostKey};

use crate::setup::{Random, machine};

/// A machine's own settings.
pub const MACHINES: &str = include_str!("../../../../deploy/machine/files/etc/ssh/sshd_config.d/00-berth.conf");

/// A running server; ends with the value.
pub struct Sshd {
    pub address: SocketAddr,
    pub machine: MachineId,
    pub host_key: HostKey,
    pub authority: Authority,
    child: Child,
    log: Arc<Mutex<String>>,
    folder: tempfile::TempDir,
}

impl Sshd {
    /// Starts one whose forced command is this shell script.
    pub fn start(script: &str) -> Self {
        Self::start_with(script, |_| {})
    }

    /// Like [`Sshd::start`], but the host key is an ECDSA key that OpenSSH made, instead of the one that was pinned.
    pub fn start_with_ecdsa_host_key(script: &str) -> Self {
        Self::start_with(script, |folder| {
            fs::remove_file(folder.join("host_key")).unwrap();
            let arguments = ["-q", "-t", "ecdsa", "-N", "", "-f", "host_key"];
            assert!(Command::new("ssh-keygen").args(arguments).current_dir(folder).status().unwrap().success());
        })
    }

    fn start_with(script: &str, change: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::Builder::new().prefix("berth-sshd-").tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (machine, host_key, authority) = (machine(), HostKey::generate(&Random), Authority::generate(&Random));
        write(&folder.path().join("host_key"), host_key.private_openssh().as_bytes(), 0o600);
        write(&folder.path().join("ca.pub"), format!("{}\n", authority.public_line()).as_bytes(), 0o644);
        write(&folder.path().join("principals"), format!("{machine}\n").as_bytes(), 0o644);
        write(&folder.path().join("guest"), format!("#!/bin/sh\n{script}\n").as_bytes(), 0o755);
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        write(&folder.path().join("config"), config(folder.path(), port).as_bytes(), 0o644);
        change(folder.path());
        if account() == "root" {
            // As the unit of the distribution does: root's sshd wants this folder.
            fs::create_dir_all("/run/sshd").unwrap();
        }

        let mut child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(folder.path().join("config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("openssh-server is installed");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        for line in lines.by_ref() {
            let line = line.unwrap();
            let listening = line.contains("Server listening");
            log.lock().unwrap().extend([&line, "\n"]);
            if listening {
                break;
            }
        }
        assert!(log.lock().unwrap().contains("Server listening"), "{}", log.lock().unwrap());
        let more = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                more.lock().unwrap().extend([&line, "\n"]);
            }
        });
        Self { address, machine, host_key, authority, child, log, folder }
    }

    /// Everything the server wrote so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log has this in it.
    pub async fn await_log(&self, part: &str) -> String {
        for _ in 0..200 {
            let log = self.log();
            if log.contains(part) {
                return log;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("{part:?} is not in sshd's log:\n{}", self.log());
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn config(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    let pam = if root_is_locked() { "yes" } else { "no" };
    // What a machine says of its callers' failures, where this sshd counts them.
    let penalties = MACHINES.lines().find(|line| line.starts_with("PerSourcePenalties") && understands(line));
    let penalties = penalties.unwrap_or_default();
    format!(
        "ListenAddress 127.0.0.1\nPort {port}\nPidFile none\nLogLevel VERBOSE\nStrictModes no\nUsePAM {pam}\n\
         HostKey {folder}/host_key\nTrustedUserCAKeys {folder}/ca.pub\nAuthorizedKeysFile none\n\
         AuthorizedPrincipalsFile {folder}/principals\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         PermitRootLogin yes\nPermitTTY no\nDisableForwarding yes\nExposeAuthInfo yes\nForceCommand {folder}/guest\n\
         {penalties}\n"
    )
}

/// Whether this sshd knows such a line: it may be older than a machine's.
pub fn understands(line: &str) -> bool {
    let output = Command::new("/usr/sbin/sshd").args(["-t", "-f", "/dev/null", "-o", line]).output().unwrap();
    // It has no host key here, which it says after it has read the line.
    !String::from_utf8_lossy(&output.stderr).contains("command-line")
}

fn write(path: &PathBuf, content: &[u8], mode: u32) {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path).unwrap();
    file.write_all(content).unwrap();
    file.set_permissions(fs::Permissions::from_mode(mode)).unwrap();
}

/// The account that runs this test: an sshd that is not root signs in nobody else.
pub fn account() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Without PAM sshd refuses a locked account, and root's is locked on some systems.
fn root_is_locked() -> bool {
    let locked = |line: &str| line.starts_with("root:!");
    account() == "root" && fs::read_to_string("/etc/shadow").is_ok_and(|text| text.lines().any(locked))
}
