//! Letters: single mails of the house to a person. What is in them is made when they are sent.

use domain::{
    FlowId, InviteId, LetterId,
    letter::{LetterKind, LetterStep},
    names::Email,
    own_path::OwnPath,
};

use crate::{
    db::SystemTx,
    error::StoreError,
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
    let step = LetterStep::Send;
    let new = NewFlow {
        id: flow,
        kind: LETTER,
        subject: letter.id.uuid(),
        step: crate::error::json(&step)?,
        deadline: Some(step.deadline()),
    };
    flows::start_house(tx, &new).await
}

/// A letter that was not sent yet.
pub async fn unsent(tx: &mut SystemTx, id: LetterId) -> Result<Option<Letter>, StoreError> {
    let row = sqlx::query!(
        "select kind, to_address, invite_id, return_path from letters where id = $1 and ended_at is null",
        id.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let kind = LetterKind::parse(&row.kind);
    Ok(Some(Letter {
        id,
        kind: kind.ok_or_else(|| StoreError::corrupt("letters", "kind", "no such kind"))?,
        to: Email::parse(&row.to_address).map_err(|error| StoreError::corrupt("letters", "to_address", error))?,
        invite: row.invite_id.map(InviteId::from_uuid),
        next: OwnPath::of(&row.return_path),
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
