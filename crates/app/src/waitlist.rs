//! Asking to be let in.

use domain::{Entropy, entropy::mint, limits::Source, names::Email};
use store::{StoreError, SystemTx};
use vault::Keyring;

/// Puts an address on the list, or leaves it where it is. The answer is the same.
///
/// `from` is kept as a keyed hash, under a key that changes monthly: enough to see that one source asks for many.
///
/// # Errors
/// The database.
pub async fn join(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    ring: &Keyring,
    email: &Email,
    from: Option<Source>,
) -> Result<(), StoreError> {
    let month = store::house::now(tx).await?.format("%Y-%m");
    let source = from.and_then(|from| {
        let keyed = ring.keyed(&format!("waitlist source {month}"), from.to_string().as_bytes());
        keyed.first().map(|hash| **hash)
    });
    store::waitlist::join(tx, mint(entropy), email, source).await
}
