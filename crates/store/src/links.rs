//! One-time links: the first set-up, and signing in without a vendor.

use std::time::Duration;

use domain::UserId;
use uuid::Uuid;
use vault::TokenHash;

use crate::{db::SystemTx, error::StoreError};

/// What a one-time link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkPurpose {
    /// The first operator sets Berth up.
    Setup,
    /// This user signs in.
    SignIn(UserId),
}

/// Keeps a one-time link.
pub async fn insert_link(
    tx: &mut SystemTx,
    hash: &TokenHash,
    purpose: LinkPurpose,
    valid: Duration,
) -> Result<(), StoreError> {
    let (word, user) = match purpose {
        LinkPurpose::Setup => ("setup", None),
        LinkPurpose::SignIn(user) => ("sign_in", Some(user.uuid())),
    };
    sqlx::query!(
        "insert into links (token_hash, purpose, user_id, expires_at)
         values ($1, $2, $3, berth.now() + make_interval(secs => $4))",
        &hash.bytes()[..],
        word,
        user,
        valid.as_secs_f64(),
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
    let row = sqlx::query!(
        "select purpose, user_id from links where token_hash = $1 and used_at is null and expires_at > berth.now()",
        &hash.bytes()[..],
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| purpose(row.user_id)))
}

/// Uses a link up. Of any number of callers at once exactly one gets `Some`.
pub async fn use_link(tx: &mut SystemTx, hash: &TokenHash) -> Result<Option<LinkPurpose>, StoreError> {
    let row = sqlx::query!(
        "update links set used_at = berth.now()
         where token_hash = $1 and used_at is null and expires_at > berth.now()
         returning user_id",
        &hash.bytes()[..],
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| purpose(row.user_id)))
}

fn purpose(user: Option<Uuid>) -> LinkPurpose {
    user.map_or(LinkPurpose::Setup, |user| LinkPurpose::SignIn(UserId::from_uuid(user)))
}
