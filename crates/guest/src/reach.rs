//! Where the machine may connect to beside its home: a file that the packet filter reads.
//!
//! The file is root's, and so is the filter (`deploy/machine/files/usr/lib/berth/firewall`): the agent can change
//! neither. A way is opened before the gateway needs it, and shut after it is needed no more.

use std::{collections::BTreeSet, io};

use anyhow::{Context as _, Result};
use domain::{
    protocol::Refusal,
    reach::{REACH_MAX, Reach},
};
use serde_json::Value;

use crate::{folder::Folder, paths::Paths, unit};

const NAME: &str = "reach";
const BYTES_MAX: u64 = 64 * 1024;

/// Looks at a list as it came. An address of a private network would open the neighbours, or the provider's own
/// addresses, to the agent: it is taken only where the document names it, as an operator's own server.
pub fn check(reach: &[String], document: &Value) -> Result<(), Refusal> {
    let refuse = |why: &str| Err(Refusal::Malformed { why: why.to_owned() });
    if reach.len() > REACH_MAX {
        return refuse("the machine is asked to reach more places than allowed");
    }
    let named = document.pointer("/channels/telegram/apiRoot").and_then(Value::as_str);
    let named = named.and_then(|root| domain::channel::ApiRoot::parse(root).ok());
    for raw in reach {
        let Ok(place) = Reach::parse(raw) else {
            return refuse("a place to reach is not as agreed");
        };
        let is_named = named.as_ref().is_some_and(|root| *root.reach() == place);
        if place.to_string() != *raw || place.is_private_address() && !is_named {
            return refuse("a place to reach is not as agreed, or is on a private network");
        }
    }
    Ok(())
}

/// Lets the machine reach these as well as what it reaches already.
pub async fn open(paths: &Paths, reach: &[String]) -> Result<()> {
    let mut all = read(paths)?;
    all.extend(reach.iter().cloned());
    load(paths, &all).await
}

/// Lets the machine reach these only.
pub async fn only(paths: &Paths, reach: &[String]) -> Result<()> {
    load(paths, &reach.iter().cloned().collect()).await
}

/// Notes these for the packet filter; `true` if it has to read them anew.
pub fn note(paths: &Paths, reach: &[String]) -> Result<bool> {
    write(paths, &reach.iter().cloned().collect())
}

/// Writes and loads. What is written already was loaded already, or will be when the machine starts.
async fn load(paths: &Paths, all: &BTreeSet<String>) -> Result<()> {
    if write(paths, all)? {
        unit::reload_firewall(paths).await.context("the packet filter could not be loaded")?;
    }
    Ok(())
}

fn write(paths: &Paths, all: &BTreeSet<String>) -> Result<bool> {
    if read(paths)? == *all {
        return Ok(false);
    }
    let mut text = all.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
    text.push('\n');
    let folder = folder(paths).context("cannot open the folder of the packet filter's list")?;
    folder.replace(NAME, text.as_bytes(), 0o600, None).context("cannot write the packet filter's list")?;
    Ok(true)
}

fn read(paths: &Paths) -> Result<BTreeSet<String>> {
    let bytes = folder(paths).and_then(|folder| folder.read(NAME, BYTES_MAX));
    let bytes = bytes.context("cannot read the packet filter's list")?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
}

fn folder(paths: &Paths) -> io::Result<Folder> {
    Folder::open(&paths.state)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_private_address_is_reached_only_where_the_document_names_it() {
        let own = json!({ "channels": { "telegram": { "apiRoot": "http://10.4.0.1:8081" } } });
        let list = |places: &[&str]| places.iter().map(|place| (*place).to_owned()).collect::<Vec<_>>();
        assert_eq!(check(&list(&["api.telegram.org:443", "149.154.167.220:443"]), &json!({})), Ok(()));
        assert_eq!(check(&list(&["10.4.0.1:8081"]), &own), Ok(()));
        for (places, document) in [
            (list(&["10.4.0.1:8081"]), &json!({})),
            (list(&["10.4.0.1:22"]), &own),
            (list(&["169.254.169.254:80"]), &own),
            (list(&["API.telegram.org:443"]), &own),
            (list(&["api.telegram.org"]), &own),
            (vec!["api.telegram.org:443".to_owned(); REACH_MAX + 1], &own),
        ] {
            assert!(matches!(check(&places, document), Err(Refusal::Malformed { .. })), "{places:?}");
        }
    }
}
