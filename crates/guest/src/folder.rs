//! A folder held open, in which files are replaced whole.
//!
//! The agent's user owns some of these folders and could swap any name in them
//! for a link at any moment. So the folder is opened once without following
//! links, and every file in it is reached relative to that handle; a name never
//! leads root anywhere else.

use std::{fs::File, io, io::Read as _, io::Write as _, path::Path};

use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid},
};

use crate::accounts::Owner;

/// An open folder.
#[derive(Debug)]
pub struct Folder(OwnedFd);

const OPEN: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::RDONLY).union(OFlags::CLOEXEC);

impl Folder {
    /// Opens a folder that must exist; its last component may not be a link.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(CWD, path, OPEN, Mode::empty())?))
    }

    /// Opens a folder below the root's own folders, making it first if it is not there.
    pub fn ensure(path: &Path, mode: u32, owner: Option<Owner>) -> io::Result<Self> {
        match rustix::fs::mkdirat(CWD, path, Mode::from_raw_mode(mode)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let folder = Self::open(path)?;
        folder.own(mode, owner)?;
        Ok(folder)
    }

    /// Opens a folder inside this one that must exist; it may not be a link.
    pub fn child(&self, name: &str) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(&self.0, name, OPEN, Mode::empty())?))
    }

    /// Opens a folder inside this one, making it first if it is not there.
    pub fn ensure_child(&self, name: &str, mode: u32, owner: Option<Owner>) -> io::Result<Self> {
        match rustix::fs::mkdirat(&self.0, name, Mode::from_raw_mode(mode)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let child = Self(rustix::fs::openat(&self.0, name, OPEN, Mode::empty())?);
        child.own(mode, owner)?;
        Ok(child)
    }

    /// Puts a whole file under this name: written beside, made durable, renamed.
    pub fn replace(&self, name: &str, bytes: &[u8], mode: u32, owner: Option<Owner>) -> io::Result<()> {
        let beside = format!(".{name}.new");
        match rustix::fs::unlinkat(&self.0, &*beside, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        // EXCL: a link that the agent laid in the way makes this fail rather than lead elsewhere.
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(&self.0, &*beside, flags, Mode::from_raw_mode(0o600))?);
        file.write_all(bytes)?;
        if let Some(owner) = owner {
            rustix::fs::fchown(&file, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))?;
        }
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        file.sync_all()?;
        rustix::fs::renameat(&self.0, &*beside, &self.0, name)?;
        self.sync()
    }

    /// Renames within the folder, durably.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        rustix::fs::renameat(&self.0, from, &self.0, to)?;
        self.sync()
    }

    /// A regular file's bytes, `None` if there is none; longer than the limit is an error.
    pub fn read(&self, name: &str, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
        // NONBLOCK: a pipe under this name must not make root wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.0, name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::other(format!("{name} is not a regular file")));
        }
        let mut bytes = Vec::new();
        file.take(bytes_max + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > bytes_max {
            return Err(io::Error::other(format!("{name} is larger than {bytes_max} bytes")));
        }
        Ok(Some(bytes))
    }

    /// Removes a file; one that is not there is as good as removed.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.0, name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => self.sync(),
            Err(error) => Err(error.into()),
        }
    }

    /// The names in the folder.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn own(&self, mode: u32, owner: Option<Owner>) -> io::Result<()> {
        if let Some(owner) = owner {
            rustix::fs::fchown(&self.0, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))?;
        }
        Ok(rustix::fs::fchmod(&self.0, Mode::from_raw_mode(mode))?)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.0)?)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_with_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::ensure(&dir.path().join("s"), 0o700, None).unwrap();
        folder.replace("k", b"one", 0o400, None).unwrap();
        folder.replace("k", b"two", 0o400, None).unwrap();
        assert_eq!(folder.read("k", 10).unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(std::fs::metadata(dir.path().join("s/k")).unwrap().mode() & 0o777, 0o400);
        assert_eq!(folder.names().unwrap(), ["k"], "nothing is left beside");
        assert!(folder.read("k", 2).is_err());
        folder.remove("k").unwrap();
        folder.remove("k").unwrap();
        assert_eq!(folder.read("k", 2).unwrap(), None);
    }

    #[test]
    fn a_link_laid_by_the_agent_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::fs::write(dir.path().join("etc/shadow"), "root").unwrap();
        symlink(dir.path().join("etc"), dir.path().join("secrets")).unwrap();
        assert!(Folder::ensure(&dir.path().join("secrets"), 0o700, None).is_err());
        let home = Folder::ensure(&dir.path().join("home"), 0o700, None).unwrap();
        symlink(dir.path().join("etc"), dir.path().join("home/.openclaw")).unwrap();
        assert!(home.ensure_child(".openclaw", 0o700, None).is_err());
        symlink(dir.path().join("etc/shadow"), dir.path().join("home/file")).unwrap();
        assert!(home.read("file", 10).is_err());
        home.replace("file", b"x", 0o600, None).unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("etc/shadow")).unwrap(), "root");
    }
}
