//! Looking whether everything that must hold does hold. Reads only.
//!
//! [`look`] reads the whole database at one instant, in batches, and judges it
//! by `domain::invariants`. What the provider holds comes in as a listing: one
//! from before, and where that one disagrees a second from after, see [`Look`].

mod money;
mod ownerless;
mod trail;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    AgentId, MachineId, TenantId,
    agent::{Agent, Wanted},
    invariants::{
        Check, Invariant, Report, Violation,
        judge::{self, AgentView, FlowView, Listing, MachineView},
    },
    machine::MachineName,
};
use store::{Db, Snapshot, StoreError, invariants as rows};
use uuid::Uuid;
use vault::{DataKey, Keyring, OpenError, Owner, Place, Sealed};

use self::money::Accounts;
use crate::{
    agents::LIFE,
    credentials,
    exchanges::{EXCHANGE, Half, open_half, place},
};

/// How long a flow may be late before it is reported: the longest step, the longest pause between tries, and a little.
pub const GRACE: TimeDelta = TimeDelta::minutes(3);

/// Rows of one batch.
const BATCH: i64 = 500;

/// Every column that holds sealed values, with its table. A test compares it with the schema.
pub const SEALED: [(&str, &str); 13] = [
    ("credentials", "sealed"),
    ("data_keys", "wrapped"),
    ("exchanges", "answer"),
    ("exchanges", "question"),
    ("machines", "gateway_token_next_sealed"),
    ("machines", "gateway_token_sealed"),
    ("machines", "host_key_sealed"),
    ("machines", "machine_key_next_sealed"),
    ("machines", "machine_key_sealed"),
    ("machines", "machine_token_sealed"),
    ("machines", "model_key_sealed"),
    ("operator_factors", "secret_sealed"),
    ("ssh_authorities", "key_sealed"),
];

/// A look at the database that may still be in doubt about the provider's machines.
#[derive(Debug)]
pub struct Look {
    report: Report,
    doubts: Listing,
}

/// What the provider holds of this installation: all of it, or why nobody knows.
pub type Listed = Result<BTreeSet<MachineName>, String>;

/// Looks at everything. `listed` was taken before this was called; `grace` is how late a flow may be.
///
/// # Errors
/// The database: then nothing can be said.
pub async fn look(db: &Db, ring: &Keyring, listed: Listed, grace: TimeDelta) -> Result<Look, StoreError> {
    let mut at = db.snapshot().await?;
    let now = store::house::now(&mut at.house).await?;
    let mut look = Looking { db, ring, now, grace, report: Report::new(now), listing: None };
    match listed {
        Ok(names) => look.listing = Some(Listing::new(names)),
        Err(why) => look.report.unknown(Invariant::Machines, why),
    }
    look.machines(&mut at).await?;
    look.flows(&mut at).await?;
    let owned = look.tenants(&mut at).await?;
    look.ownerless(&mut at, &owned).await?;
    look.house(&mut at).await?;
    look.inbox(&mut at).await?;
    look.house_chain(&mut at).await?;
    Ok(Look { report: look.report, doubts: look.listing.unwrap_or_default() })
}

impl Look {
    /// Whether the provider has to be asked once more.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.doubts.is_in_doubt()
    }

    /// The report. `listed` was taken after [`look`] returned; without a doubt it is not needed.
    #[must_use]
    pub fn report(mut self, listed: Option<Listed>) -> Report {
        if self.doubts.is_in_doubt() {
            match listed {
                Some(Ok(after)) => self.report.found(self.doubts.settle(&after)),
                Some(Err(why)) => self.report.unknown(Invariant::Machines, why),
                None => self.report.unknown(Invariant::Machines, "the provider was not asked a second time"),
            }
        }
        self.report
    }
}

struct Looking<'a> {
    db: &'a Db,
    ring: &'a Keyring,
    now: DateTime<Utc>,
    grace: TimeDelta,
    report: Report,
    listing: Option<Listing>,
}

/// Lives and machines whose owner was found.
#[derive(Default)]
struct Owned {
    lives: i64,
    machines: i64,
}

