//! Invites: counted in the row itself, so that a code is never used more often than it may be.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{InviteId, UserId, plan::PlanName};
use uuid::Uuid;

use crate::{db::SystemTx, error::StoreError};

/// An invite that is made.
#[derive(Debug)]
pub struct NewInvite<'a> {
    /// Its id.
    pub id: InviteId,
    /// Those that are made together have the same.
    pub batch: Uuid,
    /// Of its code.
    pub code: [u8; 32],
    /// What the operator says of it.
    pub note: &'a str,
    /// Which operator.
    pub by: UserId,
    /// How many may sign up with it.
    pub uses_max: u32,
    /// How long it is good.
    pub valid: Duration,
    /// What who comes by it is given.
    pub gift: Option<&'a Gift>,
}

/// A plan without paying, from the day of signing up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gift {
    /// As on this plan.
    pub plan: PlanName,
    /// For so many days, at most ten years; for good without.
    pub days: Option<u16>,
}

/// An invite as operators see it. Its code is nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// Which.
    pub id: InviteId,
    /// Made together with.
    pub batch: Uuid,
    /// What the operator said of it.
    pub note: String,
    /// Address of the operator who made it.
    pub made_by: String,
    /// How many may sign up with it.
    pub uses_max: u32,
    /// How many did.
    pub uses: u32,
    /// Who did: addresses, at most ten, the last first.
    pub users: Vec<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Until when it is good.
    pub expires_at: DateTime<Utc>,
    /// When an operator took it back.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Whether somebody can still sign up with it.
    pub is_open: bool,
    /// What who comes by it is given.
    pub gift: Option<Gift>,
}

/// Keeps an invite.
pub async fn insert(tx: &mut SystemTx, new: &NewInvite<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into invites (id, batch_id, code_hash, note, made_by, uses_max, expires_at, gift_plan, gift_days)
         values ($1, $2, $3, $4, $5, $6, berth.now() + make_interval(secs => $7), $8, $9)",
        new.id.uuid(),
        new.batch,
        &new.code[..],
        new.note,
        new.by.uuid(),
        i32::try_from(new.uses_max).unwrap_or(i32::MAX),
        new.valid.as_secs_f64(),
        new.gift.map(|gift| gift.plan.as_str()),
        new.gift.and_then(|gift| gift.days).map(i32::from),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The invite with one of these hashes, if somebody could sign up with it now.
pub async fn open_by_code(tx: &mut SystemTx, codes: &[[u8; 32]]) -> Result<Option<InviteId>, StoreError> {
    let codes: Vec<Vec<u8>> = codes.iter().map(|code| code.to_vec()).collect();
    let id = sqlx::query_scalar!(
        "select id from invites
         where code_hash = any($1) and uses < uses_max and revoked_at is null and expires_at > berth.now()",
        &codes,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(id.map(InviteId::from_uuid))
}

/// Whether somebody could sign up with it now.
pub async fn is_open(tx: &mut SystemTx, id: InviteId) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select exists (
               select from invites
               where id = $1 and uses < uses_max and revoked_at is null and expires_at > berth.now()) as "open!""#,
        id.uuid(),
    )
    .fetch_one(tx.conn())
    .await?)
}

/// An invite that let somebody in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// What they are given.
    pub gift: Option<Gift>,
}

/// Counts one use, in the transaction that makes the user. `None`: it is used up, too old or taken back.
pub async fn use_once(tx: &mut SystemTx, id: InviteId) -> Result<Option<Used>, StoreError> {
    let used = sqlx::query!(
        "update invites set uses = uses + 1
         where id = $1 and uses < uses_max and revoked_at is null and expires_at > berth.now()
         returning gift_plan, gift_days",
        id.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    used.map(|row| Ok(Used { gift: gift(row.gift_plan, row.gift_days)? })).transpose()
}

/// Writes down who came by it.
pub async fn used_by(tx: &mut SystemTx, id: InviteId, user: UserId) -> Result<(), StoreError> {
    sqlx::query!("insert into invite_uses (user_id, invite_id) values ($1, $2)", user.uuid(), id.uuid())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Takes it back. Nobody who came by it is affected. `false`: there is no such invite.
pub async fn revoke(tx: &mut SystemTx, id: InviteId) -> Result<bool, StoreError> {
    let revoked =
        sqlx::query!("update invites set revoked_at = coalesce(revoked_at, berth.now()) where id = $1", id.uuid())
            .execute(tx.conn())
            .await?;
    Ok(revoked.rows_affected() == 1)
}

/// Which invites, newest first.
#[derive(Debug, Clone, Copy, Default)]
pub struct InviteFilter {
    /// Those that are older than this one.
    pub after: Option<InviteId>,
    /// This one only.
    pub only: Option<InviteId>,
    /// Those that somebody can still use, or the others.
    pub open: Option<bool>,
}

/// Invites, newest first. One statement.
pub async fn list(tx: &mut SystemTx, filter: InviteFilter, limit: i64) -> Result<Vec<Invite>, StoreError> {
    let rows = sqlx::query!(
        r#"select i.id, i.batch_id, i.note, coalesce(u.email, 'a former operator') as "made_by!", i.uses_max, i.uses, i.created_at, i.expires_at,
                  i.revoked_at, i.gift_plan, i.gift_days,
                  (i.uses < i.uses_max and i.revoked_at is null and i.expires_at > berth.now()) as "is_open!",
                  array(select w.email from invite_uses s join users w on w.id = s.user_id
                        where s.invite_id = i.id order by s.used_at desc limit 10) as "users!: Vec<String>"
           from invites i
           left join users u on u.id = i.made_by
           where ($1::uuid is null or i.id < $1)
             and ($2::uuid is null or i.id = $2)
             and ($3::boolean is null
                  or $3 = (i.uses < i.uses_max and i.revoked_at is null and i.expires_at > berth.now()))
           order by i.id desc
           limit $4"#,
        filter.after.map(InviteId::uuid),
        filter.only.map(InviteId::uuid),
        filter.open,
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    let count = |number: i32| u32::try_from(number).unwrap_or_default();
    let invites = rows.into_iter().map(|row| {
        Ok(Invite {
            id: InviteId::from_uuid(row.id),
            batch: row.batch_id,
            note: row.note,
            made_by: row.made_by,
            uses_max: count(row.uses_max),
            uses: count(row.uses),
            users: row.users,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            is_open: row.is_open,
            gift: gift(row.gift_plan, row.gift_days)?,
        })
    });
    invites.collect()
}

fn gift(plan: Option<String>, days: Option<i32>) -> Result<Option<Gift>, StoreError> {
    let Some(plan) = plan else { return Ok(None) };
    let plan = PlanName::parse(&plan).map_err(|error| StoreError::corrupt("invites", "gift_plan", error))?;
    Ok(Some(Gift { plan, days: days.and_then(|days| u16::try_from(days).ok()) }))
}
