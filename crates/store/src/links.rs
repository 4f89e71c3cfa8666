//! One-time links: the first set-up, and signing in without a vendor.

use std::time::Duration;

use domain::{InviteId, UserId, names::Email, own_path::OwnPath};
use uuid::Uuid;
use vault::TokenHash;

use crate::{db::SystemTx, error::StoreError};

/// What a one-time link is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkPurpose {
    /// The first operator sets Berth up.
    Setup,
    /// This user signs in.
    SignIn(UserId),
    /// Whoever reads the mails of an address signs in.
    Mailed(Mailed),
}

/// What a link that was mailed is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailed {
    /// Where it was mailed to.
    pub address: Email,
    /// The invite that its reader held when they asked for it.
    pub invite: Option<InviteId>,
    /// Where they were going.
    pub next: OwnPath,
}

/// Keeps a one-time link.
pub async fn insert_link(
    tx: &mut SystemTx,
    hash: &TokenHash,
    purpose: &LinkPurpose,
    valid: Duration,
) -> Result<(), StoreError> {
    let (word, user, mailed) = match purpose {
        LinkPurpose::Setup => ("setup", None, None),
        LinkPurpose::SignIn(user) => ("sign_in", Some(user.uuid()), None),
        LinkPurpose::Mailed(mailed) => ("mailed", None, Some(mailed)),
    };
    // The same link may be kept twice, by a letter that is sent again: it stays as it was.
    sqlx::query!(
        "insert into links (token_hash, purpose, user_id, expires_at, address, invite_id, return_path)
         values ($1, $2, $3, berth.now() + make_interval(secs => $4), $5, $6, $7)
         on conflict (token_hash) do nothing",
        &hash.bytes()[..],
        word,
        user,
        valid.as_secs_f64(),
        mailed.map(|mailed| mailed.address.as_str()),
        mailed.and_then(|mailed| mailed.invite).map(InviteId::uuid),
        mailed.map_or("/dashboard", |mailed| mailed.next.as_str()),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Forgets set-up links that were not used: a new start prints a new one.
pub async fn drop_setup_links(tx: &mut SystemTx) -> Result<(), StoreError> {
    sqlx::query!("delete from links where purpose = 'setup' and used_at is null").execute(tx.conn()).await?;
    Ok(())
}

/// Whether a link would be accepted now; using it is [`use_link`].
pub async fn link_is_open(tx: &mut SystemTx, hash: &TokenHash) -> Result<Option<LinkPurpose>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "select user_id, address, invite_id, return_path from links
         where token_hash = $1 and used_at is null and expires_at > berth.now()",
        &hash.bytes()[..],
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(purpose).transpose()
}

/// Uses a link up. Of any number of callers at once exactly one gets `Some`.
pub async fn use_link(tx: &mut SystemTx, hash: &TokenHash) -> Result<Option<LinkPurpose>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "update links set used_at = berth.now()
         where token_hash = $1 and used_at is null and expires_at > berth.now()
         returning user_id, address, invite_id, return_path",
        &hash.bytes()[..],
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(purpose).transpose()
}

struct Row {
    user_id: Option<Uuid>,
    address: Option<String>,
    invite_id: Option<Uuid>,
    return_path: String,
}

fn purpose(row: Row) -> Result<LinkPurpose, StoreError> {
    Ok(match (row.user_id, row.address) {
        (Some(user), _) => LinkPurpose::SignIn(UserId::from_uuid(user)),
        (None, Some(address)) => LinkPurpose::Mailed(Mailed {
            address: Email::parse(&address).map_err(|error| StoreError::corrupt("links", "address", error))?,
            invite: row.invite_id.map(InviteId::from_uuid),
            next: OwnPath::of(&row.return_path),
        }),
        (None, None) => LinkPurpose::Setup,
    })
}
