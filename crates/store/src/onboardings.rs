//! How far somebody is with setting up their first agent.

use domain::{
    AgentId, UserId,
    instructions::{Choices, Instructions},
    names::AgentName,
    onboarding::{Draft, Ended, Step},
};
use uuid::Uuid;

use crate::{db::TenantTx, error::StoreError};

struct Row {
    agent_id: Uuid,
    step: String,
    name: Option<String>,
    model: Option<String>,
    instructions: Option<String>,
    ended: Option<String>,
}

/// What this person said so far in this tenant.
pub async fn of(tx: &mut TenantTx, user: UserId) -> Result<Option<Draft>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "select agent_id, step, name, model, instructions, ended from onboardings where user_id = $1",
        user.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(draft).transpose()
}

/// The same, and nobody else changes it until this transaction ends.
pub async fn lock(tx: &mut TenantTx, user: UserId) -> Result<Option<Draft>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "select agent_id, step, name, model, instructions, ended from onboardings where user_id = $1 for update",
        user.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(draft).transpose()
}

/// Keeps what was said. The agent's id of a draft that goes on stays as it was chosen first.
pub async fn save(tx: &mut TenantTx, user: UserId, draft: &Draft) -> Result<(), StoreError> {
    let tenant = tx.tenant();
    let ended = draft.ended.map(|ended| match ended {
        Ended::Finished(_) => "finished",
        Ended::Skipped => "skipped",
    });
    sqlx::query!(
        "insert into onboardings (tenant_id, user_id, agent_id, step, name, model, instructions, ended)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict (tenant_id, user_id) do update
         set agent_id = excluded.agent_id, step = excluded.step, name = excluded.name, model = excluded.model,
             instructions = excluded.instructions, ended = excluded.ended, changed_at = berth.now()",
        tenant.uuid(),
        user.uuid(),
        draft.agent.uuid(),
        draft.step.name(),
        draft.name.as_ref().map(AgentName::as_str),
        draft.choices.model,
        draft.choices.instructions.as_ref().map(Instructions::as_str),
        ended,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

fn draft(row: Row) -> Result<Draft, StoreError> {
    let corrupt = |column, error: &str| StoreError::corrupt("onboardings", column, error.to_owned());
    let agent = AgentId::from_uuid(row.agent_id);
    let name = row.name.map(|name| AgentName::parse(&name).map_err(|error| corrupt("name", &error.to_string())));
    Ok(Draft {
        agent,
        step: Step::parse(&row.step).ok_or_else(|| corrupt("step", "no such step"))?,
        name: name.transpose()?,
        choices: choices("onboardings", row.model, row.instructions)?,
        ended: match row.ended.as_deref() {
            None => None,
            Some("finished") => Some(Ended::Finished(agent)),
            Some("skipped") => Some(Ended::Skipped),
            Some(_) => return Err(corrupt("ended", "no such end")),
        },
    })
}

/// Choices as they stand in two columns of a table.
pub(crate) fn choices(
    table: &'static str,
    model: Option<String>,
    instructions: Option<String>,
) -> Result<Choices, StoreError> {
    let text = instructions.unwrap_or_default();
    let instructions = Instructions::parse(&text).map_err(|error| StoreError::corrupt(table, "instructions", error))?;
    Ok(Choices { model, instructions })
}
