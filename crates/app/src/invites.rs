//! Invites: made by operators, mailed to who waits, used once for each who signs up.

use std::time::Duration;

use domain::{
    Entropy, InviteId, LetterId, WaitingId, audit::Act, entropy::mint, invite::InviteCode, letter::LetterKind,
    own_path::OwnPath, people::Caller,
};
use store::{
    StoreError, SystemTx,
    invites::{Gift, NewInvite},
    letters::Letter,
};
use vault::{KeyedHashes, Keyring, OpenError};

use crate::{audit, keys::KeyTrouble, plans::GIFT_DAYS_MAX};

/// Most codes that are made at once.
pub const BATCH_MAX: u32 = 100;
/// Most uses of one code.
pub const USES_MAX: u32 = 10_000;
/// Longest that a code is good.
pub const DAYS_MAX: u32 = 365;
/// How long a code that is mailed to somebody who waits is good.
pub const MAILED_DAYS: u32 = 14;
/// Most characters of a note.
pub const NOTE_CHARS_MAX: usize = 200;

/// What an operator wants.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// How many codes.
    pub codes: u32,
    /// How many may sign up with each.
    pub uses: u32,
    /// How many days they are good.
    pub days: u32,
    /// What they are for.
    pub note: &'a str,
    /// What who comes by one is given.
    pub gift: Option<&'a Gift>,
}

/// Why no invite was made. Each is a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum InviteError {
    /// Too few or too many codes.
    #[error("between 1 and {BATCH_MAX} codes can be made at once")]
    Codes,
    /// Too few or too many uses.
    #[error("a code can be used between 1 and {USES_MAX} times")]
    Uses,
    /// Too few or too many days.
    #[error("a code is good for 1 to {DAYS_MAX} days")]
    Days,
    /// There is no such plan to give.
    #[error("there is no such plan")]
    Plan,
    /// The number of days of what is given cannot be used.
    #[error("a plan is given for 1 to 3650 days, or, with no number, for good")]
    GiftDays,
    /// The note is too long, or holds what nobody can read.
    #[error("a note holds at most {NOTE_CHARS_MAX} characters in one line")]
    Note,
    /// Nobody waits under this id.
    #[error("they were invited already, or are not on the list")]
    NotWaiting,
    /// Without its key this process makes no codes.
    #[error(transparent)]
    Keys(#[from] OpenError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl InviteError {
    /// The field of the wish that is meant.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Codes => Some("codes"),
            Self::Uses => Some("uses"),
            Self::Days => Some("days"),
            Self::Note => Some("note"),
            Self::Plan => Some("plan"),
            Self::GiftDays => Some("gift_days"),
            Self::NotWaiting | Self::Keys(_) | Self::Store(_) => None,
        }
    }
}

/// Makes codes. They are shown to the operator now and never again.
///
/// # Errors
/// [`InviteError`]
pub async fn make(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    ring: &Keyring,
    wish: &Wish<'_>,
    by: &Caller,
) -> Result<Vec<(InviteId, InviteCode)>, InviteError> {
    let note = wish.note.trim();
    match () {
        () if !(1..=BATCH_MAX).contains(&wish.codes) => return Err(InviteError::Codes),
        () if !(1..=USES_MAX).contains(&wish.uses) => return Err(InviteError::Uses),
        () if !(1..=DAYS_MAX).contains(&wish.days) => return Err(InviteError::Days),
        () if note.chars().count() > NOTE_CHARS_MAX || note.chars().any(char::is_control) => {
            return Err(InviteError::Note);
        }
        () => {}
    }
    if let Some(gift) = wish.gift {
        if gift.days.is_some_and(|days| !(1..=GIFT_DAYS_MAX).contains(&days)) {
            return Err(InviteError::GiftDays);
        }
        if !store::plans::list(tx).await?.iter().any(|plan| plan.name == gift.plan) {
            return Err(InviteError::Plan);
        }
    }
    let batch = entropy.uuid();
    let mut made = Vec::new();
    for _ in 0..wish.codes {
        let (id, code) = (mint(entropy), InviteCode::draw(entropy));
        let new = NewInvite {
            id,
            batch,
            code: hash(ring, &code)?,
            note,
            by: by.user,
            uses_max: wish.uses,
            valid: days(wish.days),
            gift: wish.gift,
        };
        store::invites::insert(tx, &new).await?;
        made.push((id, code));
    }
    let [codes, uses, days] = [wish.codes, wish.uses, wish.days].map(|count| count.to_string());
    let given = wish.gift.map_or("none", |gift| gift.plan.as_str());
    let details = [("codes", codes.as_str()), ("uses", &uses), ("days", &days), ("plan", given)];
    audit::record_house(tx, by, Act::InviteMake, &batch, &details).await?;
    Ok(made)
}

