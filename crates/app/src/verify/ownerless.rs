//! Lives and machines of agents that do not exist.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    AgentId, TenantId,
    invariants::{Check, Invariant, Violation, judge::FlowView},
};
use store::{Snapshot, StoreError, invariants as rows};
use uuid::Uuid;

use super::{BATCH, Looking, Owned};
use crate::agents::LIFE;

impl Looking<'_> {
    /// Where the numbers agree there is none, and nobody is looked for.
    pub(super) async fn ownerless(&mut self, at: &mut Snapshot, owned: &Owned) -> Result<(), StoreError> {
        let (lives, machines) = rows::owned(&mut at.house).await?;
        self.report.looked(Invariant::Owners, usize::try_from(machines).unwrap_or(usize::MAX));
        if lives != owned.lives {
            self.lives_without_agent(at).await?;
        }
        if machines != owned.machines {
            self.machines_without_agent(at).await?;
        }
        Ok(())
    }

    async fn lives_without_agent(&mut self, at: &mut Snapshot) -> Result<(), StoreError> {
        let mut after = Uuid::nil();
        loop {
            let batch = rows::flows(&mut at.house, after, BATCH).await?;
            let Some(last) = batch.last() else { return Ok(()) };
            after = last.id.uuid();
            let lives: Vec<&FlowView> = batch.iter().filter(|flow| flow.kind == LIFE).collect();
            let owners = lives.iter().map(|flow| (flow.tenant, AgentId::from_uuid(flow.subject)));
            let absent = self.absent(at, owners).await?;
            for flow in lives {
                let agent = AgentId::from_uuid(flow.subject);
                if absent.contains(&(flow.tenant, agent)) {
                    let what = format!("{} lives the life of {agent}, which its tenant does not have", flow.id);
                    self.report.found([Violation::new(Check::FlowWithoutAgent, &[&flow.id, &agent], what)]);
                }
            }
        }
    }

    async fn machines_without_agent(&mut self, at: &mut Snapshot) -> Result<(), StoreError> {
        let mut after = Uuid::nil();
        loop {
            let batch = rows::machines(&mut at.house, after, BATCH).await?;
            let Some(last) = batch.last() else { return Ok(()) };
            after = last.id.uuid();
            let given = |row: &rows::MachineRow| Some((row.tenant, row.agent?));
            let absent = self.absent(at, batch.iter().filter_map(given)).await?;
            for row in &batch {
                if let Some((tenant, agent)) = given(row)
                    && absent.contains(&(tenant, agent))
                {
                    let what = format!("{} is given to {agent}, which its tenant does not have", row.id);
                    self.report.found([Violation::new(Check::ForeignOwner, &[&row.id, &agent], what)]);
                }
            }
        }
    }

    /// Of these agents, the ones that the tenant named beside them does not have.
    async fn absent(
        &self,
        at: &Snapshot,
        owners: impl Iterator<Item = (Option<TenantId>, AgentId)>,
    ) -> Result<BTreeSet<(Option<TenantId>, AgentId)>, StoreError> {
        let mut of: BTreeMap<Option<TenantId>, Vec<Uuid>> = BTreeMap::new();
        for (tenant, agent) in owners {
            of.entry(tenant).or_default().push(agent.uuid());
        }
        let mut absent = BTreeSet::new();
        for (tenant, agents) in of {
            let there = match tenant {
                Some(tenant) => rows::existing(&mut self.db.tenant_at(at, tenant).await?, &agents).await?,
                None => Vec::new(),
            };
            let gone = agents.into_iter().filter(|agent| !there.contains(agent));
            absent.extend(gone.map(|agent| (tenant, AgentId::from_uuid(agent))));
        }
        Ok(absent)
    }
}
