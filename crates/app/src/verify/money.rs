//! Payments and what they allow, and the inbox that tells of them.

use std::collections::BTreeMap;

use domain::{
    AgentId, TenantId,
    entitlement::entitlement,
    invariants::{
        Check, Invariant, Violation,
        judge::{self, AccountView, FlowView},
    },
};
use store::{Snapshot, StoreError, billing::Account, invariants as rows};
use uuid::Uuid;

use super::{BATCH, Looking};
use crate::billing::BILLING;

/// What is known of the payments of a batch of tenants.
#[derive(Default)]
pub(super) struct Accounts {
    known: BTreeMap<TenantId, Account>,
    flows: BTreeMap<Uuid, FlowView>,
}

impl Accounts {
    pub(super) async fn of(at: &mut Snapshot, tenants: &[TenantId]) -> Result<Self, StoreError> {
        let known: BTreeMap<TenantId, Account> = rows::accounts(&mut at.house, tenants).await?.into_iter().collect();
        let subjects: Vec<Uuid> = known.keys().map(|tenant| tenant.uuid()).collect();
        let flows = rows::flows_of(&mut at.house, BILLING, &subjects).await?;
        Ok(Self { known, flows: flows.into_iter().map(|flow| (flow.subject, flow)).collect() })
    }
}

impl Looking<'_> {
    /// A tenant's payments, if they are kept in view or ought to be.
    pub(super) fn account(&mut self, accounts: &Accounts, tenant: TenantId, running: &[AgentId]) {
        let Some(account) = accounts.known.get(&tenant) else { return };
        let view = AccountView {
            tenant,
            flow: accounts.flows.get(&tenant.uuid()),
            acted: account.entitlement,
            // Of the same instant as the rows, however long the look takes.
            judged: entitlement(&account.facts, self.now),
            rests: !account.rested.is_empty(),
            running,
            now: self.now,
        };
        self.report.looked(Invariant::Entitlements, 1);
        self.report.found(judge::account(&view));
    }

    /// What other systems told, and nobody will understand.
    pub(super) async fn inbox(&mut self, at: &mut Snapshot) -> Result<(), StoreError> {
        let events = rows::events(&mut at.house).await?;
        self.report.looked(Invariant::Inbox, usize::try_from(events).unwrap_or(usize::MAX));
        for (event, kind, received_at) in rows::forgotten_events(&mut at.house, BATCH).await? {
            let what = format!("{event}, a {kind} of {received_at}, is not understood and no flow is at it");
            self.report.found([Violation::new(Check::EventForgotten, &[&event], what)]);
        }
        Ok(())
    }
}
