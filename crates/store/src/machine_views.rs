//! Machines as an operator reads them, each with where its agent's flow is; and counts of everything. One statement each.

use chrono::{DateTime, Utc};
use domain::{AgentId, FlowId, MachineId, TenantId};

use crate::{db::SystemTx, error::StoreError, flow_views::STUCK_TRIES, house::id};

/// A machine, without its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineView {
    /// Which.
    pub id: MachineId,
    /// Whose it is; a spare has nobody.
    pub tenant: Option<TenantId>,
    /// Which agent lives on it.
    pub agent: Option<AgentId>,
    /// `incus`.
    pub provider: String,
    /// `virtual_machine`, `container`.
    pub isolation: String,
    /// What it was made from.
    pub image: String,
    /// `reserved`, `made`, `gone`.
    pub state: String,
    /// Where it is reached.
    pub address: Option<String>,
    /// How many configurations were sent to it.
    pub fence: i64,
    /// OpenClaw's version, as the machine said.
    pub openclaw: Option<String>,
    /// The guest's version, as the machine said.
    pub guest: Option<String>,
    /// When its row was made.
    pub created_at: DateTime<Utc>,
    /// When it was seen to be gone.
    pub gone_at: Option<DateTime<Utc>>,
    /// The flow of its agent.
    pub flow: Option<FlowId>,
    /// Where that flow is.
    pub step: Option<String>,
}

/// Which machines. What is `None` does not matter.
#[derive(Debug, Clone, Copy, Default)]
pub struct MachineFilter<'a> {
    /// In this state.
    pub state: Option<&'a str>,
    /// Gone, or not.
    pub gone: Option<bool>,
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// Of this agent.
    pub agent: Option<AgentId>,
    /// Only this one.
    pub only: Option<MachineId>,
    /// Those older than this one.
    pub after: Option<MachineId>,
}

/// A page of machines, newest first.
pub async fn list(tx: &mut SystemTx, filter: MachineFilter<'_>, limit: i64) -> Result<Vec<MachineView>, StoreError> {
    let rows = sqlx::query!(
        r#"select m.id, m.tenant_id, m.agent_id, m.provider, m.isolation, m.image, m.state, m.address, m.fence,
                  m.guest ->> 'openclaw' as openclaw, m.guest ->> 'guest' as guest, m.created_at, m.gone_at,
                  f.id as "flow?", f.step ->> 'step' as "step?"
           from machines m
           left join flows f on f.kind = 'life' and f.subject = m.agent_id and m.gone_at is null
           where ($1::text is null or m.state = $1)
             and ($2::boolean is null or (m.gone_at is not null) = $2)
             and ($3::uuid is null or m.tenant_id = $3)
             and ($4::uuid is null or m.agent_id = $4)
             and ($5::uuid is null or m.id = $5)
             and ($6::uuid is null or m.id < $6)
           order by m.id desc
           limit $7"#,
        filter.state,
        filter.gone,
        filter.tenant.map(TenantId::uuid),
        filter.agent.map(AgentId::uuid),
        filter.only.map(MachineId::uuid),
        filter.after.map(MachineId::uuid),
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    let machines = rows.into_iter().map(|row| MachineView {
        id: MachineId::from_uuid(row.id),
        tenant: id(row.tenant_id),
        agent: id(row.agent_id),
        provider: row.provider,
        isolation: row.isolation,
        image: row.image,
        state: row.state,
        address: row.address,
        fence: row.fence,
        openclaw: row.openclaw,
        guest: row.guest,
        created_at: row.created_at,
        gone_at: row.gone_at,
        flow: id(row.flow),
        step: row.step,
    });
    Ok(machines.collect())
}

/// How much there is of everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Tenants.
    pub tenants: i64,
    /// People who can sign in.
    pub users: i64,
    /// Machines whose row was made and that were not made at the provider yet.
    pub machines_reserved: i64,
    /// Machines that were made and are not gone.
    pub machines_made: i64,
    /// Open alerts that need a person now.
    pub alerts_critical: i64,
    /// Open alerts that need a person on the next working day.
    pub alerts_warning: i64,
    /// Open alerts that nobody has acknowledged.
    pub alerts_unacknowledged: i64,
    /// Deliveries of alerts that were tried and did not get through yet.
    pub deliveries_failing: i64,
    /// Flows that do not get on by themselves.
    pub flows_stuck: i64,
    /// Flows by kind and step, by name.
    pub flows: Vec<FlowCount>,
}

/// How many flows of a kind are at a step.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct FlowCount {
    /// The kind.
    pub kind: String,
    /// The step.
    pub step: String,
    /// How many.
    pub count: i64,
}

/// Counts everything, at one moment.
pub async fn stats(tx: &mut SystemTx) -> Result<Stats, StoreError> {
    let row = sqlx::query!(
        r#"select (select count(*) from tenants) as "tenants!",
                  (select count(*) from users) as "users!",
                  m.reserved as "reserved!", m.made as "made!",
                  a.critical as "critical!", a.warning as "warning!", a.unacknowledged as "unacknowledged!",
                  (select count(*) from alert_deliveries where state = 'pending' and tries > 0) as "failing!",
                  (select count(*) from flows
                   where step ->> 'step' = 'failed' or deadline_at < berth.now() or attempt >= $1) as "stuck!",
                  coalesce((select jsonb_agg(jsonb_build_object('kind', kind, 'step', step, 'count', count)
                                             order by kind, step)
                            from (select kind, coalesce(step ->> 'step', '') as step, count(*)
                                  from flows group by 1, 2) by_step), '[]') as "flows!"
           from (select count(*) filter (where state = 'reserved') as reserved,
                        count(*) filter (where state = 'made') as made
                 from machines where gone_at is null) m,
                (select count(*) filter (where severity = 'critical') as critical,
                        count(*) filter (where severity = 'warning') as warning,
                        count(*) filter (where acknowledged_at is null) as unacknowledged
                 from alerts where closed_at is null) a"#,
        STUCK_TRIES,
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(Stats {
        tenants: row.tenants,
        users: row.users,
        machines_reserved: row.reserved,
        machines_made: row.made,
        alerts_critical: row.critical,
        alerts_warning: row.warning,
        alerts_unacknowledged: row.unacknowledged,
        deliveries_failing: row.failing,
        flows_stuck: row.stuck,
        flows: crate::error::read("flows", "counts", row.flows)?,
    })
}
