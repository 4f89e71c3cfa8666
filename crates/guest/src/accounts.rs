//! Users and groups, read from `/etc/passwd` and `/etc/group`.
//!
//! A machine's accounts are local, so the two files are the whole truth and no
//! name service is asked.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

/// Who owns a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Number of the user.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
}

/// A user's numbers.
pub fn user(passwd: &Path, name: &str) -> Result<Owner> {
    let text = fs::read_to_string(passwd).with_context(|| format!("cannot read {}", passwd.display()))?;
    let found = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| {
            let uid = fields.nth(1)?.parse().ok()?;
            Some(Owner { uid, gid: fields.next()?.parse().ok()? })
        })?
    });
    found.with_context(|| format!("there is no user {name}"))
}

/// A group's number.
pub fn group(groups: &Path, name: &str) -> Result<u32> {
    let text = fs::read_to_string(groups).with_context(|| format!("cannot read {}", groups.display()))?;
    let found = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    });
    found.with_context(|| format!("there is no group {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_matched_whole() {
        let dir = tempfile::tempdir().unwrap();
        let passwd = dir.path().join("passwd");
        fs::write(&passwd, "openclaw2:x:7:7::/:/bin/sh\nopenclaw:x:1000:1001:Agent:/home/openclaw:/bin/false\n")
            .unwrap();
        assert_eq!(user(&passwd, "openclaw").unwrap(), Owner { uid: 1000, gid: 1001 });
        assert!(user(&passwd, "open").is_err());
        let groups = dir.path().join("group");
        fs::write(&groups, "root:x:0:\nberth:x:990:\n").unwrap();
        assert_eq!(group(&groups, "berth").unwrap(), 990);
    }
}
