//! What a machine may tell by itself.

use domain::protocol::MachineEvent;
use store::{StoreError, SystemTx, machines::MachineCaller};
use vault::Token;

use crate::agents::{LIFE, signal};

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
