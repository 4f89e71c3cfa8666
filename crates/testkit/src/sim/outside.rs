//! A machine that is a program of somebody else's: it gets the placed files in a folder, an address and a port.

use std::{
    collections::BTreeMap,
    fs, io,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

/// From the end of its input to the end of the program.
const LEAVE_MAX: Duration = Duration::from_secs(2);

/// Runs `PROGRAM boot FOLDER ADDRESS PORT` until the power is cut: then its input ends, and soon after the program.
///
/// The folder is the machine's own and stays while its power is off.
pub(super) async fn run(
    program: PathBuf,
    folder: PathBuf,
    files: BTreeMap<String, Vec<u8>>,
    address: SocketAddr,
    off: CancellationToken,
) {
    let started = place(&folder, &files).and_then(|()| start(&program, &folder, address));
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

fn start(program: &Path, folder: &Path, address: SocketAddr) -> io::Result<Child> {
    Command::new(program)
        .arg("boot")
        .arg(folder)
        .args([address.ip().to_string(), address.port().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn a_program_gets_its_files_and_ends_with_the_power() {
        let folder = std::env::temp_dir().join(format!("berth-outside-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let program = folder.join("machine");
        fs::write(&program, "#!/bin/sh\necho \"$@\" >\"$2/told\"\ncat >\"$2/input\"\necho off >\"$2/ended\"\n")
            .unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let home = folder.join("machines/one");
        let files = BTreeMap::from([("/etc/berth/machine.key".to_owned(), b"key".to_vec())]);
        let off = CancellationToken::new();
        let address = "127.1.2.3:2222".parse().unwrap();
        let running = tokio::spawn(run(program, home.clone(), files, address, off.clone()));
        while fs::read(home.join("told")).unwrap_or_default().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let told = fs::read_to_string(home.join("told")).unwrap();
        assert_eq!(told.trim(), format!("boot {} 127.1.2.3 2222", home.display()));
        let key = home.join("etc/berth/machine.key");
        assert_eq!(fs::read(&key).unwrap(), b"key");
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!running.is_finished() && !home.join("ended").exists(), "it has power");
        off.cancel();
        running.await.unwrap();
        assert!(home.join("ended").exists(), "it was let end by itself");
        fs::remove_dir_all(folder).unwrap();
    }
}