impl Looking<'_> {
    /// Every living machine: at the provider, and its keys.
    async fn machines(&mut self, at: &mut Snapshot) -> Result<(), StoreError> {
        let mut after = Uuid::nil();
        loop {
            let batch = rows::machines(&mut at.house, after, BATCH).await?;
            let Some(last) = batch.last() else { return Ok(()) };
            after = last.id.uuid();
            if let Some(listing) = &mut self.listing {
                self.report.looked(Invariant::Machines, batch.len());
                for row in &batch {
                    listing.row(row.id, row.made, row.leaving);
                }
            }
            for row in &batch {
                for (column, stored) in &row.sealed {
                    let place = Place { owner: Owner::House, table: "machines", column, row: row.id.uuid() };
                    self.sealed(&place, &row.id, stored);
                }
            }
        }
    }

    /// Every flow by itself.
    async fn flows(&mut self, at: &mut Snapshot) -> Result<(), StoreError> {
        let mut after = Uuid::nil();
        loop {
            let batch = rows::flows(&mut at.house, after, BATCH).await?;
            let Some(last) = batch.last() else { return Ok(()) };
            after = last.id.uuid();
            self.report.looked(Invariant::Flows, batch.len());
            for flow in &batch {
                self.report.found(judge::flow(flow, self.now, self.grace));
            }
        }
    }

    /// Every tenant's agents, words, payments and acts.
    async fn tenants(&mut self, at: &mut Snapshot) -> Result<Owned, StoreError> {
        let (mut after, mut owned) = (Uuid::nil(), Owned::default());
        loop {
            let batch = rows::tenants(&mut at.house, after, BATCH).await?;
            let Some(last) = batch.last() else { return Ok(owned) };
            after = last.uuid();
            let accounts = match Accounts::of(at, &batch).await {
                Ok(accounts) => accounts,
                // One row that this build cannot read must not hide everything else.
                Err(why @ StoreError::Corrupt { .. }) => {
                    self.report.unknown(Invariant::Entitlements, format!("of up to {BATCH} tenants: {why}"));
                    Accounts::default()
                }
                Err(other) => return Err(other),
            };
            for tenant in batch {
                let running = self.agents(at, tenant, &mut owned).await?;
                self.account(&accounts, tenant, &running);
                self.chain(at, tenant).await?;
                let key = self.data_key(at, tenant).await?;
                self.words(at, tenant, key.as_ref()).await?;
                self.credentials(at, tenant, key.as_ref()).await?;
            }
        }
    }

    /// A tenant's agents. Returns those that are wanted running.
    async fn agents(
        &mut self,
        at: &mut Snapshot,
        tenant: TenantId,
        owned: &mut Owned,
    ) -> Result<Vec<AgentId>, StoreError> {
        let mut tx = self.db.tenant_at(at, tenant).await?;
        let (mut after, mut running) = (None, Vec::new());
        loop {
            let agents = store::agents::list(&mut tx, after, BATCH).await?;
            let Some(last) = agents.last() else { return Ok(running) };
            after = Some(last.id);
            let is_wanted = |agent: &&Agent| agent.wanted == Wanted::Running;
            running.extend(agents.iter().filter(is_wanted).map(|agent| agent.id));
            let ids: Vec<Uuid> = agents.iter().map(|agent| agent.id.uuid()).collect();
            let configured: BTreeMap<_, _> = rows::configured_at(&mut tx, &ids).await?.into_iter().collect();
            let known = Known::of(at, &agents, &ids).await?;
            self.report.looked(Invariant::Owners, agents.len());
            self.report.looked(Invariant::InForce, agents.len());
            for agent in &agents {
                let view = known.view(tenant, agent, configured.get(&agent.id).copied(), self.now);
                owned.lives += i64::from(view.flow.is_some());
                owned.machines += i64::try_from(view.machines.len()).unwrap_or(i64::MAX);
                self.report.found(judge::agent(&view));
            }
        }
    }

    /// A tenant's data key, if it has one and it unwraps.
    async fn data_key(&mut self, at: &mut Snapshot, tenant: TenantId) -> Result<Option<DataKey>, StoreError> {
        let Some(kept) = store::keys::of_tenant(&mut at.house, tenant).await? else { return Ok(None) };
        let key = self.ring.unwrap(kept.owner, kept.id, &kept.wrapped);
        self.judged(&Place::of_data_key(kept.owner, kept.id), &tenant, key.as_ref().err().cloned());
        Ok(key.ok())
    }

    async fn credentials(&mut self, at: &Snapshot, tenant: TenantId, key: Option<&DataKey>) -> Result<(), StoreError> {
        let mut tx = self.db.tenant_at(at, tenant).await?;
        let mut after = Uuid::nil();
        loop {
            let batch = rows::credentials(&mut tx, after, BATCH).await?;
            let Some((last, _)) = batch.last() else { return Ok(()) };
            after = last.uuid();
            for (id, stored) in &batch {
                self.of_tenant(&credentials::place(tenant, *id), id, key, stored);
            }
        }
    }

    async fn words(&mut self, at: &mut Snapshot, tenant: TenantId, key: Option<&DataKey>) -> Result<(), StoreError> {
        let mut tx = self.db.tenant_at(at, tenant).await?;
        let mut after = Uuid::nil();
        loop {
            let batch = rows::words(&mut tx, after, BATCH).await?;
            let Some(last) = batch.last() else { return Ok(()) };
            after = last.id.uuid();
            let ids: Vec<Uuid> = batch.iter().map(|row| row.id.uuid()).collect();
            let flows = rows::flows_of(&mut at.house, EXCHANGE, &ids).await?;
            let driven: BTreeSet<Uuid> = flows.into_iter().map(|flow| flow.subject).collect();
            for row in batch {
                if !driven.contains(&row.id.uuid()) {
                    let what = format!("the words of {} are kept and no flow will forget them", row.id);
                    self.report.found([Violation::new(Check::StrayWords, &[&row.id, &tenant], what)]);
                }
                for (half, stored) in [(Half::Question, row.question), (Half::Answer, row.answer)] {
                    if let Some(stored) = stored {
                        self.of_tenant(&place(tenant, row.id, half), &row.id, key, &stored);
                    }
                }
            }
        }
    }

    /// What there is once: the authority's key, and what must not be there at all.
    async fn house(&mut self, at: &mut Snapshot) -> Result<(), StoreError> {
        for (row, stored) in rows::authorities(&mut at.house).await? {
            let place = Place { owner: Owner::House, table: "ssh_authorities", column: "key_sealed", row };
            self.sealed(&place, &row, &stored);
        }
        for (row, stored) in rows::factors(&mut at.house).await? {
            let place = Place { owner: Owner::House, table: "operator_factors", column: "secret_sealed", row };
            self.sealed(&place, &row, &stored);
        }
        for machine in rows::keys_left(&mut at.house, BATCH).await? {
            let what = format!("{machine} is gone and its keys are still in its row");
            self.report.found([Violation::new(Check::KeysLeft, &[&machine], what)]);
        }
        for (flow, signal) in rows::stray_signals(&mut at.house, BATCH).await? {
            let what = format!("{flow} does not exist and was asked to hear {signal}");
            self.report.found([Violation::new(Check::StraySignal, &[&flow], what)]);
        }
        Ok(())
    }

    /// One sealed value of the house: whether it opens, never what is inside.
    fn sealed(&mut self, place: &Place<'_>, row: &dyn std::fmt::Display, stored: &[u8]) {
        self.judged(place, row, self.ring.opens(place, stored).err());
    }

    /// The same of a tenant's value.
    fn of_tenant(&mut self, place: &Place<'_>, row: &dyn std::fmt::Display, key: Option<&DataKey>, stored: &[u8]) {
        let opened = Sealed::from_bytes(stored).map_err(OpenError::from);
        let opened = opened.and_then(|sealed| open_half((self.ring, key), place, &sealed));
        self.judged(place, row, opened.err());
    }

    fn judged(&mut self, place: &Place<'_>, row: &dyn std::fmt::Display, trouble: Option<OpenError>) {
        self.report.looked(Invariant::Sealed, 1);
        let Some(error) = trouble else { return };
        let check = match error {
            OpenError::NotAnEnvelope(_) => Check::NotSealed,
            OpenError::NoKey | OpenError::UnknownKey(_) | OpenError::Tampered => Check::DoesNotOpen,
        };
        let what = format!("{}.{} of {row}: {error}", place.table, place.column);
        self.report.found([Violation::new(check, &[row], what)]);
    }
}

