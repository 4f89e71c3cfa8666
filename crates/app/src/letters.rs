//! Letters: asking for a link by mail, and telling a tenant's owners what happened to it.
//!
//! Whether an address may sign in is looked up when the letter is sent, not when it is asked for. What is told is written
//! in the transaction of its cause, once for it.

use std::time::Duration;

use domain::{
    Entropy, InviteId, LetterId, TenantId, UserId,
    entropy::mint,
    letter::{LetterKind, Told},
    names::Email,
    own_path::OwnPath,
    people::LOCAL_ISSUER,
};
use store::{
    StoreError, SystemTx,
    letters::{Caused, Letter},
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
    let (to, next) = (to.clone(), next.clone());
    let letter = Letter { id: mint(entropy), kind: LetterKind::SignIn, to, invite, next, told: None };
    store::letters::write(tx, &letter, mint(entropy)).await
}

/// Tells each owner of a tenant something, once for its cause. Returns how many letters were written now.
///
/// # Errors
/// The database; the caller does not commit.
pub async fn tell(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    tenant: TenantId,
    cause: &str,
    told: &Told,
) -> Result<usize, StoreError> {
    let mut written = 0;
    for (user, to) in store::letters::readers(tx, tenant).await? {
        written += usize::from(tell_one(tx, entropy, (tenant, user), &to, (cause, told)).await?);
    }
    Ok(written)
}

/// Tells somebody who has just made an account that it is there.
///
/// # Errors
/// The database; the caller does not commit.
pub(crate) async fn welcome(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    (tenant, user): (TenantId, UserId),
    to: &Email,
) -> Result<(), StoreError> {
    tell_one(tx, entropy, (tenant, user), to, ("welcome", &Told::Welcome)).await.map(|_| ())
}

async fn tell_one(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    (tenant, user): (TenantId, UserId),
    to: &Email,
    (cause, told): (&str, &Told),
) -> Result<bool, StoreError> {
    let (id, flow) = (mint(entropy), mint(entropy));
    let cause = format!("{cause}:{user}");
    store::letters::write_for_cause(tx, &Caused { id, flow, tenant, to, cause: &cause, told }).await
}

/// Why a letter with a cause is not sent any more, if so: its reader has gone, or what it tells is over.
///
/// # Errors
/// The database.
pub async fn is_moot(tx: &mut SystemTx, letter: &Letter) -> Result<Option<&'static str>, StoreError> {
    let Some((tenant, told)) = &letter.told else { return Ok(None) };
    let readers = store::letters::readers(tx, *tenant).await?;
    if !readers.iter().any(|(_, address)| *address == letter.to) {
        return Ok(Some("not sent: its reader owns the tenant no more"));
    }
    let known = store::billing::known(tx, *tenant).await?;
    let is_over = known.is_some_and(|account| !told.still_holds(&account.judge()));
    Ok(is_over.then_some("not sent: it was not so any more"))
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
