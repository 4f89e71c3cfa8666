//! `apply`: brings a configuration and its secrets into force, and proves it.
//!
//! While the gateway runs, in this order, each step durable before the next:
//! 1. the new bundle is sealed as `next`, so that a fence once begun is known;
//! 2. the secret files are replaced (the gateway reads them when told to, not before), and the file with what
//!    the agent is told (the gateway reads it when a conversation goes on); what it will have to reach is opened;
//! 3. the gateway is given the whole configuration by compare-and-swap;
//! 4. `next` becomes `current`, from which the gateway would start again;
//! 5. where the agent's variables are others than at its last start, it is started again: only so it takes them;
//! 6. the gateway is asked what is in force until it is ours, for a bounded time;
//! 7. what belonged to the one before is removed: secret files, and ways out.
//!
//! Whoever dies in between leaves a machine that starts from `current`, whole and
//! old, or goes on running; the same request sent again finishes the work. While
//! the gateway is stopped there is nobody to ask: the bundle becomes `current`
//! and the next start takes it up; the answer then says `applied: false`.

use std::{collections::BTreeSet, io, time::Duration};

use domain::{
    openclaw::{SECRETS_DIR, canonical, ours},
    protocol::{Gateway, InForce, Refusal, SecretText, Variable, delivered},
    variable::{VARIABLES_MAX, VariableName, VariableValue},
};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::{
    config_file,
    gateway::{GatewayError, Report},
    in_force, instructions,
    machine::Machine,
    opened, reach,
    sealed::{Bundle, GATEWAY_TOKEN, Store},
    status, unit, variables,
};

/// From taking up the request to the proof, all waits together.
const PATIENCE: Duration = Duration::from_secs(20);
/// Hot changes took 0.2 to 0.8 s; one that hangs is looked at by reading back.
const REPLACE_PATIENCE: Duration = Duration::from_secs(8);
const LOOK_PATIENCE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(100);
const SECRETS_MAX: usize = 64;
const SECRET_BYTES_MAX: usize = 16 * 1024;
/// 8,000 characters of four bytes, and what is put around them.
const INSTRUCTIONS_BYTES_MAX: usize = 33 * 1024;
const TRIES_MAX: usize = 3;
/// How long a gateway may go on finishing its turns before it is started anew.
const DRAIN_PATIENCE: Duration = Duration::from_secs(3);

/// Brings the configuration into force.
pub async fn apply(machine: &Machine, wanted: Bundle) -> Result<InForce, Refusal> {
    check(&wanted)?;
    let deadline = Instant::now() + PATIENCE;
    let store = machine.store().map_err(|error| machine.broken(&error))?;
    let current = store.current().unwrap_or_else(|error| {
        tracing::error!(error = %format!("{error:#}"), "the current configuration cannot be opened and is replaced");
        None
    });
    let next = store.next();
    fenced(&wanted, current.as_ref(), next.as_ref())?;
    match settled(machine, deadline).await? {
        Gateway::Ready => {
            // To be cut off here is the same as to die here: the same request, sent again, finishes the work.
            let work = while_running(machine, &store, current, next, wanted);
            timeout_at(deadline, work).await.unwrap_or_else(|_| {
                Err(Refusal::NotReady { why: "the gateway did not take the configuration in time".to_owned() })
            })
        }
        Gateway::Stopped | Gateway::Failed => while_stopped(machine, &store, &wanted).await,
        Gateway::Starting => Err(Refusal::NotReady { why: "the gateway is still starting".to_owned() }),
    }
}

async fn while_running(
    machine: &Machine,
    store: &Store,
    current: Option<Bundle>,
    next: Option<Bundle>,
    mut wanted: Bundle,
) -> Result<InForce, Refusal> {
    if next.is_none() && holds(machine, current.as_ref(), &wanted) {
        // A repetition: usually there is nothing to do but to look, and perhaps to clear up.
        if let Ok(Ok(_)) = timeout(LOOK_PATIENCE, look(machine, &wanted)).await {
            return cleared(machine, &wanted).await;
        }
    }
    let earlier: Vec<&Bundle> = current.iter().chain(next.iter()).collect();
    wanted.remember_tokens(&earlier);
    if bring(machine, store, current.as_ref(), &wanted).await? == Handed::LockedOut {
        return Err(start_anew(machine).await);
    }
    if variables::holds(&machine.paths, &wanted.variables) {
        proved(machine, &wanted).await;
    } else {
        // Nobody need be told that the gateway is away; being cut off here ends that as well.
        let _asked = machine.asked_down();
        start_with_variables(machine, &wanted).await?;
        proved(machine, &wanted).await;
    }
    let done = cleared(machine, &wanted).await?;
    tracing::info!(fence = done.fence, digest = done.digest, "configuration in force");
    Ok(done)
}

