//! A Postgres of one test, to be thrown away: reached through its socket only, with fsync on, never run as root.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Output,
};

use tempfile::TempDir;
use tokio::process::Command;

/// The cluster; dropping it stops it.
pub(crate) struct Cluster {
    folder: TempDir,
    programs: PathBuf,
    /// Whether it has to be run by the user `postgres`, because we are root.
    as_postgres: bool,
}

impl Cluster {
    /// Makes it, starts it and makes Berth's roles.
    pub(crate) async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let as_postgres = fs::metadata("/proc/self").unwrap().uid() == 0;
        let cluster = Self { folder, programs: programs(), as_postgres };
        fs::set_permissions(cluster.folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        if as_postgres {
            ran(&Command::new("chown").arg("postgres").arg(cluster.folder.path()).output().await.unwrap());
        }
        let data = cluster.data();
        let data = data.to_str().unwrap();
        cluster.run("initdb", &["-D", data, "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--auth=trust"]).await;
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories={} -c max_connections=200 -c fsync=on",
            cluster.folder.path().display()
        );
        cluster.control(&["start", "-o", &options]).await;
        let bootstrap = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/bootstrap-db");
        let roles = Command::new(bootstrap)
            .args(["--roles-only", "--psql"])
            .arg(cluster.programs.join("psql"))
            .env("PGHOST", cluster.folder.path())
            .env("PGUSER", "postgres")
            .output();
        ran(&roles.await.unwrap());
        cluster
    }

    /// A superuser's URL.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@localhost:5432/postgres?host={}", self.folder.path().display())
    }

    /// Where the server's log, its data and what [`Self::run`] writes are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Restarts it as after a loss of power: no client is told, nothing is flushed but what was committed.
    pub(crate) async fn restart(&self) {
        self.control(&["restart", "-m", "immediate"]).await;
    }

    /// Always with a log of its own: the server must not hold on to our pipes.
    async fn control(&self, arguments: &[&str]) {
        let (data, log) = (self.data(), self.folder.path().join("log"));
        let common = ["-s", "-w", "-D", data.to_str().unwrap(), "-l", log.to_str().unwrap()];
        self.run("pg_ctl", &[arguments, &common].concat()).await;
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// One of Postgres' own programs, as the user who owns the cluster.
    pub(crate) async fn run(&self, program: &str, arguments: &[&str]) {
        ran(&Command::from(self.command(program)).args(arguments).output().await.unwrap());
    }

    fn command(&self, program: &str) -> std::process::Command {
        let program = self.programs.join(program);
        let mut command = if self.as_postgres {
            let mut command = std::process::Command::new("setpriv");
            command
                .args(["--reuid", "postgres", "--regid", "postgres", "--init-groups", "--reset-env", "--"])
                .arg(program);
            command
        } else {
            std::process::Command::new(program)
        };
        command.current_dir("/").stdin(std::process::Stdio::null());
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.command("pg_ctl").args(["stop", "-s", "-w", "-m", "immediate", "-D"]).arg(self.data()).status().ok();
    }
}

/// The newest server's programs.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("the package postgresql is installed");
    let newest =
        versions.flatten().max_by_key(|entry| entry.file_name().to_string_lossy().parse::<u32>().unwrap_or_default());
    newest.expect("a Postgres server is installed").path().join("bin")
}

fn ran(output: &Output) {
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
