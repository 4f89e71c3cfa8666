//! The waitlist: who asked to be let in, in the order in which they asked.

use chrono::{DateTime, Utc};
use domain::{InviteId, WaitingId, names::Email};

use crate::{db::SystemTx, error::StoreError};

/// Somebody who waits, or was invited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Which.
    pub id: WaitingId,
    /// Their place among those who wait; none once they are invited.
    pub position: Option<u32>,
    /// Their address, as they gave it.
    pub email: Email,
    /// When they asked first.
    pub asked_at: DateTime<Utc>,
    /// How many asked from the same source within the same month.
    pub from_source: u32,
    /// When they were invited.
    pub invited_at: Option<DateTime<Utc>>,
}

/// Puts an address on the list. One that is there already stays where it is; nothing tells the two apart.
pub async fn join(tx: &mut SystemTx, id: WaitingId, email: &Email, source: Option<[u8; 32]>) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into waitlist (id, email, source_hash) values ($1, $2, $3) on conflict (email) do nothing",
        id.uuid(),
        email.as_str(),
        source.as_ref().map(|hash| &hash[..]),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Locks one entry to invite it. `None`: there is no such one, or it is invited already.
pub async fn lock_waiting(tx: &mut SystemTx, id: WaitingId) -> Result<Option<Email>, StoreError> {
    let email =
        sqlx::query_scalar!("select email from waitlist where id = $1 and invite_id is null for update", id.uuid())
            .fetch_optional(tx.conn())
            .await?;
    email.map(|email| Email::parse(&email).map_err(|error| StoreError::corrupt("waitlist", "email", error))).transpose()
}

/// Writes down that somebody was invited.
pub async fn invited(tx: &mut SystemTx, id: WaitingId, invite: InviteId) -> Result<(), StoreError> {
    sqlx::query!(
        "update waitlist set invite_id = $2, invited_at = berth.now() where id = $1 and invite_id is null",
        id.uuid(),
        invite.uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The list: those who wait by their place, those who were invited with the last one first.
pub async fn list(
    tx: &mut SystemTx,
    waiting: bool,
    after: Option<WaitingId>,
    limit: i64,
) -> Result<Vec<Waiting>, StoreError> {
    let rows = sqlx::query!(
        r#"select id, email, asked_at, invited_at, position as "position!", from_source as "from_source!"
           from (select w.*,
                        row_number() over (order by asked_at, id) as position,
                        case when source_hash is null then 0
                             else count(*) over (partition by source_hash) end as from_source
                 from waitlist w
                 where (invite_id is null) = $1) as listed
           where $2::uuid is null
              or case when $1 then (asked_at, id) > (select asked_at, id from waitlist where id = $2)
                      else (asked_at, id) < (select asked_at, id from waitlist where id = $2) end
           order by case when $1 then position else -position end
           limit $3"#,
        waiting,
        after.map(WaitingId::uuid),
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    let count = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
    let read = |row: String| Email::parse(&row).map_err(|error| StoreError::corrupt("waitlist", "email", error));
    rows.into_iter()
        .map(|row| {
            Ok(Waiting {
                id: WaitingId::from_uuid(row.id),
                position: waiting.then(|| count(row.position)),
                email: read(row.email)?,
                asked_at: row.asked_at,
                from_source: count(row.from_source),
                invited_at: row.invited_at,
            })
        })
        .collect()
}
