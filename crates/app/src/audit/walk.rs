//! Verifies the chains of a database, each from its beginning to its head, at one instant.

use domain::{TenantId, audit::Chain};
use store::{Db, Snapshot, StoreError, audit::Row};

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
        match walk.events(store::audit::house_since(&mut at.house, walk.after(), BATCH).await)? {
            Went::On => {}
            Went::Broken(walked) => return Ok(walked),
            Went::ToTheEnd => {
                let head = store::audit::house_head(&mut at.house).await?;
                return Ok(walk.end(head.as_ref()));
            }
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
        match walk.events(store::audit::since(&mut tx, walk.after(), BATCH).await)? {
            Went::On => {}
            Went::Broken(walked) => return Ok(walked),
            Went::ToTheEnd => {
                let head = store::audit::head(&mut tx).await?;
                return Ok(walk.end(head.as_ref()));
            }
        }
    }
}

/// How far a walk came.
enum Went {
    /// There may be more.
    On,
    /// There are no more events.
    ToTheEnd,
    /// To a break.
    Broken(Walked),
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

    /// Verifies the next events. A row that cannot be read is where the chain breaks: ours can be.
    fn events(&mut self, rows: Result<Vec<Row>, StoreError>) -> Result<Went, StoreError> {
        let broken = match &rows {
            Ok(rows) => rows.iter().find_map(|row| self.checker.event(&row.event, &row.hash).err()),
            Err(why @ StoreError::Corrupt { .. }) => {
                Some(Broken::Garbled { seq: self.checker.seq(), why: why.to_string() })
            }
            Err(_) => None,
        };
        if let Some(broken) = broken {
            return Ok(Went::Broken(Walked { chain: self.chain, events: self.checker.seq(), broken: Some(broken) }));
        }
        let is_full = rows?.len() >= usize::try_from(BATCH).unwrap_or(usize::MAX);
        Ok(if is_full { Went::On } else { Went::ToTheEnd })
    }

    fn end(self, head: Option<&domain::audit::Head>) -> Walked {
        Walked { chain: self.chain, events: self.checker.seq(), broken: self.checker.end_at(head).err() }
    }
}
