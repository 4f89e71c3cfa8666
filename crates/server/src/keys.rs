//! `berth keys`: which master keys there are, from one to another, and the end of a tenant's secrets.

use std::{
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use domain::{TenantId, audit::Actor};
use store::{
    Db, DbOptions,
    keys::{Master, MasterState},
};
use vault::Keyring;

use crate::{config::KeysConfig, entropy::System};

/// What can be done to keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the master keys that this database has seen, and what lies under each
    #[command(after_help = "Example:\n  berth keys status --json | jq -r '.keys[] | select(.state == \"current\").id'")]
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make the first key of CREDENTIAL_ENCRYPTION_KEY the current one, and wrap everything anew under it
    #[command(
        after_help = "Before: every process of this Berth runs with the new key behind the old one, then with it in front.\nAfter: take the old key away. docs/runbooks/keys.md has the steps.\n\nExample:\n  berth keys rotate"
    )]
    Rotate {
        /// Do not wait until the old key is retired
        #[arg(long)]
        no_wait: bool,
    },
    /// Destroy a tenant's data key and its credentials: whatever it gave cannot be opened any more
    #[command(
        after_help = "There is no way back. Its agents go on without their bots and variables.\n\nExample:\n  berth keys shred ten_019aa6b27c1e7d3f9b1a2f6c5d4e3b2a --yes ten_019aa6b27c1e7d3f9b1a2f6c5d4e3b2a"
    )]
    Shred {
        /// Whose
        tenant: TenantId,
        /// The same id once more
        #[arg(long, value_name = "TENANT")]
        yes: Option<TenantId>,
    },
}

/// How long `rotate` waits for the workers.
const PATIENCE: Duration = Duration::from_mins(10);

/// Does it.
///
/// # Errors
/// A sentence for the operator.
pub(crate) async fn run(command: Command) -> anyhow::Result<()> {
    let config = KeysConfig::of_process()?;
    let db = Db::connect(&DbOptions { url: config.database.url.to_string(), connections_max: 2 }).await?;
    let done = match command {
        Command::Status { json } => status(&db, json).await,
        Command::Rotate { no_wait } => rotate(&db, Keyring::new(config.keys.keys), !no_wait).await,
        Command::Shred { tenant, yes } => shred(&db, tenant, yes).await,
    };
    db.close().await;
    done
}

async fn status(db: &Db, json: bool) -> anyhow::Result<()> {
    let masters = masters(db).await?;
    let mut out = std::io::stdout().lock();
    if json {
        let keys: Vec<_> = masters.iter().map(in_json).collect();
        return Ok(writeln!(out, "{}", serde_json::json!({ "keys": keys }))?);
    }
    if masters.is_empty() {
        return Ok(writeln!(
            out,
            "No key yet. Berth takes the first one of CREDENTIAL_ENCRYPTION_KEY when it starts."
        )?);
    }
    writeln!(out, "{:<32}  {:<8}  {:<16}  {:>9}  sealed directly", "master key", "state", "since", "data keys")?;
    for one in &masters {
        let since = one.since.format("%Y-%m-%d %H:%M");
        writeln!(out, "{}  {:<8}  {since}  {:>9}  {}", one.id, one.state.word(), one.wraps, one.older)?;
    }
    Ok(())
}

fn in_json(one: &Master) -> serde_json::Value {
    serde_json::json!({
        "id": one.id.to_string(), "state": one.state.word(), "since": one.since, "data_keys": one.wraps,
        "sealed_directly": one.older,
    })
}

async fn rotate(db: &Db, ring: Keyring, wait: bool) -> anyhow::Result<()> {
    let mut tx = db.system().await?;
    let (Ok(ring) | Err((ring, _))) = app::keys::unseal(&mut tx, ring, &System).await?;
    let to = app::keys::rotate(&mut tx, &ring, &System, Actor::shell()).await?;
    tx.commit().await?;
    writeln!(std::io::stdout(), "{to} is the current master key.")?;
    if !wait {
        return Ok(writeln!(std::io::stdout(), "`berth keys status` says how far the rotation is.")?);
    }
    let began = Instant::now();
    loop {
        let masters = masters(db).await?;
        let Some(old) = masters.iter().find(|one| one.state == MasterState::Retiring) else { break };
        if began.elapsed() > PATIENCE {
            bail!(
                "{} is not retired after ten minutes; is a worker running with both keys? It goes on by itself",
                old.id
            );
        }
        if std::io::stderr().is_terminal() {
            write!(std::io::stderr(), "\r{} data keys are left under {} ", old.wraps + old.older, old.id)?;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    if std::io::stderr().is_terminal() {
        writeln!(std::io::stderr())?;
    }
    Ok(writeln!(
        std::io::stdout(),
        "The key before it is retired: nothing is left under it. Take it away from every process."
    )?)
}

async fn shred(db: &Db, tenant: TenantId, yes: Option<TenantId>) -> anyhow::Result<()> {
    if yes != Some(tenant) {
        bail!("this cannot be undone; name the tenant once more with --yes {tenant}");
    }
    let mut tx = db.system().await?;
    let name = store::tenants::name(&mut tx, tenant).await?.context("there is no such tenant")?;
    let (tx, had) = app::keys::shred(tx, tenant, Actor::shell()).await?;
    tx.commit().await?;
    let done = if had { "is destroyed" } else { "was never made" };
    Ok(writeln!(std::io::stdout(), "The data key of {name} ({tenant}) {done}; its credentials are removed.")?)
}

async fn masters(db: &Db) -> anyhow::Result<Vec<Master>> {
    let mut tx = db.system().await?;
    Ok(app::keys::status(&mut tx).await?)
}
