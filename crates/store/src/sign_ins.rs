//! Attempts to sign in at a vendor: each is used once, by the browser that began it, within ten minutes.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{InviteId, SignInId, UserId, own_path::OwnPath};
use vault::TokenHash;

use crate::{db::SystemTx, error::StoreError};

/// How long an attempt can come back. The table holds to it too.
pub const ATTEMPT: Duration = Duration::from_mins(10);

/// An attempt that begins.
#[derive(Debug)]
pub struct NewSignIn<'a> {
    /// Its id.
    pub id: SignInId,
    /// The vendor's word in the address.
    pub provider: &'a str,
    /// Of what goes out and comes back with the browser.
    pub state: [u8; 32],
    /// Of what stays in the browser.
    pub browser: TokenHash,
    /// The invite that the browser holds.
    pub invite: Option<InviteId>,
    /// Who shows once more who they are.
    pub again: Option<UserId>,
    /// Where they were going.
    pub next: &'a OwnPath,
}

/// An attempt that came back and is used up by that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// Its id.
    pub id: SignInId,
    /// The invite that the browser held.
    pub invite: Option<InviteId>,
    /// Who shows once more who they are.
    pub again: Option<UserId>,
    /// Where they were going.
    pub next: OwnPath,
    /// When it began.
    pub began_at: DateTime<Utc>,
    /// The database's time.
    pub now: DateTime<Utc>,
}

/// Keeps an attempt.
pub async fn begin(tx: &mut SystemTx, new: &NewSignIn<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into sign_ins (id, provider, state_hash, browser_hash, invite_id, again, return_path, created_at, expires_at)
         select $1, $2, $3, $4, $5, $6, $7, now, now + make_interval(secs => $8) from berth.now() as now",
        new.id.uuid(),
        new.provider,
        &new.state[..],
        &new.browser.bytes()[..],
        new.invite.map(InviteId::uuid),
        new.again.map(UserId::uuid),
        new.next.as_str(),
        ATTEMPT.as_secs_f64(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Uses an attempt up. Of any number of callers at once exactly one gets `Some`.
pub async fn use_up(
    tx: &mut SystemTx,
    provider: &str,
    state: &[u8; 32],
    browser: &TokenHash,
) -> Result<Option<SignIn>, StoreError> {
    let row = sqlx::query!(
        r#"update sign_ins set used_at = berth.now()
           where state_hash = $1 and browser_hash = $2 and provider = $3
             and used_at is null and expires_at > berth.now()
           returning id, invite_id, again, return_path, created_at, berth.now() as "now!""#,
        &state[..],
        &browser.bytes()[..],
        provider,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| SignIn {
        id: SignInId::from_uuid(row.id),
        invite: row.invite_id.map(InviteId::from_uuid),
        again: row.again.map(UserId::from_uuid),
        next: OwnPath::of(&row.return_path),
        began_at: row.created_at,
        now: row.now,
    }))
}
