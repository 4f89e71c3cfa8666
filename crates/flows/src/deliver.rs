//! The keys of machines: made and sealed before a machine exists, opened on their way to it.
//!
//! One of the few places where a sealed value is opened; each is listed in SECURITY.md.

use clients::provider::PlacedFile;
use domain::{
    AgentId, MachineId,
    channel::Channels,
    entropy::mint,
    instructions::{Choices, Instructions},
    openclaw::{self, Settings},
    protocol::{Ask, GuestConfig, SecretFile, SecretText},
};
use serde_json::Value;
use ssh::HostKey;
use store::machines::{Machine, MachineKeys};
use uuid::Uuid;
use vault::{OpenError, Owner, Place, Sealed, Secret, Token, TokenKind, digest};
use zeroize::Zeroizing;

use crate::{
    World,
    outcome::{Reservation, StepError},
};

/// Chooses a machine's id and makes its keys: identity before effect.
#[must_use]
pub fn reservation(world: &World, agent: Option<AgentId>) -> Reservation {
    let entropy = world.entropy.as_ref();
    let id: MachineId = mint(entropy);
    let host_key = HostKey::generate(entropy);
    let machine_token = Token::mint(entropy, TokenKind::Machine);
    let gateway_token = Token::mint(entropy, TokenKind::Gateway);
    let model_key = Token::mint(entropy, TokenKind::Model);
    let mut machine_key = vec![0; 32];
    entropy.fill(&mut machine_key);
    let seal = |column, secret: Secret| world.ring.seal(entropy, &place(id, column), &secret);
    let text = |token: &Token| Secret::new(token.expose().as_bytes().to_vec());
    Reservation {
        id,
        agent,
        host_key: host_key.public_openssh(),
        keys: MachineKeys {
            host_key: seal(Column::HOST_KEY, Secret::new(host_key.private_openssh().as_bytes().to_vec())),
            machine_key: seal(Column::MACHINE_KEY, Secret::new(machine_key)),
            machine_token: seal(Column::MACHINE_TOKEN, text(&machine_token)),
            gateway_token: seal(Column::GATEWAY_TOKEN, text(&gateway_token)),
            model_key: seal(Column::MODEL_KEY, text(&model_key)),
        },
        machine_token: machine_token.hash(),
        model_key: model_key.hash(),
    }
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

/// What is wanted on a machine: its configuration, and what its agent is told. Holds no secret.
#[derive(Debug)]
pub struct WantedThere {
    document: Value,
    instructions: Option<String>,
}

impl WantedThere {
    /// For an agent with these choices; a spare has chosen nothing.
    #[must_use]
    pub fn of(world: &World, choices: &Choices) -> Self {
        let document = openclaw::document(&Settings {
            model_base_url: format!("{}/llm", world.machines.home),
            model: world.machines.models.chosen(choices.model.as_deref()).clone(),
            channels: Channels::default(),
        });
        Self { document, instructions: choices.instructions.as_ref().map(Instructions::file) }
    }

    /// What it is compared by: SHA-256 over all of it.
    #[must_use]
    pub fn digest(&self) -> String {
        digest(openclaw::whole(&self.document, self.instructions.as_deref()).as_bytes()).to_string()
    }
}

/// The request that puts what is wanted in force, with its secrets.
///
/// # Errors
/// A key of the row does not open.
pub fn apply(world: &World, machine: &Machine, fence: u64, wanted: WantedThere) -> Result<Ask, StepError> {
    let gateway_token = open(world, machine.id, Column::GATEWAY_TOKEN, &machine.keys.gateway_token)?;
    let model_key = open(world, machine.id, Column::MODEL_KEY, &machine.keys.model_key)?;
    let secrets = vec![
        SecretFile { name: "gateway_token".to_owned(), value: text(&gateway_token)? },
        SecretFile { name: "model_key".to_owned(), value: text(&model_key)? },
    ];
    let instructions = wanted.instructions.map(SecretText::new);
    let (variables, reach) = (Vec::new(), Vec::new());
    Ok(Ask::Apply { fence, document: wanted.document, secrets, instructions, variables, reach })
}

/// Opens the words of an exchange on their way to the machine.
///
/// # Errors
/// They do not open.
pub fn words(world: &World, place: &Place<'_>, sealed: &Sealed) -> Result<SecretText, StepError> {
    text(&world.ring.open(place, sealed).map_err(unopened)?)
}

/// The sealed columns of `machines`.
struct Column;
impl Column {
    const HOST_KEY: &'static str = "host_key_sealed";
    const MACHINE_KEY: &'static str = "machine_key_sealed";
    const MACHINE_TOKEN: &'static str = "machine_token_sealed";
    const GATEWAY_TOKEN: &'static str = "gateway_token_sealed";
    const MODEL_KEY: &'static str = "model_key_sealed";
}

fn place(machine: MachineId, column: &'static str) -> Place<'static> {
    // A machine is the house's: a spare has no tenant yet when its keys are made.
    Place { owner: Owner::House, table: "machines", column, row: Uuid::from_u128(machine.uuid().as_u128()) }
}

fn open(world: &World, machine: MachineId, column: &'static str, sealed: &Sealed) -> Result<Secret, StepError> {
    world.ring.open(&place(machine, column), sealed).map_err(unopened)
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
