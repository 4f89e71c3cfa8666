//! The keys of machines: made and sealed before a machine exists, opened on their way to it.
//!
//! One of the few places where a sealed value is opened; each is listed in SECURITY.md.

use app::credentials::{Delivery, Opened};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clients::provider::PlacedFile;
use domain::{
    AgentId, MachineId, TenantId,
    channel::{Channel, Channels, Discord, Slack, Telegram},
    credential::{Kind, files as bot_files},
    entropy::mint,
    instructions::{Choices, Instructions},
    openclaw::{self, Settings},
    protocol::{Ask, GuestConfig, SecretFile, SecretText, Variable, delivered},
};
use serde_json::Value;
use ssh::HostKey;
use store::{
    SystemTx,
    machine_rotations::{KeysNow, NextKeys, Taken},
    machines::{Machine, MachineKeys},
};
use uuid::Uuid;
use vault::{DataKey, Keyring, MasterKey, OpenError, Owner, Place, Sealed, Secret, Token, TokenKind, digest};
use zeroize::Zeroizing;

use crate::{
    World,
    outcome::{Reservation, StepError},
};

/// Chooses a machine's id and makes its keys: identity before effect.
///
/// # Errors
/// This process has no key to seal them with.
pub fn reservation(world: &World, agent: Option<AgentId>) -> Result<Reservation, StepError> {
    let entropy = world.entropy.as_ref();
    let id: MachineId = mint(entropy);
    let host_key = HostKey::generate(entropy);
    let machine_token = Token::mint(entropy, TokenKind::Machine);
    let gateway_token = Token::mint(entropy, TokenKind::Gateway);
    let model_key = Token::mint(entropy, TokenKind::Model);
    let mut machine_key = vec![0; 32];
    entropy.fill(&mut machine_key);
    let seal = |column, secret: Secret| seal(world, id, column, &secret);
    let text = |token: &Token| Secret::new(token.expose().as_bytes().to_vec());
    Ok(Reservation {
        id,
        agent,
        host_key: host_key.public_openssh(),
        keys: MachineKeys {
            host_key: seal(Column::HOST_KEY, Secret::new(host_key.private_openssh().as_bytes().to_vec()))?,
            machine_key: seal(Column::MACHINE_KEY, Secret::new(machine_key))?,
            machine_token: seal(Column::MACHINE_TOKEN, text(&machine_token))?,
            gateway_token: seal(Column::GATEWAY_TOKEN, text(&gateway_token))?,
            model_key: seal(Column::MODEL_KEY, text(&model_key))?,
        },
        machine_token: machine_token.hash(),
        model_key: model_key.hash(),
    })
}

/// What is put into a machine before its first start: host key, authority, who it is, its own key.
///
/// # Errors
/// A key of the row does not open.
pub fn files(world: &World, machine: &Machine) -> Result<Vec<PlacedFile>, StepError> {
    let host_key = open(world, machine.id, Column::HOST_KEY, &machine.keys.host_key)?;
    let machine_key = open(world, machine.id, Column::MACHINE_KEY, &machine.keys.machine_key)?;
    let config = GuestConfig {
        machine: machine.id,
        home: world.machines.home.clone(),
        machine_token: text(&open(world, machine.id, Column::MACHINE_TOKEN, &machine.keys.machine_token)?)?,
    };
    let config = serde_json::to_vec(&config).map_err(|error| StepError::retry(error.to_string()))?;
    let root = |path: &str, mode, content: Vec<u8>| PlacedFile {
        path: path.to_owned(),
        mode,
        uid: 0,
        gid: 0,
        content: Zeroizing::new(content),
    };
    Ok(vec![
        root("/etc/ssh/ssh_host_ed25519_key", 0o600, host_key.expose().to_vec()),
        root("/etc/ssh/ssh_host_ed25519_key.pub", 0o644, format!("{}\n", machine.host_key.trim()).into_bytes()),
        root("/etc/berth/ssh_ca.pub", 0o644, format!("{}\n", world.authority.public_line()).into_bytes()),
        root("/etc/berth/principals", 0o644, format!("{}\n", machine.id).into_bytes()),
        root("/etc/berth/guest.json", 0o600, config),
        root("/etc/berth/machine.key", 0o400, machine_key.expose().to_vec()),
    ])
}

