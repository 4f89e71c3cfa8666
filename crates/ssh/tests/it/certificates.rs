//! Whom a machine lets in, and what others read in our keys and certificates.

use std::process::Command;

use chrono::TimeDelta;
use ssh::{Authority, Reach, SshError, Target};

use crate::{
    setup::{PATIENCE, Random, client, hello, machine, now, target},
    sshd::Sshd,
};

/// Asks a machine that would answer, and expects its sshd to refuse and to say why.
async fn is_refused(sshd: &Sshd, target: Target<'_>, reason: &str) {
    let error = client().ask(&target, &hello(), PATIENCE).await.unwrap_err();
    assert_eq!(error, SshError::Refused { why: "the certificate was not accepted" }, "{reason}");
    assert!(!error.is_transient());
    let log = sshd.await_log(reason).await;
    assert!(!log.contains("Accepted"), "{log}");
}

#[tokio::test]
async fn a_certificate_for_another_machine_is_refused() {
    let sshd = Sshd::start("cat");
    let pinned = sshd.host_key.pinned();
    let target = Target { machine: machine(), ..target(&sshd, &pinned, &sshd.authority) };
    is_refused(&sshd, target, "Certificate does not contain an authorized principal").await;
}

#[tokio::test]
async fn a_certificate_is_over_after_five_minutes() {
    let sshd = Sshd::start("cat");
    let pinned = sshd.host_key.pinned();
    let old = Target { now: now() - TimeDelta::seconds(301), ..target(&sshd, &pinned, &sshd.authority) };
    is_refused(&sshd, old, "Certificate invalid: expired").await;

    // A machine whose clock is nearly five minutes ahead, or far behind, still lets us in.
    for offset in [-280, 86_400 * 365] {
        let target = Target { now: now() + TimeDelta::seconds(offset), ..target(&sshd, &pinned, &sshd.authority) };
        let error = client().ask(&target, &hello(), PATIENCE).await.unwrap_err();
        assert!(matches!(error, SshError::Garbled { .. }), "let in, and its echo is no answer: {error}");
    }
}

#[tokio::test]
async fn another_authority_is_refused() {
    let sshd = Sshd::start("cat");
    let (pinned, stranger) = (sshd.host_key.pinned(), Authority::generate(&Random));
    is_refused(&sshd, target(&sshd, &pinned, &stranger), "CA").await;
}

#[tokio::test]
async fn an_authority_survives_its_text() {
    let sshd = Sshd::start("cat");
    let copy = Authority::from_openssh(&sshd.authority.to_openssh()).unwrap();
    assert_eq!(copy.public_line(), sshd.authority.public_line());
    let pinned = sshd.host_key.pinned();
    let error = client().ask(&target(&sshd, &pinned, &copy), &hello(), PATIENCE).await.unwrap_err();
    assert!(matches!(error, SshError::Garbled { .. }), "let in, and its echo is no answer: {error}");
    assert!(Authority::from_openssh("no key").is_err());
    assert!(Authority::from_openssh(&sshd.authority.public_line()).is_err(), "the public half is no authority");
}

#[tokio::test]
async fn openssh_reads_our_keys_and_certificates() {
    // sshd hands the certificate it was shown to the forced command's environment (ExposeAuthInfo).
    let sshd = Sshd::start("cp \"$SSH_USER_AUTH\" \"$(dirname \"$0\")\"/shown");
    let pinned = sshd.host_key.pinned();
    client().ask(&target(&sshd, &pinned, &sshd.authority), &hello(), PATIENCE).await.unwrap_err();
    let shown = std::fs::read_to_string(sshd.folder().join("shown")).unwrap();
    let certificate = shown.trim().strip_prefix("publickey ").unwrap();
    std::fs::write(sshd.folder().join("cert.pub"), certificate).unwrap();

    let keygen = |arguments: &[&str]| {
        let output = Command::new("ssh-keygen").args(arguments).current_dir(sshd.folder()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let read = keygen(&["-L", "-f", "cert.pub"]);
    println!("{read}");
    let machine = sshd.machine.to_string();
    for part in [
        "Type: ssh-ed25519-cert-v01@openssh.com user certificate",
        &format!("Key ID: \"ins_{} asks {machine}\"", "0".repeat(32)),
        "Valid: before ",
        &format!("Principals: \n                {machine}\n"),
        "Critical Options: (none)",
        "Extensions: (none)",
    ] {
        assert!(read.contains(part), "{part:?} is not in\n{read}");
    }
    let authority = keygen(&["-l", "-f", "ca.pub"]);
    let fingerprint = authority.split(' ').nth(1).unwrap();
    assert!(read.contains(&format!("Signing CA: ED25519 {fingerprint}")), "{read}");

    // The host key that we made: its public half as OpenSSH derives it from the private one.
    assert_eq!(keygen(&["-y", "-f", "host_key"]).trim(), sshd.host_key.public_openssh().trim());
    assert!(keygen(&["-l", "-f", "host_key"]).contains(&pinned.fingerprint()));
}