/// Step 7, and a last look at what is left.
async fn cleared(machine: &Machine, wanted: &Bundle) -> Result<InForce, Refusal> {
    opened::keep_only(&machine.paths, &wanted.secrets).map_err(|error| secrets_stuck(machine, error))?;
    reach::only(&machine.paths, &wanted.reach).await.map_err(|error| machine.broken(&error))?;
    Ok(proved(machine, wanted).await)
}

/// Nobody can be asked, so nothing can be said to be in force.
async fn while_stopped(machine: &Machine, store: &Store, wanted: &Bundle) -> Result<InForce, Refusal> {
    let _lock = machine.lock().await.map_err(|error| machine.broken(&error))?;
    store.put_current(wanted).map_err(|error| machine.broken(&error))?;
    told(machine, wanted)?;
    config_file::write(&machine.paths, &wanted.document).map_err(|error| machine.broken(&error.into()))?;
    reach::only(&machine.paths, &wanted.reach).await.map_err(|error| machine.broken(&error))?;
    tracing::info!(fence = wanted.fence, "configuration kept for the next start");
    let secrets_digest = vault::digest(&delivered(&wanted.secrets, &wanted.variables)).to_string();
    Ok(InForce {
        fence: wanted.fence,
        digest: wanted_digest(wanted),
        applied: false,
        secrets_digest: Some(secrets_digest),
    })
}

/// Step 5. A start takes longer than a request may last: whoever asked is then told so, and asks again.
async fn start_with_variables(machine: &Machine, wanted: &Bundle) -> Result<(), Refusal> {
    tracing::info!("the gateway is started anew with the agent's variables");
    if let Some(token) = wanted.secret(GATEWAY_TOKEN) {
        machine.gateway.drain(token, DRAIN_PATIENCE).await;
    }
    unit::restart(&machine.paths).await.map_err(|error| machine.broken(&error))
}

/// The gateway runs on a token that nobody here knows: somebody changed its configuration, or too many applies died.
/// Started anew it runs on ours.
async fn start_anew(machine: &Machine) -> Refusal {
    tracing::error!("the gateway accepts none of the tokens known here and is started anew");
    machine.ask_down(true);
    let done = unit::restart(&machine.paths).await;
    machine.ask_down(false);
    match done {
        Ok(()) => Refusal::NotReady { why: "the gateway accepted no token known here and was started anew".to_owned() },
        Err(error) => machine.broken(&error),
    }
}

/// What can be refused without touching anything.
fn check(wanted: &Bundle) -> Result<(), Refusal> {
    let malformed = |why: &str| Err(Refusal::Malformed { why: why.to_owned() });
    let Bundle { document, secrets, instructions, .. } = wanted;
    if instructions.as_ref().is_some_and(|text| !(1..=INSTRUCTIONS_BYTES_MAX).contains(&text.expose().len())) {
        return malformed("the instructions are empty or larger than 33 KiB");
    }
    if !document.is_object() || canonical(&ours(document)) != canonical(document) {
        return malformed("the document is no object, or sets what OpenClaw keeps for itself");
    }
    let names: BTreeSet<&str> = secrets.iter().map(|secret| secret.name.as_str()).collect();
    let well_named = |name: &str| {
        matches!(name.len(), 1..=64) && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    };
    if secrets.len() > SECRETS_MAX || names.len() != secrets.len() || !names.iter().all(|name| well_named(name)) {
        return malformed("the names of the secrets are not as agreed");
    }
    if secrets.iter().any(|secret| !matches!(secret.value.expose().len(), 8..=SECRET_BYTES_MAX)) {
        return malformed("a secret is shorter than 8 bytes or larger than 16 KiB");
    }
    if !names.contains(GATEWAY_TOKEN) {
        return malformed("there is no gateway_token among the secrets");
    }
    let providers = document.pointer("/secrets/providers").and_then(Value::as_object);
    let paths = providers.into_iter().flat_map(|map| map.values()).filter_map(|one| one.get("path")?.as_str());
    let mut ours = paths.filter_map(|path| path.strip_prefix(SECRETS_DIR)?.strip_prefix('/'));
    if ours.any(|name| !names.contains(name)) {
        return malformed("the document refers to a secret that did not come with it");
    }
    check_variables(&wanted.variables)?;
    reach::check(&wanted.reach, document)
}

