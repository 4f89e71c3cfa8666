//! Starts jobs when their time has come.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::World;

/// How often schedules are looked at. Their finest grain is a minute.
const LOOK: Duration = Duration::from_secs(5);

/// Ticks until `stop`. Any number of processes may run this: each tick has one owner.
pub async fn run(world: World, stop: CancellationToken) {
    let mut planted = false;
    loop {
        if !planted {
            planted = said("schedules could not be made", plant(&world).await).is_some();
        } else if let Some(jobs) = said("schedules could not be looked at", tick(&world).await)
            && !jobs.is_empty()
        {
            let jobs: Vec<&str> = jobs.into_iter().map(domain::job::Job::name).collect();
            tracing::info!(jobs = jobs.join(" "), "started by schedule");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn plant(world: &World) -> Result<(), store::StoreError> {
    let mut tx = world.db.system().await?;
    app::jobs::plant_schedules(&mut tx).await?;
    tx.commit().await
}

async fn tick(world: &World) -> Result<Vec<domain::job::Job>, store::StoreError> {
    let mut tx = world.db.system().await?;
    let started = app::jobs::tick(&mut tx, world.entropy.as_ref()).await?;
    tx.commit().await?;
    Ok(started)
}

fn said<T>(what: &str, result: Result<T, store::StoreError>) -> Option<T> {
    result.inspect_err(|error| tracing::warn!(error = error as &dyn std::error::Error, "{what}")).ok()
}
