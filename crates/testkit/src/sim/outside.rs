//! A machine that is a program of somebody else's: it gets the placed files in a folder, an address and a port.

use std::{
    collections::BTreeMap,
    fs, io,
    net::Ipv4Addr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::Shared;

/// From the end of its input to the end of the program.
const LEAVE_MAX: Duration = Duration::from_secs(2);

/// Runs `PROGRAM boot FOLDER ADDRESS PORT` until the power is cut: then its input ends, and soon after the program.
///
/// The folder is the machine's own and stays while its power is off.
pub(super) async fn run(
    shared: Arc<Shared>,
    (program, name): (PathBuf, String),
    files: BTreeMap<String, Vec<u8>>,
    address: Ipv4Addr,
    off: CancellationToken,
) {
    let folder = shared.options.folder.join("machines").join(name);
    let started = place(&folder, &files).and_then(|()| start(&program, &folder, address, shared.options.ssh_port));
    // A machine that cannot be started answers nobody, which is what a test will see.
    let Ok(mut child) = started else { return };
    // Taken out: to wait for a child is to close its input otherwise.
    let input = child.stdin.take();
    tokio::select! {
        () = off.cancelled() => {
            drop(input);
            tokio::time::timeout(LEAVE_MAX, child.wait()).await.ok();
        }
        _ = child.wait() => {}
    }
}

fn place(folder: &Path, files: &BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    for (path, content) in files {
        let path = folder.join(path.trim_start_matches('/'));
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        io::Write::write_all(&mut file, content)?;
    }
    Ok(())
}

fn start(program: &Path, folder: &Path, address: Ipv4Addr, port: u16) -> io::Result<Child> {
    Command::new(program)
        .arg("boot")
        .arg(folder)
        .args([address.to_string(), port.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
}