/// What an agent is to be on its machine. A spare's is the default.
#[derive(Debug, Default)]
pub struct Wish {
    /// Its model, and what it is told.
    pub choices: Choices,
    /// How people reach it.
    pub bots: Vec<Kind>,
    /// Which agent; none for a spare.
    pub of: Option<(TenantId, AgentId)>,
    /// How often what its machine is given has changed, when the step began.
    pub credentials: u64,
}

/// What is wanted on a machine: its configuration, and what its agent is told. Holds no secret.
#[derive(Debug)]
pub struct WantedThere {
    document: Value,
    instructions: Option<String>,
    /// Where the machine may connect to, beside its home.
    reach: Vec<String>,
}

impl WantedThere {
    /// For an agent with this wish.
    #[must_use]
    pub fn of(world: &World, wish: &Wish) -> Self {
        let choices = &wish.choices;
        let channels = channels(world, &wish.bots);
        let document = openclaw::document(&Settings {
            model_base_url: format!("{}/llm", world.machines.home),
            model: world.machines.models.chosen(choices.model.as_deref()),
            channels: channels.clone(),
        });
        let reach = channels.reach().iter().map(ToString::to_string).collect();
        Self { document, instructions: choices.instructions.as_ref().map(Instructions::file), reach }
    }

    /// What it is compared by: SHA-256 over all of it.
    #[must_use]
    pub fn digest(&self) -> String {
        digest(openclaw::whole(&self.document, self.instructions.as_deref()).as_bytes()).to_string()
    }
}

/// Opens what an agent's machine is given, and says so in its tenant's audit. What comes back is not committed yet.
///
/// # Errors
/// A value does not open, or cannot be written down as opened.
pub async fn given(world: &World, wish: &Wish) -> Result<(SystemTx, Delivery), StepError> {
    let Some((tenant, agent)) = wish.of else { return Ok((world.db.system().await?, Delivery::default())) };
    let mut tx = world.db.tenant(tenant).await?;
    let given = app::credentials::open_for_delivery(&mut tx, &world.ring, agent).await?;
    Ok((tx.into_house().await?, given))
}

/// The channels for which there are tokens, and which a machine can run.
fn channels(world: &World, bots: &[Kind]) -> Channels {
    let is_on = |kind, channel| bots.contains(&kind) && Channel::OFFERED.contains(&channel);
    let telegram = || Telegram { api_root: world.machines.telegram.clone() };
    Channels {
        telegram: is_on(Kind::Telegram, Channel::Telegram).then(telegram),
        slack: is_on(Kind::Slack, Channel::Slack).then_some(Slack),
        discord: is_on(Kind::Discord, Channel::Discord).then_some(Discord),
    }
}

/// The request that puts what is wanted in force, with its secrets; the gateway's token is the next one where there is
/// one.
///
/// # Errors
/// A key of the row does not open.
pub fn apply(
    world: &World,
    machine: &Machine,
    (fence, keys): (u64, &KeysNow),
    (wanted, given): (WantedThere, Delivery),
) -> Result<Ask, StepError> {
    let gateway_token = match &keys.next {
        Some(next) => open(world, machine.id, Column::GATEWAY_TOKEN_NEXT, &next.gateway_token)?,
        None => open(world, machine.id, Column::GATEWAY_TOKEN, &keys.gateway_token)?,
    };
    let model_key = open(world, machine.id, Column::MODEL_KEY, &machine.keys.model_key)?;
    let mut secrets = vec![
        SecretFile { name: "gateway_token".to_owned(), value: text(&gateway_token)? },
        SecretFile { name: "model_key".to_owned(), value: text(&model_key)? },
    ];
    let mut variables = Vec::new();
    for Opened { credential, secret } in &given.opened {
        let value = secret.expose_text().ok_or_else(|| StepError::retry("a credential is not text"))?;
        if credential.kind == Kind::Variable {
            variables.push(Variable { name: credential.name.clone(), value: SecretText::new(value.to_owned()) });
        }
        secrets.extend(bot_files(credential.kind, value));
    }
    let instructions = wanted.instructions.map(SecretText::new);
    Ok(Ask::Apply { fence, document: wanted.document, secrets, instructions, variables, reach: wanted.reach })
}

/// What a machine that holds what this request brings says of it. A gateway's token is in it, so nobody guesses.
#[must_use]
pub fn digest_of_secrets(ask: &Ask) -> Option<String> {
    match ask {
        Ask::Apply { secrets, variables, .. } => Some(digest(&delivered(secrets, variables)).to_string()),
        _ => None,
    }
}

