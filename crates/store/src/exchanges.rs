//! Words on their way between a person and an agent: sealed, and gone after ten minutes.

use domain::{
    AgentId, ExchangeId,
    exchange::{Exchange, ExchangeKind, ExchangeState},
};
use serde_json::Value;
use vault::Sealed;

use crate::{
    db::TenantTx,
    error::{StoreError, json, read},
    house::sealed,
};

/// An exchange with its sealed halves.
#[derive(Debug)]
pub struct ExchangeRow {
    /// Without its words.
    pub exchange: Exchange,
    /// What was asked; a log tail asks nothing.
    pub question: Option<Sealed>,
    /// What was answered, once it was.
    pub answer: Option<Sealed>,
}

/// Adds an exchange on its way.
pub async fn insert(
    tx: &mut TenantTx,
    id: ExchangeId,
    agent: AgentId,
    kind: ExchangeKind,
    question: Option<&Sealed>,
) -> Result<(), StoreError> {
    let tenant = tx.tenant();
    sqlx::query!(
        "insert into exchanges (tenant_id, id, agent_id, kind, state, question) values ($1, $2, $3, $4, $5, $6)",
        tenant.uuid(),
        id.uuid(),
        agent.uuid(),
        kind.name(),
        json(&ExchangeState::Asked)?,
        question.map(Sealed::to_bytes),
    )
    .execute(tx.conn())
    .await?;
    tx.touch(agent);
    Ok(())
}

/// One exchange of this tenant.
pub async fn by_id(tx: &mut TenantTx, id: ExchangeId) -> Result<Option<ExchangeRow>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "select id, agent_id, kind, state, question, answer, asked_at
         from exchanges
         where id = $1 and asked_at > berth.now() - interval '10 minutes'",
        id.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(exchange).transpose()
}

/// The last turns of an agent that are still kept, oldest first.
pub async fn turns(tx: &mut TenantTx, agent: AgentId, limit: i64) -> Result<Vec<ExchangeRow>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "select id, agent_id, kind, state, question, answer, asked_at
         from exchanges
         where agent_id = $1 and kind = 'turn' and asked_at > berth.now() - interval '10 minutes'
         order by asked_at desc
         limit $2",
        agent.uuid(),
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().rev().map(exchange).collect()
}

/// Writes how an exchange ended. Gone is not an error: it was forgotten meanwhile.
pub async fn end(
    tx: &mut TenantTx,
    id: ExchangeId,
    agent: AgentId,
    state: &ExchangeState,
    answer: Option<&Sealed>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update exchanges set state = $2, answer = $3 where id = $1",
        id.uuid(),
        json(state)?,
        answer.map(Sealed::to_bytes),
    )
    .execute(tx.conn())
    .await?;
    tx.touch(agent);
    Ok(())
}

/// Forgets an exchange, words and all. Already gone is success.
pub async fn delete(tx: &mut TenantTx, id: ExchangeId) -> Result<(), StoreError> {
    sqlx::query!("delete from exchanges where id = $1", id.uuid()).execute(tx.conn()).await?;
    Ok(())
}

struct Row {
    id: uuid::Uuid,
    agent_id: uuid::Uuid,
    kind: String,
    state: Value,
    question: Option<Vec<u8>>,
    answer: Option<Vec<u8>>,
    asked_at: chrono::DateTime<chrono::Utc>,
}

fn exchange(row: Row) -> Result<ExchangeRow, StoreError> {
    let open = |column, bytes: Option<Vec<u8>>| bytes.map(|bytes| sealed("exchanges", column, &bytes)).transpose();
    Ok(ExchangeRow {
        exchange: Exchange {
            id: ExchangeId::from_uuid(row.id),
            agent: AgentId::from_uuid(row.agent_id),
            kind: read("exchanges", "kind", Value::String(row.kind))?,
            state: read("exchanges", "state", row.state)?,
            asked_at: row.asked_at,
        },
        question: open("question", row.question)?,
        answer: open("answer", row.answer)?,
    })
}
