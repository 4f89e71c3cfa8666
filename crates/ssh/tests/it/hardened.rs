//! The settings that a machine's sshd really has: asked of sshd itself, beside a file that says otherwise.

use std::{fs, process::Command};

use ssh::HostKey;

use crate::{
    setup::Random,
    sshd::{MACHINES as OURS, account, understands},
};

/// As cloud images and distributions put beside it, and worse.
const THEIRS: &str = "PasswordAuthentication yes\nPermitRootLogin yes\nX11Forwarding yes\nAllowAgentForwarding yes\n\
                      AllowTcpForwarding yes\nMaxAuthTries 6\nClientAliveInterval 0\nKbdInteractiveAuthentication yes\n\
                      PermitTTY yes\n";

/// What sshd says that it does, for whoever signs in as this user.
fn effective(user: &str) -> String {
    if account() == "root" {
        // As the unit of the distribution does: root's sshd wants this folder.
        fs::create_dir_all("/run/sshd").unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("conf.d")).unwrap();
    fs::write(at("host_key"), HostKey::generate(&Random).private_openssh().as_bytes()).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(at("host_key"), mode).unwrap();
    let ours = OURS.replace("/etc/ssh/ssh_host_ed25519_key", &at("host_key").to_string_lossy());
    assert_ne!(ours, OURS);
    // Kept even by an older sshd than a machine's: what it does not know is left out.
    let is_new = |line: &&str| line.starts_with("PerSourcePenalties") || line.starts_with("KexAlgorithms");
    let known = |line: &&str| !is_new(line) || understands(line);
    let ours: Vec<&str> = ours.lines().filter(known).collect();
    fs::write(at("conf.d/00-berth.conf"), ours.join("\n") + "\n").unwrap();
    fs::write(at("conf.d/50-cloud-init.conf"), THEIRS).unwrap();
    fs::write(at("sshd_config"), format!("Include {}/conf.d/*.conf\n{THEIRS}", folder.path().display())).unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new("/usr/sbin/sshd").args(arguments).arg("-f").arg(at("sshd_config")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["-t"]);
    run(&["-T", "-C", &format!("user={user},host=any,addr=192.0.2.1")])
}

/// SSH-01 to SSH-10: each by the value that is in force, not by the line that asks for it.
#[test]
fn a_machines_sshd_keeps_our_settings_beside_a_file_that_says_otherwise() {
    for user in ["berth", "root", "openclaw"] {
        let said = effective(user);
        for wanted in [
            "passwordauthentication no",
            "kbdinteractiveauthentication no",
            "permitrootlogin no",
            "pubkeyauthentication yes",
            "authenticationmethods publickey",
            "authorizedkeysfile none",
            "maxauthtries 3",
            "x11forwarding no",
            "allowagentforwarding no",
            "allowtcpforwarding no",
            "allowstreamlocalforwarding no",
            "permittunnel no",
            "permittty no",
            "permituserenvironment no",
            "clientaliveinterval 30",
            "clientalivecountmax 1",
            "logingracetime 10",
            "allowusers berth",
            "pubkeyacceptedalgorithms ssh-ed25519-cert-v01@openssh.com",
        ] {
            assert!(said.lines().any(|line| line == wanted), "{user}: sshd does not say {wanted}:\n{said}");
        }
    }
    assert!(effective("berth").lines().any(|line| line == "forcecommand /usr/bin/berth-guest shim"));
}
