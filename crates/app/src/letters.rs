//! Asking for a link by mail. Whether the address may sign in is looked up when the letter is sent, not when it is asked for.

use std::time::Duration;

use domain::{
    Entropy, InviteId, LetterId, entropy::mint, letter::LetterKind, names::Email, own_path::OwnPath,
    people::LOCAL_ISSUER,
};
use store::{
    StoreError, SystemTx,
    letters::Letter,
    links::{LinkPurpose, Mailed},
};
use vault::{Keyring, OpenError, Token, TokenKind};

use crate::keys::KeyTrouble;

/// How long a mailed link can be used.
pub const MAILED_LINK: Duration = Duration::from_mins(15);

/// Kind of the flow that sends a letter.
pub use store::letters::LETTER;

/// Writes a letter with a link that signs its reader in. The work is the same for an address that nobody has.
///
/// # Errors
/// The database.
pub async fn ask_for_link(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    to: &Email,
    invite: Option<InviteId>,
    next: &OwnPath,
) -> Result<(), StoreError> {
    let letter = Letter { id: mint(entropy), kind: LetterKind::SignIn, to: to.clone(), invite, next: next.clone() };
    store::letters::write(tx, &letter, mint(entropy)).await
}

/// The link that a letter brings, kept before it is sent. The same one comes out when it is sent again.
/// `None`: whoever reads this address could not come in.
///
/// # Errors
/// [`KeyTrouble`].
pub async fn link_of(tx: &mut SystemTx, ring: &Keyring, letter: &Letter) -> Result<Option<Token>, KeyTrouble> {
    let known = store::people::user_by_identity(tx, LOCAL_ISSUER, letter.to.as_str()).await?.is_some();
    let invited = match letter.invite {
        Some(invite) => store::invites::is_open(tx, invite).await?,
        None => false,
    };
    if !known && !invited {
        return Ok(None);
    }
    let secret = link_secret(ring, letter.id)?;
    let purpose =
        LinkPurpose::Mailed(Mailed { address: letter.to.clone(), invite: letter.invite, next: letter.next.clone() });
    store::links::insert_link(tx, &secret.hash(), &purpose, MAILED_LINK).await?;
    Ok(Some(secret))
}

fn link_secret(ring: &Keyring, letter: LetterId) -> Result<Token, OpenError> {
    let keyed = ring.keyed("link of a sign-in letter", letter.uuid().as_bytes())?;
    Ok(Token::of_bytes(TokenKind::Link, &keyed.first))
}
