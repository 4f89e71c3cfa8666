//! `berth audit verify`: whether a chain is whole, from an export or in the database.
//!
//! Exit codes: 0 whole, 1 broken, 2 cannot tell.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use app::audit::{
    chain::{Broken, Checker},
    walk::{self, Walked},
};
use serde_json::{Value, json};
use store::{Db, DbOptions};
use uuid::Uuid;

use crate::config::DatabaseConfig;

const BROKEN: u8 = 1;
const CANNOT_TELL: u8 = 2;
/// Longest line of an export: details are short, so none of ours comes near it.
const LINE_MAX: u64 = 1 << 20;
/// Tenants read from the database at once.
const BATCH: i64 = 1000;

/// What to verify.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// An export (JSON Lines); without one, every chain of the database
    file: Option<PathBuf>,
    /// A head that was kept elsewhere, through which the export's chain must pass
    #[arg(long, value_name = "PLACE:HASH", value_parser = kept, requires = "file")]
    head: Option<(u64, String)>,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

/// One chain, verified.
struct Verdict {
    chain: String,
    events: u64,
    broken: Option<Broken>,
}

/// Verifies, says what was found, and tells it by the exit code.
pub(crate) fn main(arguments: &Arguments) -> ExitCode {
    let found = match &arguments.file {
        Some(file) => export(file, arguments.head.as_ref()).map(|verdict| vec![verdict]),
        None => database(),
    };
    match found {
        Ok(verdicts) => {
            let text = if arguments.json { as_json(&verdicts) } else { as_text(&verdicts) };
            std::io::stdout().lock().write_all(text.as_bytes()).ok();
            let is_broken = verdicts.iter().any(|verdict| verdict.broken.is_some());
            if is_broken { ExitCode::from(BROKEN) } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            if arguments.json {
                let said = json!({ "state": "unknown", "why": format!("{error:#}") });
                writeln!(std::io::stdout(), "{said}").ok();
            }
            writeln!(std::io::stderr(), "berth: cannot tell: {error:#}").ok();
            ExitCode::from(CANNOT_TELL)
        }
    }
}

fn export(path: &Path, kept: Option<&(u64, String)>) -> anyhow::Result<Verdict> {
    let file = File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
    let mut checker = Checker::new(None);
    if let Some((seq, hash)) = kept {
        checker = checker.through(*seq, hash);
    }
    let mut reader = BufReader::new(file);
    let mut broken = None;
    while broken.is_none() {
        let mut bytes = Vec::new();
        let read = std::io::Read::take(&mut reader, LINE_MAX).read_until(b'\n', &mut bytes);
        if read.with_context(|| format!("{} cannot be read", path.display()))? == 0 {
            break;
        }
        // Without its end a line was cut; what is no text is no line of ours either.
        let whole = bytes.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok());
        broken = checker.line(whole.unwrap_or_default()).err();
    }
    let (chain, events) = (checker.chain().unwrap_or("no chain").to_owned(), checker.seq());
    let broken = broken.or_else(|| checker.end_of_export().err());
    Ok(Verdict { chain, events, broken })
}

#[tokio::main]
async fn database() -> anyhow::Result<Vec<Verdict>> {
    let config = DatabaseConfig::of_process()?;
    let db = Db::connect(&DbOptions { url: config.url.to_string(), connections_max: 2 }).await?;
    let mut snapshot = db.snapshot().await?;
    let mut verdicts = vec![Verdict::from(walk::house(&mut snapshot).await?)];
    let mut after = Uuid::nil();
    loop {
        let tenants = store::invariants::tenants(&mut snapshot.house, after, BATCH).await?;
        let Some(last) = tenants.last() else { break };
        after = last.uuid();
        for id in tenants {
            verdicts.push(walk::tenant(&db, &mut snapshot, id).await?.into());
        }
    }
    drop(snapshot);
    db.close().await;
    Ok(verdicts)
}

impl From<Walked> for Verdict {
    fn from(Walked { chain, events, broken }: Walked) -> Self {
        Self { chain: chain.to_string(), events, broken }
    }
}

/// `41:9f86…`: the place, a colon, 64 hexadecimal digits.
fn kept(text: &str) -> Result<(u64, String), String> {
    let wanted = "a head is its place, a colon and 64 hexadecimal digits, as in 41:9f86…";
    let (seq, hash) = text.split_once(':').ok_or(wanted)?;
    let digits = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if !digits {
        return Err(wanted.to_owned());
    }
    Ok((seq.parse().map_err(|_| wanted)?, hash.to_owned()))
}

fn as_text(verdicts: &[Verdict]) -> String {
    let line = |verdict: &Verdict| match &verdict.broken {
        None => format!("whole   {}  {} events\n", verdict.chain, verdict.events),
        Some(broken) => format!("BROKEN  {}  {broken}\n", verdict.chain),
    };
    verdicts.iter().map(line).collect()
}

fn as_json(verdicts: &[Verdict]) -> String {
    let chain = |verdict: &Verdict| -> Value {
        let why = verdict.broken.as_ref().map(ToString::to_string);
        json!({ "chain": verdict.chain, "whole": why.is_none(), "events": verdict.events, "why": why })
    };
    let state = if verdicts.iter().any(|verdict| verdict.broken.is_some()) { "broken" } else { "whole" };
    let said = json!({ "state": state, "chains": verdicts.iter().map(chain).collect::<Vec<_>>() });
    format!("{said}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verify(text: &str, head: Option<&(u64, String)>) -> Verdict {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        std::fs::write(&path, text).unwrap();
        export(&path, head).unwrap()
    }

    #[test]
    fn the_documents_example_is_whole_and_every_changed_byte_is_found() {
        let document = include_str!("../../../docs/AUDIT.md");
        let lines = document.lines().filter(|line| line.starts_with("{\"event\"") || line.starts_with("{\"head\""));
        let text = lines.fold(String::new(), |text, line| text + line + "\n");
        let verdict = verify(&text, None);
        assert!(verdict.broken.is_none() && verdict.events == 2, "{:?}", verdict.broken);
        for place in (0..text.len()).step_by(17).chain([text.len() - 1]) {
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= 1;
            assert!(verify(&String::from_utf8_lossy(&bytes), None).broken.is_some(), "byte {place}");
        }
        assert!(verify(text.trim_end(), None).broken.is_some(), "the last line has no end");
        assert!(verify("", None).broken.is_some(), "nothing at all");
        assert!(verify(&text, Some(&(3, "0".repeat(64)))).broken.is_some(), "a head further on");
    }

    #[test]
    fn a_head_is_a_place_and_a_hash() {
        assert_eq!(kept(&format!("7:{}", "a".repeat(64))), Ok((7, "a".repeat(64))));
        for bad in ["", "7", "7:", "x:0", &format!("7:{}", "A".repeat(64)), &"a".repeat(64)] {
            assert!(kept(bad).is_err(), "{bad:?}");
        }
    }
}
