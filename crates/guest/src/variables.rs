//! The agent's environment variables: one file in memory that systemd reads when it starts the gateway.
//!
//! OpenClaw has no way of its own to be given variables that are not in its file on the disk and that it would
//! take up while it runs (`docs/decisions/0085-channels-and-variables.md`). So they are written, as root and for
//! root alone, before each start of the gateway, and are removed when it stops. The gateway that runs has what lies here.

use std::io;

use domain::protocol::Variable;
use zeroize::Zeroizing;

use crate::{folder::Folder, paths::Paths};

const NAME: &str = "variables";
/// 50 of 8 KiB, each byte escaped.
const BYTES_MAX: u64 = 1024 * 1024;

/// Puts them in place for the next start.
pub fn write(paths: &Paths, variables: &[Variable]) -> io::Result<()> {
    let folder = Folder::ensure(&paths.variables, 0o700, None)?;
    if variables.is_empty() { folder.remove(NAME) } else { folder.replace(NAME, &rendered(variables), 0o400, None) }
}

/// Whether these, and no others, were in place when the gateway started.
#[must_use]
pub fn holds(paths: &Paths, variables: &[Variable]) -> bool {
    let found = match Folder::open(&paths.variables) {
        Ok(folder) => folder.read(NAME, BYTES_MAX).map(|bytes| Zeroizing::new(bytes.unwrap_or_default())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Zeroizing::default()),
        Err(error) => Err(error),
    };
    found.is_ok_and(|found| vault::same(&found, &rendered(variables)))
}

/// As systemd reads it back: in double quotes, with a backslash before what it would otherwise act on.
fn rendered(variables: &[Variable]) -> Zeroizing<Vec<u8>> {
    let size = variables.iter().map(|variable| variable.name.len() + 2 * variable.value.expose().len() + 4).sum();
    let mut sorted: Vec<&Variable> = variables.iter().collect();
    sorted.sort_by(|one, other| one.name.cmp(&other.name));
    let mut text = Zeroizing::new(Vec::with_capacity(size));
    for variable in sorted {
        text.extend_from_slice(variable.name.as_bytes());
        text.extend_from_slice(b"=\"");
        for byte in variable.value.expose().bytes() {
            if matches!(byte, b'"' | b'\\' | b'`' | b'$') {
                text.push(b'\\');
            }
            text.push(byte);
        }
        text.extend_from_slice(b"\"\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        net::{Ipv4Addr, SocketAddr},
        os::unix::fs::MetadataExt as _,
    };

    use domain::protocol::SecretText;

    use super::*;
    use crate::accounts::Owner;

    fn variable(name: &str, value: &str) -> Variable {
        Variable { name: name.to_owned(), value: SecretText::new(value.to_owned()) }
    }

    #[test]
    fn values_are_quoted_as_systemd_reads_them() {
        let list = [variable("B", "a \"b\" $HOME `id` \\ # ; '\nsecond\tline"), variable("A", "plain")];
        let text = rendered(&list);
        let expected = "A=\"plain\"\nB=\"a \\\"b\\\" \\$HOME \\`id\\` \\\\ # ; '\nsecond\tline\"\n";
        assert_eq!(String::from_utf8(text.to_vec()).unwrap(), expected);
    }

    #[test]
    fn the_file_is_roots_alone_and_tells_one_list_from_another() {
        let dir = tempfile::tempdir().unwrap();
        let me = fs::metadata(dir.path()).unwrap();
        let owner = Owner { uid: me.uid(), gid: me.gid() };
        let paths = Paths::below(dir.path(), SocketAddr::from((Ipv4Addr::LOCALHOST, 9)), owner);
        fs::create_dir(paths.variables.parent().unwrap()).ok();
        assert!(holds(&paths, &[]), "nothing is there, and nothing is wanted");
        write(&paths, &[variable("A", "1"), variable("B", "2")]).unwrap();
        assert!(holds(&paths, &[variable("B", "2"), variable("A", "1")]));
        assert!(!holds(&paths, &[variable("A", "1")]) && !holds(&paths, &[]));
        assert_eq!(fs::metadata(paths.variables.join(NAME)).unwrap().mode() & 0o777, 0o400);
        assert_eq!(fs::metadata(&paths.variables).unwrap().mode() & 0o777, 0o700);
        write(&paths, &[]).unwrap();
        assert!(holds(&paths, &[]) && !paths.variables.join(NAME).exists());
    }
}
