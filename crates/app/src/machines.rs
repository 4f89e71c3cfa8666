//! What a machine may tell by itself, and what an operator has done to all of them.

use domain::{
    AgentId,
    audit::{Act, Actor},
    protocol::MachineEvent,
};
use store::{Db, StoreError, SystemTx, machines::MachineCaller};
use uuid::Uuid;
use vault::Token;

use crate::{
    agents::{LIFE, signal},
    audit,
};

/// Kind of the flow that lives a spare machine's life; its subject is the machine.
pub const SPARE: &str = "spare";

/// The living machine that holds this token for calling home.
///
/// # Errors
/// The database.
pub async fn by_machine_token(tx: &mut SystemTx, token: &Token) -> Result<Option<MachineCaller>, StoreError> {
    store::machines::by_machine_token(tx, &token.hash()).await
}

/// The living machine that holds this virtual key for the model route.
///
/// # Errors
/// The database.
pub async fn by_model_key(tx: &mut SystemTx, key: &Token) -> Result<Option<MachineCaller>, StoreError> {
    store::machines::by_model_key(tx, &key.hash()).await
}

/// Passes a machine's event on to its agent's flow, or to its own while it is a spare. A machine's word only makes Berth look; it decides nothing.
///
/// # Errors
/// The database.
pub async fn event(tx: &mut SystemTx, from: MachineCaller, event: MachineEvent) -> Result<(), StoreError> {
    let word = match event {
        MachineEvent::Up => signal::UP,
        MachineEvent::GatewayReady => signal::GATEWAY_READY,
        MachineEvent::GatewayLost => signal::LOOK,
    };
    match from.agent {
        Some(agent) => store::flows::signal_house(tx, LIFE, &[agent.uuid()], word).await,
        None => store::flows::signal_house(tx, SPARE, &[from.machine.uuid()], word).await,
    }
}

/// What an operator asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RotationsAsked {
    /// Machines that were not asked before.
    pub fresh: u64,
    /// Machines that were looked at; the others had a rotation before them already.
    pub machines: u64,
}

/// Has the gateway token and the machine key of one agent's machine replaced, or of every agent's: `per_minute` of them a
/// minute. Batch after batch, each with its event in the house's audit; whoever asks again after it was cut off asks the
/// rest.
///
/// # Errors
/// The database; batches that were committed stay asked.
pub async fn rotate(
    db: &Db,
    only: Option<AgentId>,
    per_minute: u32,
    by: impl Fn() -> Actor,
) -> Result<RotationsAsked, StoreError> {
    let (mut done, mut after) = (RotationsAsked::default(), Uuid::nil());
    loop {
        let mut tx = db.system().await?;
        let batch = store::machine_rotations::ask_some(&mut tx, (only, after), done.fresh, per_minute).await?;
        done.fresh += batch.fresh;
        done.machines += u64::try_from(batch.looked_at).unwrap_or(u64::MAX);
        if batch.looked_at > 0 {
            let subject = only.map_or_else(|| "machines".to_owned(), |agent| agent.to_string());
            let details = [("machines", &*batch.fresh.to_string()), ("per_minute", &*per_minute.to_string())];
            audit::record_house_by(&mut tx, by(), Act::MachinesRotate, &subject, &details).await?;
        }
        tx.commit().await?;
        let Some(last) = batch.last else { return Ok(done) };
        after = last;
    }
}
