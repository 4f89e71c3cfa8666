//! Operators: how somebody becomes one, their second factor, and reading a tenant's data for a reason.

use domain::{
    Entropy, TenantId, UserId,
    audit::{Act, Actor, NewEvent},
    names::Email,
    operators::{AdminEmails, Reason},
    people::{Caller, Shown},
};
use store::{StoreError, SystemTx, TenantTx, operators::Factor};
use vault::{Digest, Keyring, OpenError, Owner, Place, Secret, digest, fresh_totp, totp_step, totp_text};
use zeroize::Zeroizing;

use crate::audit;

/// Wrong codes within five minutes after which none is looked at.
pub const FAILURES_MAX: i32 = 5;
/// Recovery codes that an enrolment gives.
pub const RECOVERY_CODES: usize = 10;

/// Letters and digits of recovery codes: 32 of them, none of which looks like another.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// Makes somebody an operator who signed in with a verified address of `ADMIN_EMAILS`: each address does that once, for
/// the first user who shows it. Their identity (issuer, subject) is what counts from then on. Returns whether it did.
///
/// # Errors
/// The database; then nothing may be committed.
pub async fn bootstrap(
    tx: &mut SystemTx,
    listed: &AdminEmails,
    user: UserId,
    (email, verified): (&Email, bool),
) -> Result<bool, StoreError> {
    if !verified || !claim(tx, listed, user, email).await? {
        return Ok(false);
    }
    promote(tx, user, "ADMIN_EMAILS").await?;
    Ok(true)
}

/// Uses a listed, verified address up for this user. `false`: it is not listed, or made somebody an operator before.
pub(crate) async fn claim(
    tx: &mut SystemTx,
    listed: &AdminEmails,
    user: UserId,
    email: &Email,
) -> Result<bool, StoreError> {
    Ok(listed.list(email) && store::operators::claim_bootstrap(tx, user, email).await?)
}

/// Makes somebody an operator; `how` is a word for the audit. Already one is success.
///
/// # Errors
/// The database; then nothing may be committed.
pub async fn promote(tx: &mut SystemTx, user: UserId, how: &str) -> Result<(), StoreError> {
    if store::operators::promote(tx, user).await? {
        made(tx, user, how).await?;
    }
    Ok(())
}

/// Writes that a user was made who is an operator from the beginning.
pub(crate) async fn made(tx: &mut SystemTx, user: UserId, how: &str) -> Result<(), StoreError> {
    let actor = if how == "shell" { Actor::shell() } else { Actor { id: user.to_string(), via: String::new() } };
    store::audit::append_house(tx, &NewEvent::new(actor, Act::OperatorMake, &user, &[("how", how)])).await
}

