//! `unseal`: runs as root before each start of the gateway.
//!
//! It opens the secrets of the current configuration for the gateway's user and
//! makes the file on disk that configuration, so that every start is from one
//! whole bundle, whatever a crash, or the agent, left there. A machine that was
//! never given a configuration gets a placeholder of its own: the gateway is
//! then warm before anybody needs it, and reachable by nobody else.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use domain::{
    channel::Channels,
    openclaw::{AgentModel, Settings, document},
    protocol::{GuestConfig, SecretFile, SecretText},
};
use vault::{Token, TokenKind};

use crate::{
    config_file,
    entropy::SystemEntropy,
    instructions,
    machine::guest_config,
    opened,
    paths::Paths,
    reach,
    sealed::{Bundle, GATEWAY_TOKEN, Store},
    unit, variables,
};

/// An apply that is under way ends sooner than this.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);

/// Opens what the gateway needs to start.
pub fn unseal(paths: &Paths) -> Result<()> {
    let config = guest_config(paths)?;
    let _lock = Store::lock(&paths.lock, LOCK_PATIENCE)?;
    let store = Store::open(paths, config.machine)?;
    let current = store.current().context("the sealed configuration cannot be opened")?;
    let bundle = if let Some(bundle) = current {
        bundle
    } else {
        let bundle = placeholder(&config);
        store.put_current(&bundle)?;
        bundle
    };
    opened::write(paths, &bundle.secrets).context("cannot open the secrets")?;
    opened::keep_only(paths, &bundle.secrets).context("cannot clear the opened secrets")?;
    variables::write(paths, &bundle.variables).context("cannot write the agent's variables")?;
    if reach::note(paths, &bundle.reach)? {
        reload_firewall(paths)?;
    }
    instructions::write(paths, bundle.instructions.as_ref()).context("cannot write the agent's instructions")?;
    config_file::write(paths, &bundle.document).context("cannot write openclaw.json")
}

/// Bounded by systemd, which waits for this program for so long only.
fn reload_firewall(paths: &Paths) -> Result<()> {
    let status = Command::new(&paths.systemctl).args(unit::RELOAD_FIREWALL).stdin(Stdio::null()).status();
    if !status.context("cannot run systemctl")?.success() {
        bail!("the packet filter could not be loaded");
    }
    Ok(())
}

/// What a machine runs until it is given to somebody: our document with keys that open nothing.
fn placeholder(config: &GuestConfig) -> Bundle {
    let settings = Settings {
        model_base_url: format!("{}/llm", config.home),
        model: AgentModel::proof(),
        channels: Channels::default(),
    };
    let mint = |name: &str, kind| SecretFile {
        name: name.to_owned(),
        value: SecretText::new(Token::mint(&SystemEntropy, kind).expose().to_owned()),
    };
    Bundle {
        fence: 0,
        document: document(&settings),
        secrets: vec![mint(GATEWAY_TOKEN, TokenKind::Gateway), mint("model_key", TokenKind::Model)],
        instructions: None,
        variables: Vec::new(),
        reach: Vec::new(),
        former_tokens: Vec::new(),
    }
}
