//! `openclaw.json` on disk: our part, and beside it what OpenClaw writes for itself.

use std::io;

use domain::openclaw::{THEIRS, canonical, ours};
use serde_json::Value;

use crate::{folder::Folder, paths::Paths};

const FOLDER: &str = ".openclaw";
const NAME: &str = "openclaw.json";
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The file as JSON; `None` if it is missing or is not plain JSON (the agent's user may write anything there).
#[must_use]
pub fn read(paths: &Paths) -> Option<Value> {
    let bytes = folder(paths).ok()?.read(NAME, BYTES_MAX).ok()??;
    serde_json::from_slice(&bytes).ok()
}

/// Whether our part of the file is this document.
#[must_use]
pub fn holds(paths: &Paths, document: &Value) -> bool {
    read(paths).is_some_and(|found| canonical(&ours(&found)) == canonical(document))
}

/// Makes our part of the file this document; while no gateway runs.
pub fn write(paths: &Paths, document: &Value) -> io::Result<()> {
    if holds(paths, document) {
        return Ok(());
    }
    let whole = with_theirs(document, read(paths).as_ref());
    let text = serde_json::to_vec_pretty(&whole).map_err(io::Error::other)?;
    folder(paths)?.replace(NAME, &text, 0o600, Some(paths.agent))
}

/// The document with the keys that OpenClaw keeps for itself, as found.
#[must_use]
pub fn with_theirs(document: &Value, found: Option<&Value>) -> Value {
    let mut whole = document.clone();
    if let (Value::Object(whole), Some(Value::Object(found))) = (&mut whole, found) {
        for key in THEIRS {
            if let Some(value) = found.get(key) {
                whole.entry(key).or_insert_with(|| value.clone());
            }
        }
    }
    whole
}

fn folder(paths: &Paths) -> io::Result<Folder> {
    Folder::open(&paths.agent_home)?.ensure_child(FOLDER, 0o700, Some(paths.agent))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_openclaw_keeps_for_itself_stays() {
        let found = json!({ "meta": { "lastTouchedVersion": "x" }, "gateway": { "bind": "lan" }, "stranger": 1 });
        let whole = with_theirs(&json!({ "gateway": { "bind": "loopback" } }), Some(&found));
        assert_eq!(whole, json!({ "gateway": { "bind": "loopback" }, "meta": { "lastTouchedVersion": "x" } }));
    }
}
