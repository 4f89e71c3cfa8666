//! Where everything lies on a machine.
//!
//! A value, not a set of constants, so that tests run the whole guest below a
//! folder of their own.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::Result;
use domain::openclaw::{GATEWAY_PORT, SECRETS_DIR};

use crate::accounts::{self, Owner};

/// Files, folders, programs and the gateway's address.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The socket between shim and service.
    pub socket: PathBuf,
    /// `guest.json`, written by the control plane before the first start.
    pub config: PathBuf,
    /// 32 raw bytes, written likewise.
    pub machine_key: PathBuf,
    /// Sealed secrets, readable by root only.
    pub sealed: PathBuf,
    /// Taken by whoever changes secrets or configuration.
    pub lock: PathBuf,
    /// What root keeps here: the folder of the sealed secrets, and the packet filter's list.
    pub state: PathBuf,
    /// Opened secrets, a tmpfs owned by the agent's user.
    pub secrets: PathBuf,
    /// The folder of the agent's environment variables, on a tmpfs, root's alone.
    pub variables: PathBuf,
    /// The agent's home.
    pub agent_home: PathBuf,
    /// Where sshd's host keys lie.
    pub host_keys: PathBuf,
    /// One line: the version of the machine image.
    pub image: PathBuf,
    /// OpenClaw's `package.json`, for its version.
    pub openclaw_package: PathBuf,
    /// Changes with every boot.
    pub boot_id: PathBuf,
    /// Root of the control groups.
    pub cgroups: PathBuf,
    /// `systemctl`.
    pub systemctl: PathBuf,
    /// `journalctl`.
    pub journalctl: PathBuf,
    /// Where the gateway listens.
    pub gateway: SocketAddr,
    /// The agent's user.
    pub agent: Owner,
    /// Who the service runs as: root.
    pub service: Owner,
    /// Who may speak to the socket.
    pub socket_owner: Owner,
}

impl Paths {
    /// As laid down in the machine image.
    pub fn system() -> Result<Self> {
        let agent = accounts::user(Path::new("/etc/passwd"), "openclaw")?;
        let berth = accounts::group(Path::new("/etc/group"), "berth")?;
        Ok(Self {
            socket: "/run/berth/guest.sock".into(),
            config: "/etc/berth/guest.json".into(),
            machine_key: "/etc/berth/machine.key".into(),
            sealed: "/var/lib/berth/sealed".into(),
            lock: "/var/lib/berth/lock".into(),
            state: "/var/lib/berth".into(),
            secrets: SECRETS_DIR.into(),
            variables: "/run/openclaw-variables".into(),
            agent_home: "/home/openclaw".into(),
            host_keys: "/etc/ssh".into(),
            image: "/usr/lib/berth/image".into(),
            openclaw_package: "/opt/openclaw/node_modules/openclaw/package.json".into(),
            boot_id: "/proc/sys/kernel/random/boot_id".into(),
            cgroups: "/sys/fs/cgroup".into(),
            systemctl: "/usr/bin/systemctl".into(),
            journalctl: "/usr/bin/journalctl".into(),
            gateway: SocketAddr::from((Ipv4Addr::LOCALHOST, GATEWAY_PORT)),
            agent,
            service: Owner { uid: 0, gid: 0 },
            socket_owner: Owner { uid: 0, gid: berth },
        })
    }

    /// The socket alone: the shim has no right to look at anything else.
    #[must_use]
    pub fn system_socket() -> PathBuf {
        "/run/berth/guest.sock".into()
    }

    /// Everything below one folder, owned by whoever runs the test.
    #[must_use]
    pub fn below(root: &Path, gateway: SocketAddr, owner: Owner) -> Self {
        Self {
            socket: root.join("run/guest.sock"),
            config: root.join("etc/guest.json"),
            machine_key: root.join("etc/machine.key"),
            sealed: root.join("state/sealed"),
            lock: root.join("state/lock"),
            state: root.join("state"),
            secrets: root.join("secrets/opened"),
            variables: root.join("variables"),
            agent_home: root.join("home"),
            host_keys: root.join("ssh"),
            image: root.join("image"),
            openclaw_package: root.join("package.json"),
            boot_id: root.join("boot_id"),
            cgroups: root.join("cgroups"),
            systemctl: root.join("systemctl"),
            journalctl: root.join("journalctl"),
            gateway,
            agent: owner,
            service: owner,
            socket_owner: owner,
        }
    }
}