/// What the house knows of a batch of agents.
struct Known {
    flows: BTreeMap<Uuid, FlowView>,
    machines: BTreeMap<AgentId, Vec<MachineView>>,
    given_to: BTreeMap<MachineId, Option<AgentId>>,
    alerted: BTreeSet<String>,
}

impl Known {
    async fn of(at: &mut Snapshot, agents: &[Agent], ids: &[Uuid]) -> Result<Self, StoreError> {
        let flows = rows::flows_of(&mut at.house, LIFE, ids).await?;
        let mut machines: BTreeMap<AgentId, Vec<MachineView>> = BTreeMap::new();
        for machine in rows::machines_of(&mut at.house, ids).await? {
            if let Some(agent) = machine.agent {
                machines.entry(agent).or_default().push(machine);
            }
        }
        let named: Vec<Uuid> =
            agents.iter().filter_map(|agent| agent.machine.as_ref()).map(|facts| facts.id.uuid()).collect();
        let given_to = rows::given_to(&mut at.house, &named).await?.into_iter().collect();
        let printed: Vec<String> = agents.iter().map(|agent| agent.id.to_string()).collect();
        let alerted = rows::alerted(&mut at.house, &printed).await?.into_iter().collect();
        Ok(Self { flows: flows.into_iter().map(|flow| (flow.subject, flow)).collect(), machines, given_to, alerted })
    }

    fn view<'a>(
        &'a self,
        tenant: TenantId,
        agent: &'a Agent,
        configured_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> AgentView<'a> {
        let named_to = agent.machine.as_ref().and_then(|facts| self.given_to.get(&facts.id).copied().flatten());
        AgentView {
            tenant,
            agent,
            flow: self.flows.get(&agent.id.uuid()),
            machines: self.machines.get(&agent.id).map_or(&[], Vec::as_slice),
            named_to,
            configured_at,
            alerted: self.alerted.contains(&agent.id.to_string()),
            now,
        }
    }
}