/// Makes a machine's next gateway token and machine key.
///
/// # Errors
/// This process has no key to seal them with.
pub fn next_keys(world: &World, machine: MachineId) -> Result<NextKeys, StepError> {
    let entropy = world.entropy.as_ref();
    let token = Secret::new(Token::mint(entropy, TokenKind::Gateway).expose().as_bytes().to_vec());
    let mut key = vec![0; 32];
    entropy.fill(&mut key);
    Ok(NextKeys {
        gateway_token: seal(world, machine, Column::GATEWAY_TOKEN_NEXT, &token)?,
        machine_key: seal(world, machine, Column::MACHINE_KEY_NEXT, &Secret::new(key))?,
    })
}

/// The request that gives a machine its next key, and that key's id, which it answers.
///
/// # Errors
/// The key does not open, or is none.
pub fn rekey(world: &World, machine: MachineId, fence: u64, next: &NextKeys) -> Result<(Ask, String), StepError> {
    let key = open(world, machine, Column::MACHINE_KEY_NEXT, &next.machine_key)?;
    let key = Zeroizing::new(STANDARD.encode(key.expose()));
    let id = MasterKey::parse(&key).map_err(|_| StepError::retry("a machine's next key is no key"))?.id();
    Ok((Ask::Rekey { fence, key: SecretText::new(key.to_string()) }, id.to_string()))
}

/// Seals the next keys for the place of those in force.
///
/// # Errors
/// One of them does not open.
pub fn taken(world: &World, machine: MachineId, next: &NextKeys, with_key: bool) -> Result<Taken, StepError> {
    let token = open(world, machine, Column::GATEWAY_TOKEN_NEXT, &next.gateway_token)?;
    let key = open(world, machine, Column::MACHINE_KEY_NEXT, &next.machine_key)?;
    Ok(Taken {
        sent: next.gateway_token.clone(),
        gateway_token: seal(world, machine, Column::GATEWAY_TOKEN, &token)?,
        machine_key: with_key.then(|| seal(world, machine, Column::MACHINE_KEY, &key)).transpose()?,
    })
}

/// Opens the words of an exchange on their way to the machine.
///
/// # Errors
/// They do not open.
pub fn words((ring, key): (&Keyring, &DataKey), place: &Place<'_>, sealed: &Sealed) -> Result<SecretText, StepError> {
    text(&app::exchanges::open_half((ring, Some(key)), place, sealed).map_err(unopened)?)
}

/// The sealed columns of `machines`.
struct Column;
impl Column {
    const HOST_KEY: &'static str = "host_key_sealed";
    const MACHINE_KEY: &'static str = "machine_key_sealed";
    const MACHINE_TOKEN: &'static str = "machine_token_sealed";
    const GATEWAY_TOKEN: &'static str = "gateway_token_sealed";
    const MODEL_KEY: &'static str = "model_key_sealed";
    const MACHINE_KEY_NEXT: &'static str = "machine_key_next_sealed";
    const GATEWAY_TOKEN_NEXT: &'static str = "gateway_token_next_sealed";
}

fn place(machine: MachineId, column: &'static str) -> Place<'static> {
    // A machine is the house's: a spare has no tenant yet when its keys are made.
    Place { owner: Owner::House, table: "machines", column, row: Uuid::from_u128(machine.uuid().as_u128()) }
}

fn open(world: &World, machine: MachineId, column: &'static str, sealed: &Sealed) -> Result<Secret, StepError> {
    world.ring.open(&place(machine, column), sealed).map_err(unopened)
}

fn seal(world: &World, machine: MachineId, column: &'static str, secret: &Secret) -> Result<Sealed, StepError> {
    world.ring.seal(world.entropy.as_ref(), &place(machine, column), secret).map_err(unopened)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn unopened(error: OpenError) -> StepError {
    StepError::stuck(
        format!("a sealed key does not open ({error}); an operator has to look at CREDENTIAL_ENCRYPTION_KEY"),
        domain::alert::AlertKind::FlowFailed,
    )
}

fn text(secret: &Secret) -> Result<SecretText, StepError> {
    let text = secret.expose_text().ok_or_else(|| StepError::retry("a sealed text is not UTF-8"))?;
    Ok(SecretText::new(text.to_owned()))
}
