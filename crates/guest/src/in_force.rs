//! What is in force, by what the gateway itself says.
//!
//! The gateway masks whatever looks like a secret when it reports its
//! configuration: the ids of secret references and all of `secrets.providers`.
//! Those masked leaves, and only those, are filled in from the file that the
//! gateway says it has read (its pair of hashes covers the whole file); all
//! else in the digest comes from the gateway.

use domain::{
    openclaw::{ours, whole},
    protocol::InForce,
};
use serde_json::Value;

use crate::{config_file, gateway::Report, instructions, opened, paths::Paths, sealed::Bundle};

/// What stands in the report where the gateway masks.
const MASK: &str = "__OPENCLAW_REDACTED__";

/// The digest by which a document and the instructions beside it are known: SHA-256 over both.
#[must_use]
pub fn digest(document: &Value, instructions: Option<&str>) -> String {
    vault::digest(whole(&ours(document), instructions).as_bytes()).to_string()
}

/// Reads the gateway's report together with the file, the instructions as they lie there (the gateway reads them
/// anew for each conversation), and the opened secrets; fence and variables are those of the bundle.
#[must_use]
pub fn read(paths: &Paths, report: &Report, bundle: &Bundle) -> InForce {
    let file = config_file::read(paths).unwrap_or(Value::Null);
    let told = instructions::read(paths);
    InForce {
        fence: bundle.fence,
        digest: digest(&unmasked(&report.parsed, &file), told.as_deref()),
        applied: report.applied,
        secrets_digest: opened::digest(paths, &bundle.variables),
    }
}

fn unmasked(reported: &Value, file: &Value) -> Value {
    match reported {
        Value::String(text) if text == MASK => match file {
            // A mask covers one plain value; it must not stand for a whole tree.
            Value::String(_) | Value::Number(_) | Value::Bool(_) => file.clone(),
            Value::Null | Value::Array(_) | Value::Object(_) => reported.clone(),
        },
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, value)| (key.clone(), unmasked(value, file.get(key).unwrap_or(&Value::Null))))
                .collect(),
        ),
        Value::Array(items) => Value::Array(
            items.iter().enumerate().map(|(i, value)| unmasked(value, file.get(i).unwrap_or(&Value::Null))).collect(),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => reported.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_masked_leaves_come_from_the_file() {
        let file = json!({ "a": { "id": "value" }, "bind": "loopback", "tree": { "x": 1 }, "list": [{ "k": "v" }] });
        let report = json!({ "a": { "id": MASK }, "bind": "lan", "tree": MASK, "list": [{ "k": MASK }] });
        let read = unmasked(&report, &file);
        assert_eq!(read, json!({ "a": { "id": "value" }, "bind": "lan", "tree": MASK, "list": [{ "k": "v" }] }));
    }

    #[test]
    fn what_openclaw_adds_for_itself_does_not_change_the_digest() {
        let sent = json!({ "gateway": { "bind": "loopback" } });
        let reported = json!({ "meta": { "lastTouchedVersion": "2026.9.6" }, "gateway": { "bind": "loopback" } });
        assert_eq!(digest(&sent, None), digest(&reported, None));
        assert_ne!(digest(&sent, Some("a")), digest(&sent, None));
    }
}
