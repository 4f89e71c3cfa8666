//! What one running guest service knows and shares.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result};
use domain::protocol::{GuestConfig, Refusal, SecretText};
use tokio::sync::{Mutex, RwLock};

use crate::{
    gateway::{Gateway, GatewayError},
    paths::Paths,
    redact::Redactor,
    sealed::{Bundle, GATEWAY_TOKEN, Store},
};

/// Longest reason in a refusal.
const WHY_CHARS_MAX: usize = 500;
/// How long this machine's other program may hold secrets and configuration before we give up.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// The service's context.
pub struct Machine {
    /// Where everything lies.
    pub paths: Paths,
    /// Who we are, and whom we call.
    pub config: GuestConfig,
    /// The gateway beside us.
    pub gateway: Gateway,
    /// One change at a time.
    pub changes: Mutex<()>,
    /// Turns share it; an apply has it alone.
    pub turns: RwLock<()>,
    /// Set while the gateway is down because it was asked to be.
    asked_down: AtomicBool,
}

impl Machine {
    /// Reads who this machine is.
    pub fn read(paths: Paths) -> Result<Self> {
        let config = guest_config(&paths)?;
        let gateway = Gateway(paths.gateway);
        Ok(Self {
            paths,
            config,
            gateway,
            changes: Mutex::new(()),
            turns: RwLock::new(()),
            asked_down: AtomicBool::new(false),
        })
    }

    /// The sealed configurations.
    pub fn store(&self) -> Result<Store> {
        Store::open(&self.paths, self.config.machine)
    }

    /// Keeps `unseal` out while secrets and configuration change.
    pub async fn lock(&self) -> Result<fs::File> {
        let path = self.paths.lock.clone();
        tokio::task::spawn_blocking(move || Store::lock(&path, LOCK_PATIENCE)).await?
    }

    /// Notes whether the gateway is meant to be down.
    pub fn ask_down(&self, down: bool) {
        self.asked_down.store(down, Ordering::Relaxed);
    }

    /// The gateway is meant to be down for as long as what comes back lives.
    pub fn asked_down(&self) -> AskedDown<'_> {
        self.ask_down(true);
        AskedDown(self)
    }

    /// Whether the gateway is meant to be down.
    #[must_use]
    pub fn is_asked_down(&self) -> bool {
        self.asked_down.load(Ordering::Relaxed)
    }

    /// Tokens that may be in force, the likeliest first.
    #[must_use]
    pub fn tokens<'a>(bundles: &[&'a Bundle]) -> Vec<&'a SecretText> {
        let direct = bundles.iter().filter_map(|bundle| bundle.secret(GATEWAY_TOKEN));
        let former = bundles.iter().flat_map(|bundle| bundle.former_tokens.iter());
        let mut tokens: Vec<&SecretText> = Vec::new();
        for token in direct.chain(former) {
            if !tokens.iter().any(|known| known.expose() == token.expose()) {
                tokens.push(token);
            }
        }
        tokens
    }

    /// What must not be shown by this machine.
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        let mut redactor = Redactor::default();
        redactor.add(self.config.machine_token.expose());
        if let Ok(store) = self.store() {
            for bundle in store.current().ok().flatten().iter().chain(store.next().iter()) {
                for secret in &bundle.secrets {
                    redactor.add(secret.value.expose());
                }
                for variable in &bundle.variables {
                    redactor.add(variable.value.expose());
                }
                for token in &bundle.former_tokens {
                    redactor.add(token.expose());
                }
            }
        }
        redactor
    }

    /// Something broke here: said in a redacted sentence.
    pub fn broken(&self, error: &anyhow::Error) -> Refusal {
        Refusal::Broken { why: self.reason(&format!("{error:#}")) }
    }

    /// A refusal for what the gateway said to a change of configuration.
    pub fn configuration_refused(&self, error: &GatewayError) -> Refusal {
        match error {
            GatewayError::Refused(_) => Refusal::Invalid { why: self.reason(&error.to_string()) },
            GatewayError::Http(_)
            | GatewayError::Unauthorized
            | GatewayError::Unavailable { .. }
            | GatewayError::Unreadable => Refusal::NotReady { why: self.reason(&error.to_string()) },
        }
    }

    /// Hostile words, made fit to be shown.
    #[must_use]
    pub fn reason(&self, words: &str) -> String {
        self.redactor().line(words, WHY_CHARS_MAX)
    }
}

/// See [`Machine::asked_down`].
pub struct AskedDown<'a>(&'a Machine);

impl Drop for AskedDown<'_> {
    fn drop(&mut self) {
        self.0.ask_down(false);
    }
}

/// Reads `guest.json`.
pub fn guest_config(paths: &Paths) -> Result<GuestConfig> {
    let text = zeroize::Zeroizing::new(fs::read(&paths.config).context("cannot read guest.json")?);
    // The parser's message could repeat what it read, which may be the token.
    serde_json::from_slice(&text).ok().context("guest.json is not as agreed")
}
