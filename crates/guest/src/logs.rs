//! `logs`: the last lines of the gateway and of the guest, fit to be shown.
//!
//! OpenClaw prints the agent's answers between its own lines. Its own lines are
//! JSON with a `subsystem` (the configuration asks for that style); lines
//! without one are somebody's words and are left out, by name.

use std::time::Duration;

use chrono::DateTime;
use domain::protocol::{LOG_LINES_MAX, LogLine, Refusal};
use serde_json::Value;

use crate::{machine::Machine, redact::Redactor, unit};

const PATIENCE: Duration = Duration::from_secs(10);
const JOURNAL_BYTES_MAX: u64 = 8 * 1024 * 1024;
const LINE_CHARS_MAX: usize = 2_000;
/// All lines together, so that an answer stays within the protocol's bound when escaped.
const TEXT_BYTES_MAX: usize = 400 * 1024;
const LEFT_OUT: &str = "(words outside the gateway's own log are left out)";

/// The last lines, oldest first.
pub async fn logs(machine: &Machine, lines: u16) -> Result<Vec<LogLine>, Refusal> {
    let count = lines.clamp(1, LOG_LINES_MAX).to_string();
    let arguments = [
        "--unit=openclaw.service",
        "--unit=berth-guest.service",
        "--output=json",
        "--output-fields=MESSAGE,SYSLOG_IDENTIFIER,_SYSTEMD_UNIT,UNIT,_PID",
        "--no-pager",
        "--quiet",
        "--lines",
        &count,
    ];
    let printed = unit::run(&machine.paths.journalctl, &arguments, PATIENCE, JOURNAL_BYTES_MAX).await;
    let printed = printed.map_err(|error| machine.broken(&error))?;
    let redactor = machine.redactor();
    let mut lines: Vec<LogLine> = printed.split(|b| *b == b'\n').filter_map(|line| read(line, &redactor)).collect();
    let mut room = TEXT_BYTES_MAX;
    let kept = lines.iter().rev().take_while(|line| {
        let fits = line.text.len() <= room;
        room = room.saturating_sub(line.text.len());
        fits
    });
    let kept = kept.count();
    Ok(lines.split_off(lines.len() - kept))
}

/// One entry of the journal.
fn read(line: &[u8], redactor: &Redactor) -> Option<LogLine> {
    let entry: Value = serde_json::from_slice(line).ok()?;
    let field = |key: &str| entry.get(key).and_then(Value::as_str);
    let micros: i64 = field("__REALTIME_TIMESTAMP")?.parse().ok()?;
    // systemd's own words about a unit come from systemd and name the unit in UNIT.
    let unit = field("UNIT").or_else(|| field("_SYSTEMD_UNIT"))?.strip_suffix(".service")?;
    let unit = ["openclaw", "berth-guest"].into_iter().find(|known| *known == unit)?;
    let by_systemd = field("UNIT").is_some() && field("_PID") == Some("1");
    let message = message(entry.get("MESSAGE")?)?;
    let text = if unit == "openclaw" && !by_systemd { gateways_own(&message) } else { message };
    let text = redactor.line(text.trim(), LINE_CHARS_MAX);
    Some(LogLine { at: DateTime::from_timestamp_micros(micros)?, unit: unit.to_owned(), text })
}

/// The journal gives text, or bytes where there was anything but plain text.
fn message(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(bytes) => {
            let bytes: Option<Vec<u8>> = bytes.iter().map(|b| b.as_u64().and_then(|b| u8::try_from(b).ok())).collect();
            Some(String::from_utf8_lossy(&bytes?).into_owned())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// A line of the gateway's own log, made short; anything else is left out.
fn gateways_own(message: &str) -> String {
    let own = serde_json::from_str::<Value>(message).ok().and_then(|line| {
        let field = |key: &str| line.get(key)?.as_str().map(str::to_owned);
        Some(format!("{} {}: {}", field("level")?, field("subsystem")?, field("message")?))
    });
    own.unwrap_or_else(|| LEFT_OUT.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(entry: &Value) -> Option<LogLine> {
        let mut redactor = Redactor::default();
        redactor.add("a-known-secret");
        read(entry.to_string().as_bytes(), &redactor)
    }

    #[test]
    fn the_agents_words_are_left_out_and_the_gateways_lines_are_kept() {
        let own = json!({ "time": "t", "level": "info", "subsystem": "gateway", "message": "ready a-known-secret" });
        let entry = |message: Value| json!({ "__REALTIME_TIMESTAMP": "1795257871000000", "_SYSTEMD_UNIT": "openclaw.service", "_PID": "9", "MESSAGE": message });
        let kept = line(&entry(json!(own.to_string()))).unwrap();
        assert_eq!((kept.unit.as_str(), kept.text.as_str()), ("openclaw", "info gateway: ready [redacted]"));
        assert_eq!(kept.at.timestamp(), 1_795_257_871);
        let words = json!({ "time": "t", "level": "info", "message": "my diary" }).to_string();
        for said in [json!("dear diary [gateway] x"), json!(words), json!(b"bytes\x1b[0m".to_vec())] {
            assert_eq!(line(&entry(said)).unwrap().text, LEFT_OUT);
        }
    }

    #[test]
    fn systemd_speaks_about_the_unit_and_strangers_do_not() {
        let entry = |pid: &str, unit: &str| json!({ "__REALTIME_TIMESTAMP": "1", "_SYSTEMD_UNIT": "init.scope", "UNIT": unit, "_PID": pid, "MESSAGE": "Started" });
        assert_eq!(line(&entry("1", "openclaw.service")).unwrap().text, "Started");
        assert_eq!(line(&entry("7", "openclaw.service")).unwrap().text, LEFT_OUT);
        assert_eq!(line(&entry("1", "ssh.service")), None);
        assert_eq!(line(&json!("no object")), None);
    }
}
