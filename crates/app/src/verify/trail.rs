//! The audit chains: each follows on itself, from its beginning to its head.

use domain::{
    TenantId,
    invariants::{Check, Invariant, Violation},
};
use store::{Snapshot, StoreError};

use super::Looking;
use crate::audit::walk::{self, Walked};

impl Looking<'_> {
    pub(super) async fn house_chain(&mut self, at: &mut Snapshot) -> Result<(), StoreError> {
        let walked = walk::house(at).await?;
        self.walked(&walked);
        Ok(())
    }

    pub(super) async fn chain(&mut self, at: &mut Snapshot, tenant: TenantId) -> Result<(), StoreError> {
        let walked = walk::tenant(self.db, at, tenant).await?;
        self.walked(&walked);
        Ok(())
    }

    fn walked(&mut self, Walked { chain, events, broken }: &Walked) {
        self.report.looked(Invariant::Audit, usize::try_from(*events).unwrap_or(usize::MAX));
        if let Some(broken) = broken {
            let what = format!("the chain {chain} is whole for {events} events, and then: {broken}");
            self.report.found([Violation::new(Check::ChainBroken, &[chain], what)]);
        }
    }
}
