//! Where master keys come from: a setting, a file, or a command.
//!
//! A key that is malformed ends the start: that is a typing mistake. A key that is not there, a file that cannot be
//! read or a command that fails does not: Berth starts sealed, serves what needs no secret, and says so.

use std::{
    io::Read as _,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use vault::MasterKey;
use zeroize::Zeroizing;

use crate::settings::{BadSetting, Values, bad};

const NAME: &str = "CREDENTIAL_ENCRYPTION_KEY";
const COMMAND: &str = "CREDENTIAL_ENCRYPTION_KEY_COMMAND";
/// A command that asks a vault over the network may take a while; one that asks a person would wait for ever.
const PATIENCE: Duration = Duration::from_secs(10);
/// Twenty keys and their commas.
const BYTES_MAX: u64 = 1024;

/// The operator's keys, the preferred one first.
#[derive(Default)]
pub struct MasterKeys {
    /// All of them.
    pub keys: Vec<MasterKey>,
    /// Why there are none, in a sentence.
    pub missing: Option<String>,
}

impl MasterKeys {
    pub(crate) fn parse(values: &Values) -> Result<Self, BadSetting> {
        let text = match (values.get(NAME), values.get(COMMAND)?) {
            (Ok(Some(_)), Some(_)) => {
                return Err(bad(COMMAND, format!("is set, and {NAME} is too: one of them is meant")));
            }
            (Ok(Some(text)), None) => text,
            (Ok(None), Some(command)) => match said(&command) {
                Ok(text) => text,
                Err(why) => return Ok(Self::missing(format!("{COMMAND} {why}"))),
            },
            (Ok(None), None) => return Ok(Self::missing(format!("{NAME} is not set"))),
            (Err(unreadable), _) => return Ok(Self::missing(unreadable.to_string())),
        };
        let keys = text.trim().split(',').map(MasterKey::parse).collect::<Result<Vec<_>, _>>();
        let keys = keys.map_err(|error| bad(NAME, format!("cannot be used: {error}")))?;
        Ok(Self { keys, missing: None })
    }

    fn missing(why: String) -> Self {
        Self { keys: Vec::new(), missing: Some(why) }
    }
}

/// What a command writes to its standard output. Its errors go where Berth's go.
fn said(command: &str) -> Result<Zeroizing<String>, &'static str> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|_| "cannot be run")?;
    let out = child.stdout.take().ok_or("cannot be run")?;
    let reader = thread::spawn(move || {
        let mut text = Zeroizing::new(String::new());
        out.take(BYTES_MAX).read_to_string(&mut text).map(|_| text)
    });
    let until = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(20)),
            _ => {
                child.kill().ok();
                child.wait().ok();
                return Err("did not end within ten seconds");
            }
        }
    };
    if !status.success() {
        return Err("failed");
    }
    // What it started and left running may hold the pipe open: its words are not waited for.
    while !reader.is_finished() {
        if Instant::now() >= until {
            return Err("did not close its output within ten seconds");
        }
        thread::sleep(Duration::from_millis(5));
    }
    let text = reader.join().ok().and_then(Result::ok).ok_or("did not write text")?;
    if text.trim().is_empty() { Err("wrote nothing") } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn parse(pairs: &[(&str, &str)]) -> Result<MasterKeys, BadSetting> {
        MasterKeys::parse(&Values::of(pairs))
    }

    #[test]
    fn keys_come_from_the_setting_or_from_a_command() {
        assert_eq!(parse(&[(NAME, KEY)]).unwrap().keys.len(), 1);
        assert_eq!(parse(&[(COMMAND, &format!("echo {KEY},{KEY}"))]).unwrap().keys.len(), 2);
        assert!(parse(&[(NAME, KEY), (COMMAND, "true")]).is_err(), "which one is meant?");
    }

    #[test]
    fn a_key_that_is_not_there_starts_berth_sealed() {
        for (pairs, why) in [
            (&[][..], "CREDENTIAL_ENCRYPTION_KEY is not set"),
            (&[(COMMAND, "exit 3")], "CREDENTIAL_ENCRYPTION_KEY_COMMAND failed"),
            (&[(COMMAND, "true")], "CREDENTIAL_ENCRYPTION_KEY_COMMAND wrote nothing"),
        ] {
            let keys = parse(pairs).unwrap();
            assert_eq!((keys.keys.len(), keys.missing.as_deref()), (0, Some(why)));
        }
        let unreadable = parse(&[("CREDENTIAL_ENCRYPTION_KEY_FILE", "/nowhere/at/all")]).unwrap();
        assert!(unreadable.missing.unwrap().contains("CREDENTIAL_ENCRYPTION_KEY"));
    }

    /// CRY-06: a key of the wrong form is a mistake, named without its text.
    #[test]
    fn a_malformed_key_ends_the_start() {
        for wrong in
            ["short", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", &format!("{KEY},"), &KEY.replace('A', "?")]
        {
            let error = parse(&[(NAME, wrong)]).err().expect("it is no key").to_string();
            assert!(error.contains(NAME) && !error.contains(wrong), "{error}");
        }
    }
}