/// Why a second factor was not set up or not taken.
#[derive(Debug, thiserror::Error)]
pub enum FactorError {
    /// Only operators have one.
    #[error("only operators have a second factor")]
    Forbidden,
    /// It belongs to a browser's session.
    #[error("a second factor is given in a browser")]
    NoSession,
    /// There is one already.
    #[error("you have an authenticator already")]
    Enrolled,
    /// There is none yet.
    #[error("set up an authenticator first")]
    NotEnrolled,
    /// Wrong, used before, or of another time. This one must be committed: it counts.
    #[error("that code is wrong, or was used already; wait for the next one")]
    Wrong,
    /// Too many wrong ones.
    #[error("too many wrong codes; wait five minutes")]
    TooMany,
    /// The stored secret does not open.
    #[error("the authenticator's secret does not open")]
    Sealed(#[from] OpenError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Draws an authenticator's secret; returns it as people type it. It counts once a code of it was right.
///
/// # Errors
/// [`FactorError`]; the caller does not commit.
pub async fn begin_factor(
    tx: &mut SystemTx,
    (ring, entropy): (&Keyring, &dyn Entropy),
    by: &Caller,
) -> Result<Zeroizing<String>, FactorError> {
    operator_session(by)?;
    let secret = fresh_totp(entropy);
    let sealed = ring.seal(entropy, &place(by.user), &secret)?;
    if !store::operators::begin_factor(tx, by.user, &sealed).await? {
        return Err(FactorError::Enrolled);
    }
    Ok(totp_text(&secret))
}

/// What giving a code led to.
#[derive(Debug)]
pub enum Given {
    /// The authenticator counts from now on. These codes are shown once, for when it is lost.
    Enrolled(Vec<Zeroizing<String>>),
    /// The factor holds for twelve hours in this browser.
    Fresh,
    /// By a recovery code; so many are left.
    Recovered(i64),
}

/// Takes a code of the authenticator, or a recovery code.
///
/// # Errors
/// [`FactorError`]. The caller commits on success and on [`FactorError::Wrong`], and not otherwise.
pub async fn give_code(
    tx: &mut SystemTx,
    (ring, entropy): (&Keyring, &dyn Entropy),
    code: &str,
    by: &Caller,
) -> Result<Given, FactorError> {
    let session = operator_session(by)?;
    let factor = store::operators::lock_factor(tx, by.user).await?.ok_or(FactorError::NotEnrolled)?;
    if factor.failures >= FAILURES_MAX {
        return Err(FactorError::TooMany);
    }
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let given = match right_step(ring, by.user, &factor, &code)? {
        Some(step) => {
            store::operators::take_step(tx, by.user, step).await?;
            if factor.is_confirmed {
                audit::record_house(tx, by, Act::FactorGive, &session, &[]).await?;
                Given::Fresh
            } else {
                let (codes, hashes) = recovery_codes(entropy);
                store::operators::keep_recovery_codes(tx, by.user, &hashes).await?;
                audit::record_house(tx, by, Act::FactorEnrol, &session, &[]).await?;
                Given::Enrolled(codes)
            }
        }
        None if factor.is_confirmed && store::operators::use_recovery_code(tx, by.user, &code_hash(&code)).await? => {
            let left = store::operators::recovery_codes_left(tx, by.user).await?;
            audit::record_house(tx, by, Act::FactorRecover, &session, &[("left", &left.to_string())]).await?;
            Given::Recovered(left)
        }
        None => {
            store::operators::count_failure(tx, by.user).await?;
            return Err(FactorError::Wrong);
        }
    };
    store::operators::mark_session(tx, session).await?;
    Ok(given)
}

/// From the command line: forgets the authenticators of operators with this address. Returns how many.
///
/// # Errors
/// The database; then nothing may be committed.
pub async fn reset_factor(tx: &mut SystemTx, email: &Email) -> Result<usize, StoreError> {
    let users = store::operators::reset_factor(tx, email).await?;
    for user in &users {
        store::audit::append_house(tx, &NewEvent::new(Actor::shell(), Act::FactorReset, user, &[])).await?;
    }
    Ok(users.len())
}

/// Reads a tenant's data for an operator: the reason stands in that tenant's own audit, or nothing is read.
///
/// # Errors
/// The database.
pub async fn open_tenant(
    mut tx: SystemTx,
    tenant: TenantId,
    reason: &Reason,
    by: &Caller,
) -> Result<TenantTx, StoreError> {
    let details: &[(&str, &str)] = &[("reason", reason.as_str())];
    audit::record_for(&mut tx, tenant, Actor::of(by), Act::OperatorRead, (&tenant, details)).await?;
    tx.into_tenant(tenant).await
}

/// The step of a right code that was not taken before.
fn right_step(ring: &Keyring, user: UserId, factor: &Factor, code: &str) -> Result<Option<i64>, FactorError> {
    let secret: Secret = ring.open(&place(user), &factor.secret)?;
    let now = u64::try_from(factor.now.timestamp()).unwrap_or_default();
    let step = totp_step(&secret, code, now).and_then(|step| i64::try_from(step).ok());
    Ok(step.filter(|step| *step > factor.last_step))
}

/// Where an authenticator's secret lives.
const fn place(user: UserId) -> Place<'static> {
    Place { owner: Owner::House, table: "operator_factors", column: "secret_sealed", row: user.uuid() }
}

fn recovery_codes(entropy: &dyn Entropy) -> (Vec<Zeroizing<String>>, Vec<Digest>) {
    let draw = || {
        let mut random = Zeroizing::new([0; 16]);
        entropy.fill(random.as_mut_slice());
        let letter = |byte: &u8| char::from(ALPHABET.get(usize::from(byte & 31)).copied().unwrap_or(b'A'));
        let letters: Vec<String> = random.chunks(4).map(|four| four.iter().map(letter).collect()).collect();
        Zeroizing::new(letters.join("-"))
    };
    let codes: Vec<_> = (0..RECOVERY_CODES).map(|_| draw()).collect();
    let hashes = codes.iter().map(|code| code_hash(code)).collect();
    (codes, hashes)
}

/// 80 random bits need no salt and no stretching. Case does not count.
fn code_hash(code: &str) -> Digest {
    digest(code.to_ascii_uppercase().as_bytes())
}

fn operator_session(by: &Caller) -> Result<domain::SessionId, FactorError> {
    if !by.is_operator {
        return Err(FactorError::Forbidden);
    }
    match by.shown {
        Shown::Session { id, .. } => Ok(id),
        Shown::Token(_) => Err(FactorError::NoSession),
    }
}
