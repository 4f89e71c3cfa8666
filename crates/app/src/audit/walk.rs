//! Verifies the chains of a database, each from its beginning to its head, at one instant.

use domain::{TenantId, audit::Chain};
use store::{Db, Snapshot, StoreError};

use super::chain::{Broken, Checker};

/// Events read at once.
const BATCH: i64 = 1000;

/// One chain, verified.
#[derive(Debug)]
pub struct Walked {
    /// Which.
    pub chain: Chain,
    /// How many events were whole.
    pub events: u64,
    /// What follows them, where that is not its end.
    pub broken: Option<Broken>,
}

/// Verifies the house's chain.
///
/// # Errors
/// The database.
pub async fn house(at: &mut Snapshot) -> Result<Walked, StoreError> {
    let mut walk = Walk::of(Chain::House);
    loop {
        let rows = store::audit::house_since(&mut at.house, walk.after(), BATCH).await?;
        if rows.is_empty() {
            let head = store::audit::house_head(&mut at.house).await?;
            return Ok(walk.end(head.as_ref()));
        }
        if let Some(broken) = walk.events(&rows) {
            return Ok(broken);
        }
    }
}

/// Verifies a tenant's chain.
///
/// # Errors
/// The database.
pub async fn tenant(db: &Db, at: &mut Snapshot, id: TenantId) -> Result<Walked, StoreError> {
    let mut tx = db.tenant_at(at, id).await?;
    let mut walk = Walk::of(Chain::Tenant(id));
    loop {
        // A snapshot that idles too long is ended.
        store::house::now(&mut at.house).await?;
        let rows = store::audit::since(&mut tx, walk.after(), BATCH).await?;
        if rows.is_empty() {
            let head = store::audit::head(&mut tx).await?;
            return Ok(walk.end(head.as_ref()));
        }
        if let Some(broken) = walk.events(&rows) {
            return Ok(broken);
        }
    }
}

struct Walk {
    chain: Chain,
    checker: Checker,
}

impl Walk {
    fn of(chain: Chain) -> Self {
        Self { chain, checker: Checker::new(Some(chain)) }
    }

    fn after(&self) -> i64 {
        i64::try_from(self.checker.seq()).unwrap_or(i64::MAX)
    }

    /// Verifies the next events. The verdict, if one of them does not hold.
    fn events(&mut self, rows: &[store::audit::Row]) -> Option<Walked> {
        let broken = rows.iter().find_map(|row| self.checker.event(&row.event, &row.hash).err())?;
        Some(Walked { chain: self.chain, events: self.checker.seq(), broken: Some(broken) })
    }

    fn end(self, head: Option<&domain::audit::Head>) -> Walked {
        Walked { chain: self.chain, events: self.checker.seq(), broken: self.checker.end_at(head).err() }
    }
}
