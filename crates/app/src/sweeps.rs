//! Asking for a look at every machine.

use domain::{Entropy, entropy::mint};
use serde_json::Value;
use store::{StoreError, SystemTx, flows::NewFlow};
use uuid::Uuid;

/// Kind of the flow that sweeps.
pub const SWEEP: &str = "sweep";

/// Asks for a sweep, or joins the one under way. Returns what to wait for.
///
/// # Errors
/// The database.
pub async fn ask(tx: &mut SystemTx, entropy: &dyn Entropy) -> Result<Uuid, StoreError> {
    let (id, new) = store::sweeps::ask(tx, entropy.uuid()).await?;
    if new {
        let flow = NewFlow {
            id: mint(entropy),
            kind: SWEEP,
            subject: id,
            step: serde_json::json!({ "step": "look" }),
            deadline: Some(std::time::Duration::from_mins(5)),
        };
        store::flows::start_house(tx, &flow).await?;
    }
    Ok(id)
}

/// What a sweep found, once it ended.
///
/// # Errors
/// The database.
pub async fn counts(tx: &mut SystemTx, id: Uuid) -> Result<Option<Value>, StoreError> {
    store::sweeps::counts(tx, id).await
}
