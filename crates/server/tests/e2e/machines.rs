//! The daemon, seen from outside Berth: what it holds for one installation, and hands inside a machine.

use std::{path::PathBuf, time::Duration};

use clients::{
    incus::{Incus, Settings},
    provider::{Provider as _, Sighting},
};
use domain::InstallationId;
use tokio::process::Command;

use crate::setting::Setting;

/// The machines of one installation.
#[derive(Debug, Clone)]
pub(crate) struct Machines {
    settings: Settings,
}

impl Machines {
    pub(crate) fn of(setting: &Setting, installation: InstallationId) -> Self {
        let settings = Settings {
            socket: setting.socket.clone(),
            network: setting.network.clone(),
            pool: setting.pool.clone(),
            installation,
        };
        Self { settings }
    }

    /// Every machine that the daemon holds for this installation.
    pub(crate) async fn list(&self) -> Vec<Sighting> {
        Incus::new(self.settings.clone()).list().await.expect("the daemon lists")
    }

    /// Takes away what a failed test left.
    pub(crate) async fn clean(&self) {
        let incus = Incus::new(self.settings.clone());
        for left in incus.list().await.unwrap_or_default() {
            incus.remove(&left.name).await.ok();
        }
    }

    /// Runs a command of the shell as root inside a machine, as its operator could.
    pub(crate) async fn inside(&self, name: &str, script: &str) -> String {
        let (program, variable) = self.client();
        let run = Command::new(program)
            .args(["exec", name, "--", "sh", "-c", script])
            .env(variable, &self.settings.socket)
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(Duration::from_mins(1), run).await.expect("the command ends").unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{script}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// The command line of the daemon that is in use; each speaks with its own only.
    fn client(&self) -> (PathBuf, &'static str) {
        let find = |name: &str| {
            ["/usr/bin", "/usr/local/bin", "/snap/bin"].iter().map(|f| PathBuf::from(f).join(name)).find(|p| p.exists())
        };
        let path = self.settings.socket.to_string_lossy().into_owned();
        let wanted = if path.contains("incus") {
            [("incus", "INCUS_SOCKET"), ("lxc", "LXD_SOCKET")]
        } else {
            [("lxc", "LXD_SOCKET"), ("incus", "INCUS_SOCKET")]
        };
        wanted
            .into_iter()
            .find_map(|(name, variable)| Some((find(name)?, variable)))
            .expect("lxc or incus is installed")
    }
}