fn check_variables(variables: &[Variable]) -> Result<(), Refusal> {
    let names: BTreeSet<&str> = variables.iter().map(|variable| variable.name.as_str()).collect();
    let is_good = |variable: &Variable| {
        let value = variable.value.expose().to_owned();
        VariableName::parse(&variable.name).is_ok()
            && VariableValue::parse(value).is_ok_and(|read| read.expose() == variable.value.expose())
    };
    if variables.len() > VARIABLES_MAX || names.len() != variables.len() || !variables.iter().all(is_good) {
        return Err(Refusal::Malformed { why: "the variables are not as agreed".to_owned() });
    }
    Ok(())
}

/// An older configuration than the last one begun is refused, and so is another one under the same number.
fn fenced(wanted: &Bundle, current: Option<&Bundle>, next: Option<&Bundle>) -> Result<(), Refusal> {
    let fence = wanted.fence;
    for begun in current.into_iter().chain(next) {
        let other =
            fence == begun.fence && fence > 0 && !begun.same_wish(&wanted.document, wanted.instructions.as_ref());
        if fence < begun.fence || other {
            return Err(Refusal::Fenced { fence, applied: begun.fence });
        }
    }
    Ok(())
}

/// Waits while the gateway is starting: a configuration laid under a gateway that is reading it would be a guess.
async fn settled(machine: &Machine, deadline: Instant) -> Result<Gateway, Refusal> {
    loop {
        let gateway = status::gateway(machine).await?;
        if gateway != Gateway::Starting || Instant::now() >= deadline {
            return Ok(gateway);
        }
        sleep(POLL * 3).await;
    }
}

/// Whether this was applied before and lies untouched.
fn holds(machine: &Machine, current: Option<&Bundle>, wanted: &Bundle) -> bool {
    current.is_some_and(|current| {
        current.fence == wanted.fence
            && current.same_wish(&wanted.document, wanted.instructions.as_ref())
            && instructions::holds(&machine.paths, wanted.instructions.as_ref())
            && current.same_secrets(wanted)
            && current.reach == wanted.reach
            && opened::holds(&machine.paths, &wanted.secrets)
            && variables::holds(&machine.paths, &wanted.variables)
    })
}

/// How the gateway received a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handed {
    Taken,
    LockedOut,
}

/// Steps 1 to 4, with `unseal` kept out.
async fn bring(machine: &Machine, store: &Store, current: Option<&Bundle>, wanted: &Bundle) -> Result<Handed, Refusal> {
    let _lock = machine.lock().await.map_err(|error| machine.broken(&error))?;
    store.begin(wanted).map_err(|error| machine.broken(&error))?;
    opened::write(&machine.paths, &wanted.secrets).map_err(|error| secrets_stuck(machine, error))?;
    told(machine, wanted)?;
    reach::open(&machine.paths, &wanted.reach).await.map_err(|error| machine.broken(&error))?;
    let bundles: Vec<&Bundle> = current.into_iter().chain([wanted]).collect();
    match hand_over(machine, &Machine::tokens(&bundles), &wanted.document).await {
        Ok(()) => store.take_next().map(|()| Handed::Taken).map_err(|error| machine.broken(&error)),
        Err(GatewayError::Unauthorized) => Ok(Handed::LockedOut),
        Err(error @ GatewayError::Refused(_)) => {
            // The last good configuration goes on running, with the secrets that belong to it.
            let refusal = machine.configuration_refused(&error);
            if let Some(current) = current {
                opened::write(&machine.paths, &current.secrets).map_err(|error| secrets_stuck(machine, error))?;
                opened::keep_only(&machine.paths, &current.secrets).map_err(|error| secrets_stuck(machine, error))?;
                told(machine, current)?;
                reach::only(&machine.paths, &current.reach).await.map_err(|error| machine.broken(&error))?;
            }
            store.drop_next().map_err(|error| machine.broken(&error))?;
            Err(refusal)
        }
        Err(error) => Err(machine.configuration_refused(&error)),
    }
}

