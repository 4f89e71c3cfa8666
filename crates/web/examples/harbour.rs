//! Serves the real pages over a real database, with machines in memory, to be looked at in a browser.
//!
//! `BERTH_TEST_DATABASE_URL=… cargo run -p web --example harbour -- 127.0.0.1:8090`
//! prints a set-up link; steps take a moment, so that a page can be watched.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use flows::RunnerOptions;
use testkit::World;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;
use vault::Secret;
use web::{
    Dice, Door, Limits, Ready, Site, Web,
    llm::{Models, OwnModels},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address: SocketAddr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8090".to_owned()).parse()?;
    let world = World::new().await;
    let ready: Ready = Arc::new(|| Box::pin(async { Ok(()) }));
    let closing = CancellationToken::new();
    let secret = Some(Secret::from("harbour".to_owned()));
    let site =
        Site::new(Url::parse(&format!("http://{address}"))?, secret, Some("mailto:a@b.example".to_owned()), ready);
    let state = Web {
        db: world.flows.db.clone(),
        ring: Arc::clone(&world.flows.ring),
        dice: Dice(Arc::new(Now)),
        site: Arc::new(site),
        models: Models::Proof,
        own_models: OwnModels::default(),
        closing: closing.clone(),
    };
    let mut tx = state.db.system().await?;
    let link = app::people::setup_link(&mut tx, &Now).await?.map(|link| link.expose().to_owned());
    tx.commit().await?;
    let listener = TcpListener::bind(address).await?;
    let said = format!("http://{address}/setup?link={}\n", link.unwrap_or_default());
    std::fs::write("target/harbour.txt", said)?;
    let serving = tokio::spawn(web::serve(listener, web::router(state, Door::Public), Limits::default(), closing));
    while !serving.is_finished() {
        flows::run_due(&world.flows, &RunnerOptions::default()).await?;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    Ok(())
}

/// The operating system's clock and random numbers, as `server` gives them.
struct Now;

impl domain::Entropy for Now {
    fn fill(&self, buffer: &mut [u8]) {
        use std::hash::{BuildHasher as _, RandomState};
        for byte in buffer {
            *byte = u8::try_from(RandomState::new().hash_one(1) & 0xff).unwrap_or(0);
        }
    }

    fn unix_millis(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(0)
    }
}
