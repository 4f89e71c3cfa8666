//! Letters: single mails of the house to a person. What is in them is made when they are sent.
//!
//! A letter with a cause is about a tenant. It is written in the transaction of its cause, once for it.

use domain::{
    FlowId, InviteId, LetterId, TenantId, UserId,
    letter::{LetterKind, LetterStep, Told},
    names::Email,
    own_path::OwnPath,
};

use crate::{
    db::SystemTx,
    error::{StoreError, json, read},
    flows::{self, NewFlow},
};

/// Kind of the flow that sends a letter; its subject is the letter.
pub const LETTER: &str = "letter";

/// A letter to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Which; the mail's identity too.
    pub id: LetterId,
    /// What it says.
    pub kind: LetterKind,
    /// To whom.
    pub to: Email,
    /// Of an invite: which one. Of a link: the one that its reader holds.
    pub invite: Option<InviteId>,
    /// Where its reader was going.
    pub next: OwnPath,
    /// Of a letter with a cause: whose tenant it is about, and what it tells.
    pub told: Option<(TenantId, Told)>,
}

/// A letter with a cause.
#[derive(Debug, Clone, Copy)]
pub struct Caused<'a> {
    /// Which; the mail's identity too.
    pub id: LetterId,
    /// The flow that sends it.
    pub flow: FlowId,
    /// Whose tenant it is about.
    pub tenant: TenantId,
    /// To whom.
    pub to: &'a Email,
    /// Why, within the tenant: the same is written once.
    pub cause: &'a str,
    /// What it tells.
    pub told: &'a Told,
}

/// Keeps a letter and starts the flow that sends it.
pub async fn write(tx: &mut SystemTx, letter: &Letter, flow: FlowId) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into letters (id, kind, to_address, invite_id, return_path) values ($1, $2, $3, $4, $5)",
        letter.id.uuid(),
        letter.kind.name(),
        letter.to.as_str(),
        letter.invite.map(InviteId::uuid),
        letter.next.as_str(),
    )
    .execute(tx.conn())
    .await?;
    start(tx, letter.id, flow).await
}

/// Keeps a letter in the transaction of its cause and starts the flow that sends it. `false`: it was written before, by
/// whoever saw the same cause first.
pub async fn write_for_cause(tx: &mut SystemTx, letter: &Caused<'_>) -> Result<bool, StoreError> {
    let written = sqlx::query!(
        "insert into letters (id, kind, to_address, tenant_id, cause, facts) values ($1, $2, $3, $4, $5, $6)
         on conflict (tenant_id, cause) do nothing",
        letter.id.uuid(),
        letter.told.kind().name(),
        letter.to.as_str(),
        letter.tenant.uuid(),
        letter.cause,
        json(letter.told)?,
    )
    .execute(tx.conn())
    .await?;
    if written.rows_affected() == 0 {
        return Ok(false);
    }
    start(tx, letter.id, letter.flow).await?;
    Ok(true)
}

/// Who hears of what is about a tenant: its owners, each at an address that was shown to be theirs.
pub async fn readers(tx: &mut SystemTx, tenant: TenantId) -> Result<Vec<(UserId, Email)>, StoreError> {
    let rows = sqlx::query!(
        "select u.id, u.email
         from members m
         join users u on u.id = m.user_id
         where m.tenant_id = $1 and m.role = 'owner' and u.email_verified_at is not null and u.suspended_at is null
         order by m.created_at, m.id",
        tenant.uuid(),
    )
    .fetch_all(tx.conn())
    .await?;
    let email = |text: &str| Email::parse(text).map_err(|error| StoreError::corrupt("users", "email", error));
    rows.into_iter().map(|row| Ok((UserId::from_uuid(row.id), email(&row.email)?))).collect()
}

/// A letter that was not sent yet.
pub async fn unsent(tx: &mut SystemTx, id: LetterId) -> Result<Option<Letter>, StoreError> {
    let row = sqlx::query!(
        "select kind, to_address, invite_id, return_path, tenant_id, facts from letters where id = $1 and ended_at is null",
        id.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let kind = LetterKind::parse(&row.kind);
    let told = row.facts.map(|facts| read::<Told>("letters", "facts", facts)).transpose()?;
    Ok(Some(Letter {
        id,
        kind: kind.ok_or_else(|| StoreError::corrupt("letters", "kind", "no such kind"))?,
        to: Email::parse(&row.to_address).map_err(|error| StoreError::corrupt("letters", "to_address", error))?,
        invite: row.invite_id.map(InviteId::from_uuid),
        next: OwnPath::of(&row.return_path),
        told: row.tenant_id.map(TenantId::from_uuid).zip(told),
    }))
}

/// Writes down what came of it, in words without secrets.
pub async fn ended(tx: &mut SystemTx, id: LetterId, outcome: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "update letters set ended_at = berth.now(), outcome = $2 where id = $1 and ended_at is null",
        id.uuid(),
        outcome,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

async fn start(tx: &mut SystemTx, letter: LetterId, flow: FlowId) -> Result<(), StoreError> {
    let step = LetterStep::Send;
    let new =
        NewFlow { id: flow, kind: LETTER, subject: letter.uuid(), step: json(&step)?, deadline: Some(step.deadline()) };
    flows::start_house(tx, &new).await
}
