//! Asking to be let in.

use domain::{Entropy, entropy::mint, limits::Source, names::Email};
use store::SystemTx;
use vault::Keyring;

use crate::keys::KeyTrouble;

/// Puts an address on the list, or leaves it where it is. The answer is the same.
///
/// `from` is kept as a keyed hash, under a key that changes monthly: enough to see that one source asks for many.
///
/// # Errors
/// [`KeyTrouble`].
pub async fn join(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    ring: &Keyring,
    email: &Email,
    from: Option<Source>,
) -> Result<(), KeyTrouble> {
    let month = store::house::now(tx).await?.format("%Y-%m");
    let keyed = from.map(|from| ring.keyed(&format!("waitlist source {month}"), from.to_string().as_bytes()));
    let source = keyed.transpose()?.map(|keyed| *keyed.first);
    Ok(store::waitlist::join(tx, mint(entropy), email, source).await?)
}
