//! `berth verify`: looks whether everything that must hold does hold, and changes nothing.
//!
//! Exit codes: 0 clean, 1 violated, 2 cannot tell.

use std::{collections::BTreeSet, fmt::Write as _, io::Write as _, process::ExitCode};

use anyhow::Context as _;
use app::verify::{Listed, look};
use chrono::TimeDelta;
use clients::{
    incus::{Incus, Settings},
    provider::Provider,
};
use domain::{
    InstallationId,
    invariants::{Finding, Report, State},
};
use store::{Db, DbOptions};

use vault::Keyring;

use crate::{
    config::{LookConfig, ProviderConfig},
    entropy::System,
};

const CLEAN: u8 = 0;
const VIOLATED: u8 = 1;
const CANNOT_TELL: u8 = 2;

/// How to look.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// How late a flow may be before it is reported: the longest step and the longest pause between tries by default
    #[arg(long, value_name = "SECONDS", default_value_t = 180, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    grace_seconds: u32,
}

/// Looks, says what was found, and tells it by the exit code.
pub(crate) fn main(arguments: &Arguments) -> ExitCode {
    match run(arguments) {
        Ok(report) => {
            let text = if arguments.json { json(&report) } else { text(&report) };
            std::io::stdout().lock().write_all(text.as_bytes()).ok();
            ExitCode::from(code(&report))
        }
        Err(error) => {
            if arguments.json {
                let said = serde_json::json!({ "state": State::Unknown, "why": format!("{error:#}") });
                writeln!(std::io::stdout(), "{said}").ok();
            }
            writeln!(std::io::stderr(), "berth: cannot tell: {error:#}").ok();
            ExitCode::from(CANNOT_TELL)
        }
    }
}

#[tokio::main]
async fn run(arguments: &Arguments) -> anyhow::Result<Report> {
    let config = LookConfig::of_process()?;
    let db = Db::connect(&DbOptions { url: config.database.url.to_string(), connections_max: 2 }).await?;
    let mut tx = db.system().await?;
    let installation = store::invariants::installation(&mut tx).await?;
    let (Ok(ring) | Err((ring, _))) = app::keys::unseal(&mut tx, Keyring::new(config.keys.keys), &System).await?;
    // Not committed: a look changes nothing.
    drop(tx);
    let provider = installation.map(|installation| provider(&config.provider, installation));
    let before = listed(provider.as_ref()).await;
    let grace = TimeDelta::seconds(i64::from(arguments.grace_seconds));
    let look = look(&db, &ring, before, grace).await.context("the database could not be read to the end")?;
    // Only where rows and listing disagree is the provider asked once more.
    let after = if look.is_in_doubt() { Some(listed(provider.as_ref()).await) } else { None };
    db.close().await;
    Ok(look.report(after))
}

fn provider(config: &ProviderConfig, installation: InstallationId) -> Incus {
    Incus::new(Settings {
        socket: config.socket.clone(),
        network: config.network.clone(),
        pool: config.pool.clone(),
        installation,
    })
}

async fn listed(provider: Option<&Incus>) -> Listed {
    // Before its first start a Berth has no name, so nothing at the provider can be its own.
    let Some(provider) = provider else { return Ok(BTreeSet::new()) };
    match provider.list().await {
        Ok(sightings) => Ok(sightings.into_iter().map(|sighting| sighting.name).collect()),
        Err(error) => Err(error.to_string()),
    }
}

fn code(report: &Report) -> u8 {
    match report.state() {
        State::Violated => VIOLATED,
        State::Unknown => CANNOT_TELL,
        State::Held | State::NotBuilt => CLEAN,
    }
}

fn json(report: &Report) -> String {
    let body = serde_json::json!({ "state": report.state(), "at": report.at, "invariants": report.invariants });
    format!("{body}\n")
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    let verdict = match report.state() {
        State::Held | State::NotBuilt => "clean",
        State::Violated => "VIOLATED",
        State::Unknown => "cannot tell",
    };
    writeln!(text, "{verdict}: the database as it was at {}\n", report.at.format("%Y-%m-%d %H:%M:%S UTC")).ok();
    for finding in &report.invariants {
        line(&mut text, finding);
    }
    text
}

fn line(text: &mut String, finding: &Finding) {
    let state = match finding.state() {
        State::Held => "held",
        State::Violated => "VIOLATED",
        State::Unknown => "unknown",
        State::NotBuilt => "not built",
    };
    write!(text, "{}  {state:<9}  {}", finding.invariant.id(), finding.invariant.says()).ok();
    match (finding.state(), &finding.unknown, finding.invariant.not_built()) {
        (State::NotBuilt, _, Some(why)) => writeln!(text, ": {why}").ok(),
        (_, Some(why), _) => writeln!(text, " ({} looked at; {why})", finding.looked_at).ok(),
        _ => writeln!(text, " ({} looked at)", finding.looked_at).ok(),
    };
    for violation in &finding.violations {
        writeln!(text, "      {}: {}", violation.check.name(), violation.what).ok();
        writeln!(text, "          way out: {}", violation.check.way_out()).ok();
    }
    let kept = u64::try_from(finding.violations.len()).unwrap_or(u64::MAX);
    if let Some(more @ 1..) = finding.violations_count.checked_sub(kept) {
        writeln!(text, "      and {more} more").ok();
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use domain::invariants::{Check, Invariant, Violation};

    use super::*;

    fn violated() -> Report {
        let mut report = Report::new(DateTime::UNIX_EPOCH);
        report.looked(Invariant::Machines, 3);
        report.found([Violation::new(Check::Leaked, &[&"berth-1"], "the provider holds berth-1")]);
        report
    }

    #[test]
    fn a_person_reads_what_is_wrong_and_the_way_out() {
        let text = text(&violated());
        assert!(text.starts_with("VIOLATED: the database as it was at 1970-01-01 00:00:00 UTC\n"), "{text}");
        assert!(text.contains("I1  VIOLATED   the machines at the provider are the rows"), "{text}");
        assert!(text.contains("leaked: the provider holds berth-1\n          way out: docs/runbooks/"), "{text}");
        assert!(text.contains("I5  not built  every effect outside happened once: Berth keeps no ledger"), "{text}");
    }

    #[test]
    fn a_program_reads_the_same() {
        let body: serde_json::Value = serde_json::from_str(&json(&violated())).unwrap();
        assert_eq!(body["state"], "violated");
        assert_eq!(body["invariants"][0]["id"], "I1");
        assert_eq!(body["invariants"][0]["violations"][0]["ids"][0], "berth-1");
        assert_eq!(body["invariants"][4]["state"], "not_built");
    }

    #[test]
    fn the_exit_code_is_the_verdict() {
        let mut report = Report::new(DateTime::UNIX_EPOCH);
        assert_eq!(code(&report), CLEAN);
        report.unknown(Invariant::Machines, "away");
        assert_eq!(code(&report), CANNOT_TELL);
        assert_eq!(code(&violated()), VIOLATED);
    }
}
