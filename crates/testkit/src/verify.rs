//! `berth verify` over a world of one test.

use app::verify::{GRACE, Listed, look};
use clients::provider::Provider as _;
use domain::invariants::Report;

use crate::World;

impl World {
    /// What `berth verify` would find now. It looks at the provider by its listing, twice where that disagrees.
    ///
    /// # Panics
    /// When the database fails.
    pub async fn verify(&self) -> Report {
        let look = look(&self.database.db, &self.flows.ring, self.listed().await, GRACE).await;
        let look = look.expect("the database is read");
        let after = self.listed().await;
        look.report(Some(after))
    }

    /// Everything that must hold does hold.
    ///
    /// # Panics
    /// When something does not; the panic names it.
    pub async fn assert_verified(&self) {
        let report = self.verify().await;
        let wrong: Vec<&str> = report.violations().map(|violation| violation.what.as_str()).collect();
        assert_eq!(wrong, Vec::<&str>::new());
    }

    async fn listed(&self) -> Listed {
        let sightings = self.provider.list().await.map_err(|error| error.to_string())?;
        Ok(sightings.into_iter().map(|sighting| sighting.name).collect())
    }
}
