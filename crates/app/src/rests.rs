//! Stopping, starting and removing a tenant's agents without anybody of it having asked.
//!
//! Whoever calls writes the one audit event after it: flow, agent, audit is the order in which everybody locks them.

use domain::{
    AgentId,
    agent::{Agent, Wanted},
    timeline::Happening,
};
use store::{StoreError, TenantTx};

use crate::agents::{LIFE, signal};

/// Agents of a tenant that are looked at in one go; no plan holds more.
const AGENTS_MAX: i64 = domain::plan::AGENTS_MAX as i64;

/// The tenant's agents that are wanted running, the oldest first.
///
/// # Errors
/// The database.
pub(crate) async fn running(tx: &mut TenantTx) -> Result<Vec<AgentId>, StoreError> {
    let all = store::agents::list(tx, None, AGENTS_MAX).await?;
    Ok(all.into_iter().filter(|agent| agent.wanted == Wanted::Running).map(|agent| agent.id).collect())
}

/// Lets these agents rest; `by` is who says so, in words for the timeline. One that somebody stopped or removed meanwhile is
/// passed over.
///
/// # Errors
/// The database.
pub(crate) async fn rest(tx: &mut TenantTx, agents: &[AgentId], by: &str) -> Result<(), StoreError> {
    for agent in agents {
        store::order::flow_first(tx, LIFE, agent.uuid()).await?;
        let is_running = |agent: &Agent| agent.wanted == Wanted::Running;
        if !store::agents::by_id(tx, *agent).await?.as_ref().is_some_and(is_running) {
            continue;
        }
        say_wanted(tx, *agent, Wanted::Stopped, ("stop", by)).await?;
        store::flows::signal(tx, LIFE, agent.uuid(), signal::WANTED).await?;
    }
    Ok(())
}

/// Starts those of these agents that rest, at most so many, and says which; one that is gone or going is passed over.
///
/// # Errors
/// The database.
pub(crate) async fn wake(
    tx: &mut TenantTx,
    agents: &[AgentId],
    most: usize,
    by: &str,
) -> Result<Vec<AgentId>, StoreError> {
    let mut woken = Vec::new();
    for id in agents {
        if woken.len() == most {
            break;
        }
        store::order::flow_first(tx, LIFE, id.uuid()).await?;
        let Some(agent) = store::agents::by_id(tx, *id).await? else { continue };
        if agent.wanted == Wanted::Stopped {
            say_wanted(tx, *id, Wanted::Running, ("start", by)).await?;
            store::flows::signal(tx, LIFE, id.uuid(), signal::WANTED).await?;
            woken.push(*id);
        }
    }
    Ok(woken)
}

/// Wakes the agents whose machines are of another size than the plan: each gives its own the right one, once it runs.
///
/// # Errors
/// The database.
pub(crate) async fn fit(tx: &mut TenantTx) -> Result<(), StoreError> {
    for agent in store::machines::misfits(tx).await? {
        store::flows::signal(tx, LIFE, agent.uuid(), signal::FIT).await?;
    }
    Ok(())
}

/// Has all of the tenant's agents removed, each by its own flow, and says which were not going yet.
///
/// # Errors
/// The database.
pub(crate) async fn remove_all(tx: &mut TenantTx, by: &str) -> Result<Vec<AgentId>, StoreError> {
    let all = store::agents::list(tx, None, AGENTS_MAX).await?;
    let is_there = |agent: &Agent| agent.wanted != Wanted::Gone;
    let there: Vec<AgentId> = all.into_iter().filter(is_there).map(|agent| agent.id).collect();
    for agent in &there {
        store::order::flow_first(tx, LIFE, agent.uuid()).await?;
        say_wanted(tx, *agent, Wanted::Gone, ("delete", by)).await?;
        store::flows::ask_removal(tx, LIFE, agent.uuid()).await?;
    }
    Ok(there)
}

async fn say_wanted(
    tx: &mut TenantTx,
    agent: AgentId,
    wanted: Wanted,
    (what, by): (&str, &str),
) -> Result<(), StoreError> {
    store::agents::set_wanted(tx, agent, wanted).await?;
    let asked = Happening::Asked { what: what.to_owned(), by: by.to_owned() };
    store::timeline::append(tx, agent, &[asked, Happening::Wanted { wanted }]).await
}
