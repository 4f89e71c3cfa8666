//! Letting somebody in who showed who they are: at a vendor, or by reading their mails.
//!
//! People are known by (issuer, subject). An address is contact data: two issuers
//! that name the same one have named two people.

use domain::{Entropy, InviteId, UserId, entropy::mint, names::Email, operators::AdminEmails, own_path::OwnPath};
use store::{
    StoreError, SystemTx,
    sign_ins::{NewSignIn, SignIn},
};
use vault::{Token, TokenKind, digest};

use crate::{
    letters, operators,
    people::TENANT_NAME_MAX,
    sessions::{Opened, open_session},
};

/// Who came, and what they hold.
#[derive(Debug, Clone, Copy)]
pub struct Arrived<'a> {
    /// Who says who they are.
    pub issuer: &'a str,
    /// Whom it knows by this.
    pub subject: &'a str,
    /// Their address, if it was shown to be theirs.
    pub verified_email: Option<&'a Email>,
    /// The invite that they held before they went.
    pub invite: Option<InviteId>,
    /// Who should have come, if somebody was to show anew who they are.
    pub again: Option<UserId>,
}

/// Why somebody was not let in. Each is a sentence for them.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Nobody here is known by this identity, and they hold no invite.
    #[error("nobody here signs in this way yet, and signing up needs an invite")]
    NeedsInvite,
    /// Their invite was used up, ran out or was taken back since.
    #[error("your invite was used up, has expired or was taken back")]
    InviteClosed,
    /// Their address was not shown to be theirs.
    #[error("the vendor did not say that your e-mail address is verified")]
    NotVerified,
    /// Somebody else came than was asked for.
    #[error("that is another account than the one you are signed in with")]
    SomebodyElse,
    /// They belong to no tenant.
    #[error("you belong to no tenant any more")]
    NoTenant,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An attempt at a vendor, with what only the browser knows.
#[derive(Debug)]
pub struct Attempt {
    /// Goes out in the address and comes back.
    pub state: String,
    /// Must stand in the vendor's token.
    pub nonce: String,
    /// Shown to the vendor with the code.
    pub verifier: String,
}

impl Attempt {
    /// What belongs to this browser and this state. Nothing of it is stored: it is made again when the browser is back.
    #[must_use]
    pub fn of(browser: &Token, state: String) -> Self {
        let made =
            |what: &str| digest(format!("berth sign-in {what}\n{}\n{state}", browser.expose()).as_bytes()).to_string();
        Self { nonce: made("nonce"), verifier: made("verifier"), state }
    }

    /// S256 of the verifier (RFC 7636, 4.2): the digest's bytes, to be written in base64url.
    #[must_use]
    pub fn challenge(&self) -> [u8; 32] {
        *digest(self.verifier.as_bytes()).bytes()
    }
}

/// Begins an attempt of a browser at a vendor.
///
/// # Errors
/// The database.
pub async fn begin(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    (provider, browser): (&str, &Token),
    (invite, again): (Option<InviteId>, Option<UserId>),
    next: &OwnPath,
) -> Result<Attempt, StoreError> {
    let mut random = [0; 32];
    entropy.fill(&mut random);
    let attempt = Attempt::of(browser, digest(&random).to_string());
    let new = NewSignIn {
        id: mint(entropy),
        provider,
        state: *digest(attempt.state.as_bytes()).bytes(),
        browser: browser.hash(),
        invite,
        again,
        next,
    };
    store::sign_ins::begin(tx, &new).await?;
    Ok(attempt)
}

/// A browser came back: uses its attempt up. `None`: there is no such attempt of this browser, or not any more.
///
/// The caller commits before the vendor is asked, so that a code is exchanged once.
///
/// # Errors
/// The database.
pub async fn came_back(
    tx: &mut SystemTx,
    (provider, browser): (&str, &Token),
    state: &str,
) -> Result<Option<(SignIn, Attempt)>, StoreError> {
    let hash = *digest(state.as_bytes()).bytes();
    let used = store::sign_ins::use_up(tx, provider, &hash, &browser.hash()).await?;
    Ok(used.map(|sign_in| (sign_in, Attempt::of(browser, state.to_owned()))))
}

/// A fresh secret for a browser on its way to a vendor.
#[must_use]
pub fn browser_secret(entropy: &dyn Entropy) -> Token {
    Token::mint(entropy, TokenKind::Attempt)
}

/// Lets somebody in: signs in who is known, makes who holds an invite, refuses the rest.
///
/// The use of the invite, the user, their tenant and the session are one transaction. Whoever shows a verified address
/// of `ADMIN_EMAILS` that made nobody an operator yet becomes one, and needs no invite for it.
///
/// # Errors
/// [`Refused`]; the caller does not commit.
pub async fn admit(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    admins: &AdminEmails,
    arrived: &Arrived<'_>,
    browser: &str,
) -> Result<Opened, Refused> {
    let mut known = store::people::user_by_identity(tx, arrived.issuer, arrived.subject).await?;
    if known.is_none() {
        // The same person may have come twice at once: whoever came first makes them, with the one use of their invite.
        store::people::lock_setup(tx).await?;
        known = store::people::user_by_identity(tx, arrived.issuer, arrived.subject).await?;
    }
    if arrived.again.is_some() && known != arrived.again {
        return Err(Refused::SomebodyElse);
    }
    let Some(user) = known else { return sign_up(tx, entropy, admins, arrived, browser).await };
    let tenant = store::people::first_tenant(tx, user).await?.ok_or(Refused::NoTenant)?;
    if let Some(email) = arrived.verified_email {
        store::people::verified_email(tx, user, email).await?;
        operators::bootstrap(tx, admins, user, (email, true)).await?;
    }
    Ok(open_session(tx, entropy, (user, tenant), browser).await?)
}

async fn sign_up(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    admins: &AdminEmails,
    arrived: &Arrived<'_>,
    browser: &str,
) -> Result<Opened, Refused> {
    let (user, tenant) = (mint(entropy), mint(entropy));
    let verified = arrived.verified_email;
    let is_first_operator = match verified {
        Some(email) => operators::claim(tx, admins, user, email).await?,
        None => false,
    };
    let invite = arrived.invite.filter(|_| !is_first_operator);
    if invite.is_none() && !is_first_operator {
        return Err(Refused::NeedsInvite);
    }
    let email = verified.ok_or(Refused::NotVerified)?;
    let let_in = match invite {
        Some(invite) => Some(store::invites::use_once(tx, invite).await?.ok_or(Refused::InviteClosed)?),
        None => None,
    };
    store::people::insert_user(tx, user, (arrived.issuer, arrived.subject), email, false).await?;
    store::people::verified_email(tx, user, email).await?;
    if let Some(invite) = invite {
        store::invites::used_by(tx, invite, user).await?;
    }
    if is_first_operator {
        operators::promote(tx, user, "ADMIN_EMAILS").await?;
    }
    store::people::insert_tenant(tx, tenant, &tenant_name(email), mint(entropy), user).await?;
    if let Some(gift) = let_in.and_then(|invite| invite.gift) {
        store::billing::begin_given(tx, tenant, mint(entropy), &gift).await?;
    }
    letters::welcome(tx, entropy, (tenant, user), email).await?;
    let opened = open_session(tx, entropy, (user, tenant), browser).await?;
    Ok(Opened { is_new: true, ..opened })
}

/// Until they name it themselves, a tenant is called after its first owner.
fn tenant_name(email: &Email) -> String {
    let name = email.as_str().split('@').next().unwrap_or_default();
    name.chars().take(TENANT_NAME_MAX).collect()
}
