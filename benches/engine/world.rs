//! What steps are given here: the real database, and whatever the bench brings for machines.

use std::sync::Arc;

use clients::{fake::FakeProvider, provider::Limits, provider::Provider};
use domain::{Entropy, entropy::mint, openclaw::AgentModels};
use flows::{Carriers, Machines, Pool, World};
use ssh::{Authority, Reach, fake::FakeReach};
use store::{Db, DbOptions};
use testkit::Seeded;
use vault::{Keyring, MasterKey};

use crate::lines::Failure;

/// A world on this database, with no machines.
pub(crate) async fn on(url: &str, connections_max: u32) -> Result<World, Failure> {
    let db = Db::connect(&DbOptions { url: url.to_owned(), connections_max }).await?;
    // Two processes must not draw the same lease tokens.
    let entropy: Arc<dyn Entropy> = Arc::new(Seeded::new(u64::from(std::process::id())));
    let mut key = [7; 32];
    key[0] = 8;
    Ok(World {
        db,
        ring: Arc::new(Keyring::new(vec![MasterKey::from_bytes(key)])),
        provider: Arc::new(FakeProvider::default()),
        reach: Arc::new(FakeReach::agreeable()),
        authority: Arc::new(Authority::generate(entropy.as_ref())),
        installation: mint(entropy.as_ref()),
        machines: Arc::new(Machines {
            provider: "fake",
            image: "bench".into(),
            limits: Limits { cpus: 1, memory_bytes: 1, disk_bytes: 1 },
            home: "http://127.0.0.1:1".into(),
            models: AgentModels::proof(),
            ssh_port: 22,
            telegram: None,
            keys_age_max: None,
            pool: Pool::default(),
        }),
        adopt: |_, _| {},
        carriers: Arc::new(Carriers { mail: None, webhook: None, letters: None, base: "http://127.0.0.1:1".into() }),
        payments: None,
        entropy,
    })
}

/// The same with machines.
pub(crate) fn with_machines(world: World, provider: impl Provider, reach: impl Reach, ssh_port: u16) -> World {
    let machines = Arc::new(Machines { ssh_port, ..(*world.machines).clone() });
    World { provider: Arc::new(provider), reach: Arc::new(reach), machines, ..world }
}