/// Puts in place what the agent is told.
fn told(machine: &Machine, bundle: &Bundle) -> Result<(), Refusal> {
    instructions::write(&machine.paths, bundle.instructions.as_ref())
        .map_err(|error| machine.broken(&anyhow::Error::from(error).context("cannot write the agent's instructions")))
}

fn wanted_digest(bundle: &Bundle) -> String {
    in_force::digest(&bundle.document, bundle.instructions.as_ref().map(SecretText::expose))
}

fn secrets_stuck(machine: &Machine, error: io::Error) -> Refusal {
    machine.broken(&anyhow::Error::from(error).context("cannot replace the opened secrets"))
}

/// Gives the gateway the whole configuration. It reads secret files only when its configuration changes, and
/// answers nothing to one that is the same, so one that is there already is first made to differ in a harmless place.
async fn hand_over(machine: &Machine, tokens: &[&SecretText], document: &Value) -> Result<(), GatewayError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let (mut report, mut token) = asked(machine, tokens).await?;
        let whole = config_file::with_theirs(document, config_file::read(&machine.paths).as_ref());
        if config_file::holds(&machine.paths, document) {
            let between = nudged(&whole);
            let step = machine.gateway.replace_config(token, &report.base_hash, &between, REPLACE_PATIENCE).await;
            if let Err(error) = step {
                tracing::warn!(%error, "the gateway did not take the step between");
            }
            (report, token) = asked(machine, tokens).await?;
        }
        let error = match machine.gateway.replace_config(token, &report.base_hash, &whole, REPLACE_PATIENCE).await {
            Ok(()) => return Ok(()),
            Err(error @ (GatewayError::Refused(_) | GatewayError::Unauthorized)) => return Err(error),
            Err(error) => error,
        };
        // It may have been taken all the same: the answer was lost, or the gateway restarted over it.
        if config_file::holds(&machine.paths, document) {
            return Ok(());
        }
        if tries >= TRIES_MAX {
            return Err(error);
        }
        sleep(POLL * 3).await;
    }
}

/// Asks for the configuration; a gateway that refuses even that says nothing against the new one.
async fn asked<'a>(machine: &Machine, tokens: &[&'a SecretText]) -> Result<(Report, &'a SecretText), GatewayError> {
    status::first_accepted(machine, tokens).await.map_err(|error| match error {
        GatewayError::Refused(message) => GatewayError::Unavailable { status: 400, message },
        other => other,
    })
}

/// The same configuration with another size at which the gateway's own log file turns over.
fn nudged(whole: &Value) -> Value {
    let mut nudged = whole.clone();
    if let Value::Object(map) = &mut nudged {
        let logging = map.entry("logging").or_insert_with(|| Value::Object(serde_json::Map::new()));
        if let Value::Object(logging) = logging {
            let size = logging.get("maxFileBytes").and_then(Value::as_u64).unwrap_or(100 * 1024 * 1024);
            logging.insert("maxFileBytes".to_owned(), Value::from(size + 1));
        }
    }
    nudged
}

/// Step 6: looks until it is so. The caller's deadline ends it.
async fn proved(machine: &Machine, wanted: &Bundle) -> InForce {
    loop {
        match look(machine, wanted).await {
            Ok(done) => return done,
            Err(why) => tracing::info!(why, "not in force yet"),
        }
        sleep(POLL).await;
    }
}

/// Asks with the new token alone, so that its being accepted is part of the proof.
async fn look(machine: &Machine, wanted: &Bundle) -> Result<InForce, &'static str> {
    let token: Vec<&SecretText> = wanted.secret(GATEWAY_TOKEN).into_iter().collect();
    let (report, _) = status::first_accepted(machine, &token).await.map_err(|_| "the gateway does not answer us")?;
    let found = in_force::read(&machine.paths, &report, wanted);
    if !found.applied {
        return Err("the gateway runs another configuration than the one in its file");
    }
    if found.digest != wanted_digest(wanted) {
        return Err("the gateway reports another configuration than the one sent");
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