/// The invite with this code, if somebody could sign up with it now.
///
/// # Errors
/// [`KeyTrouble`].
pub async fn look_up(tx: &mut SystemTx, ring: &Keyring, code: &InviteCode) -> Result<Option<InviteId>, KeyTrouble> {
    let hashes: Vec<[u8; 32]> = hashes(ring, code)?.all().copied().collect();
    Ok(store::invites::open_by_code(tx, &hashes).await?)
}

/// Takes an invite back; who came by it stays. `false`: there is no such one.
///
/// # Errors
/// The database.
pub async fn revoke(tx: &mut SystemTx, invite: InviteId, by: &Caller) -> Result<bool, StoreError> {
    let done = store::invites::revoke(tx, invite).await?;
    if done {
        audit::record_house(tx, by, Act::InviteRevoke, &invite, &[]).await?;
    }
    Ok(done)
}

/// Invites somebody who waits: makes a code for one and the letter that brings it.
///
/// # Errors
/// [`InviteError::NotWaiting`] also for who was invited a moment ago: nobody is invited twice.
pub async fn invite_waiting(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    ring: &Keyring,
    waiting: WaitingId,
    by: &Caller,
) -> Result<InviteId, InviteError> {
    let to = store::waitlist::lock_waiting(tx, waiting).await?.ok_or(InviteError::NotWaiting)?;
    let (id, letter) = (mint(entropy), mint(entropy));
    let code = mailed_codes(ring, letter)?.into_iter().next().ok_or(InviteError::NotWaiting)?;
    let new = NewInvite {
        id,
        batch: letter.uuid(),
        code: hash(ring, &code)?,
        note: "from the waitlist",
        by: by.user,
        uses_max: 1,
        valid: days(MAILED_DAYS),
        gift: None,
    };
    store::invites::insert(tx, &new).await?;
    store::waitlist::invited(tx, waiting, id).await?;
    let next = OwnPath::dashboard();
    let letter = Letter { id: letter, kind: LetterKind::Invite, to, invite: Some(id), next, told: None };
    store::letters::write(tx, &letter, mint(entropy)).await?;
    audit::record_house(tx, by, Act::WaitlistInvite, &waiting, &[("invite", &id.to_string())]).await?;
    Ok(id)
}

/// The code that a letter brings, made again from the letter's id. `None`: it cannot be used any more.
///
/// # Errors
/// [`KeyTrouble`].
pub async fn mailed_code(
    tx: &mut SystemTx,
    ring: &Keyring,
    letter: LetterId,
    invite: InviteId,
) -> Result<Option<InviteCode>, KeyTrouble> {
    // Under each root: an older Berth may have written the letter.
    for code in mailed_codes(ring, letter)? {
        if look_up(tx, ring, &code).await? == Some(invite) {
            return Ok(Some(code));
        }
    }
    Ok(None)
}

fn mailed_codes(ring: &Keyring, letter: LetterId) -> Result<Vec<InviteCode>, OpenError> {
    let keyed = ring.keyed("code of an invite letter", letter.uuid().as_bytes())?;
    Ok(keyed.all().map(InviteCode::of_bytes).collect())
}

fn hash(ring: &Keyring, code: &InviteCode) -> Result<[u8; 32], OpenError> {
    Ok(*hashes(ring, code)?.first)
}

fn hashes(ring: &Keyring, code: &InviteCode) -> Result<KeyedHashes, OpenError> {
    ring.keyed("invite code", code.symbols().as_bytes())
}

fn days(days: u32) -> Duration {
    Duration::from_hours(24) * days
}
