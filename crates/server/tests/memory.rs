//! The memory of a running `berth`, with the keys in it, is its own: no core dump, no tracing, no reading.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should end there")]

use std::{
    fs,
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        process::ExitStatusExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// Whom `setpriv` makes of root, who may read everything: nobody.
const NOBODY: &str = "exec setpriv --reuid 65534 --regid 65534 --clear-groups -- \"$@\"";

/// A folder that everybody may enter, with the program in it: the one of the build may lie where nobody may look.
struct Room(tempfile::TempDir);

impl Room {
    fn new() -> Self {
        let room = Self(tempfile::tempdir_in("/var/tmp").unwrap());
        fs::set_permissions(room.0.path(), fs::Permissions::from_mode(0o777)).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_berth"), room.program()).unwrap();
        room
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn program(&self) -> PathBuf {
        self.path().join("berth")
    }

    fn cores(&self) -> Vec<String> {
        let names = fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.to_string_lossy().into_owned()).filter(|name| name.contains("core")).collect()
    }
}

/// A command of a user who is not root, with cores of any size allowed where that can be allowed.
fn unprivileged(room: &Room, program: &Path, arguments: &[&str]) -> Command {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let line = if is_root { NOBODY } else { "exec \"$@\"" };
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("ulimit -c unlimited 2>/dev/null; {line}"), "sh"]).arg(program).args(arguments);
    command.current_dir(room.path()).env_clear().env("PATH", "/usr/bin:/bin");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Whether another process of that user can open this for reading.
fn can_open(room: &Room, path: &str) -> bool {
    unprivileged(room, Path::new("/bin/sh"), &["-c", &format!("exec 3<{path}")]).status().unwrap().success()
}

/// Waits a bounded time for something.
fn soon<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{what}: not in time");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn abort(child: &mut Child) -> (Option<i32>, bool) {
    assert!(Command::new("kill").args(["-ABRT", &child.id().to_string()]).status().unwrap().success());
    let status = child.wait().unwrap();
    (status.signal(), status.core_dumped())
}

#[test]
fn nobody_else_reads_it_and_it_leaves_no_core() {
    let room = Room::new();
    // A database that takes connections and never says a word: berth waits for it with its keys in memory.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    silent.set_nonblocking(true).unwrap();
    let url = format!("postgres://berth_login@{}/berth", silent.local_addr().unwrap());
    let mut berth = unprivileged(&room, &room.program(), &["verify"])
        .env("DATABASE_URL", url)
        .env("CREDENTIAL_ENCRYPTION_KEY", KEY)
        .env("BERTH_INCUS_SOCKET", "/nonexistent/unix.socket")
        .spawn()
        .unwrap();
    let _held = soon("berth asks its database", || silent.accept().ok());
    let mut plain = unprivileged(&room, Path::new("/bin/sleep"), &["60"]).env("SECRET", KEY).spawn().unwrap();
    let of = |child: &Child, file: &str| format!("/proc/{}/{file}", child.id());
    soon("sleep sleeps", || fs::read_to_string(of(&plain, "comm")).ok().filter(|name| name.trim() == "sleep"));

    assert!(can_open(&room, &of(&plain, "environ")), "the other process can read one that is not kept private");
    for file in ["environ", "mem", "maps", "auxv"] {
        assert!(!can_open(&room, &of(&berth, file)), "{file}");
    }
    let limits = fs::read_to_string(of(&berth, "limits")).unwrap();
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(cores.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "soft and hard");

    assert_eq!(abort(&mut berth), (Some(6), false));
    assert_eq!(room.cores(), Vec::<String>::new());
    // Where the kernel writes cores at all, the plain one has left one: then the above says something.
    let (signal, has_core) = abort(&mut plain);
    assert_eq!(signal, Some(6));
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    assert!(has_core || pattern.trim() != "core", "a plain process left no core, so nothing was shown");
}
