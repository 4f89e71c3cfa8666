//! What the agent is told about itself: one file in its workspace, beside OpenClaw's own.
//!
//! OpenClaw takes it into every conversation ([`domain::openclaw::INSTRUCTIONS_FILE`], by the hook that our
//! document switches on). Folder and file belong to root: the agent reads them and does not rewrite them.
//! What else lies in the workspace is the agent's and is left alone.

use std::io;

use domain::{openclaw::INSTRUCTIONS_FILE, protocol::SecretText};

use crate::{folder::Folder, paths::Paths};

const BYTES_MAX: u64 = 64 * 1024;

/// Puts the text in place, or removes it where there is none.
pub fn write(paths: &Paths, text: Option<&SecretText>) -> io::Result<()> {
    let (folder, name) = INSTRUCTIONS_FILE;
    if text.is_none() && read(paths).is_none() {
        return Ok(());
    }
    let workspace = workspace(paths)?;
    // The agent's user may have laid a file or a link under this name; its folder, if it made one, becomes root's.
    let ours = Some(paths.service);
    let open = || workspace.ensure_child(folder, 0o755, ours);
    let open = open().or_else(|_| workspace.remove(folder).and_then(|()| open()))?;
    match text {
        Some(text) => open.replace(name, text.expose().as_bytes(), 0o444, ours),
        None => open.remove(name),
    }
}

/// The text as it lies there; `None` where there is none, or something else.
#[must_use]
pub fn read(paths: &Paths) -> Option<String> {
    let (folder, name) = INSTRUCTIONS_FILE;
    let folder =
        Folder::open(&paths.agent_home).ok()?.child(".openclaw").ok()?.child("workspace").ok()?.child(folder).ok()?;
    String::from_utf8(folder.read(name, BYTES_MAX).ok()??).ok()
}

/// Whether it lies there as given.
#[must_use]
pub fn holds(paths: &Paths, text: Option<&SecretText>) -> bool {
    read(paths).as_deref() == text.map(SecretText::expose)
}

fn workspace(paths: &Paths) -> io::Result<Folder> {
    let state = Folder::open(&paths.agent_home)?.ensure_child(".openclaw", 0o700, Some(paths.agent))?;
    state.ensure_child("workspace", 0o700, Some(paths.agent))
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        net::{Ipv4Addr, SocketAddr},
        os::unix::fs::{MetadataExt as _, symlink},
    };

    use super::*;
    use crate::accounts::Owner;

    fn paths(root: &std::path::Path) -> Paths {
        let me = fs::metadata(root).unwrap();
        let paths =
            Paths::below(root, SocketAddr::from((Ipv4Addr::LOCALHOST, 9)), Owner { uid: me.uid(), gid: me.gid() });
        fs::create_dir(&paths.agent_home).unwrap();
        paths
    }

    #[test]
    fn the_file_is_put_replaced_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(dir.path());
        let text = |words: &str| SecretText::new(words.to_owned());
        write(&paths, None).unwrap();
        assert!(!paths.agent_home.join(".openclaw").exists(), "nothing is made for nothing");
        write(&paths, Some(&text("one\n"))).unwrap();
        write(&paths, Some(&text("two\n"))).unwrap();
        let file = paths.agent_home.join(".openclaw/workspace/berth/AGENTS.md");
        assert_eq!(fs::read_to_string(&file).unwrap(), "two\n");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o444);
        assert!(holds(&paths, Some(&text("two\n"))) && !holds(&paths, Some(&text("one\n"))) && !holds(&paths, None));
        write(&paths, None).unwrap();
        assert!(!file.exists() && holds(&paths, None));
    }

    #[test]
    fn what_the_agent_laid_in_the_way_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(dir.path());
        let workspace = paths.agent_home.join(".openclaw/workspace");
        fs::create_dir_all(&workspace).unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        fs::write(dir.path().join("etc/AGENTS.md"), "root's").unwrap();
        let text = SecretText::new("told\n".to_owned());
        symlink(dir.path().join("etc"), workspace.join("berth")).unwrap();
        assert_eq!(read(&paths), None);
        write(&paths, Some(&text)).unwrap();
        assert!(holds(&paths, Some(&text)));
        assert_eq!(fs::read_to_string(dir.path().join("etc/AGENTS.md")).unwrap(), "root's");
        fs::remove_dir_all(workspace.join("berth")).unwrap();
        fs::write(workspace.join("berth"), "a file").unwrap();
        write(&paths, Some(&text)).unwrap();
        assert!(holds(&paths, Some(&text)));
    }
}
