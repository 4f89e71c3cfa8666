//! Which parts of Berth run in this process, and how it ends.

use std::{io::Write as _, net::SocketAddr, num::NonZero, sync::Arc, time::Duration};

use anyhow::Context as _;
use app::import::Derivations;
use clients::{
    credentials::HttpCredentialVendors,
    incus::{Incus, Settings},
    model::{anthropic::Anthropic, own::HttpOwnVendors},
    provider::Provider as _,
};
use domain::{Entropy, InstallationId, entitlement::Billing, model::PRICES_SEEN, openclaw::AgentModels};
use flows::{Machines, World};
use ssh::Russh;
use store::{Db, DbOptions};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use vault::Keyring;
use web::{
    Dice, Door, Limits, Pace, PoolPlan, Site, Web,
    llm::{Forwarding, Models, OwnModels, keys::SealedKeys},
};

use crate::{
    config::{Config, MachineConfig, ModelConfig, TenantVendors, VendorConfig},
    entropy::System,
    house::{self, House},
    telemetry, traces,
};

/// The parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// Serve and work: the default for small installations.
    All,
    /// Answer requests only.
    Serve,
    /// Run flows only.
    Work,
}

/// Whether anybody pays is the same for every process of this Berth: what the one that started last was told.
async fn say_billing(db: &Db, billing: Billing) -> anyhow::Result<()> {
    let mut tx = db.system().await?;
    store::house::set_billing(&mut tx, billing).await?;
    Ok(tx.commit().await?)
}

/// Runs until a signal; what is under way is given time to end.
///
/// # Errors
/// Whatever keeps Berth from starting, as a sentence.
pub async fn run(config: Config, parts: Parts) -> anyhow::Result<()> {
    if let (Parts::All, Some(url)) = (parts, &config.database.migrator_url) {
        store::migrate(url).await?;
    }
    let entropy: Arc<dyn Entropy> = Arc::new(System);
    let options = DbOptions { url: config.database.url.to_string(), connections_max: config.database.connections_max };
    let db = Db::connect(&options).await?.with_traces(traces::current);
    if let Some(words) = db.outdated().await? {
        tracing::warn!("{words}");
    }
    let House { ring, sealed, installation, authority } =
        house::open(&db, Keyring::new(config.keys.keys), entropy.as_ref()).await?;
    say_billing(&db, config.stripe.billing()).await?;
    let ring = Arc::new(ring);
    let sealed = sealed.map(|why| config.keys.missing.unwrap_or_else(|| why.to_string()));
    if let Some(why) = &sealed {
        tracing::error!(why, "started sealed: nothing that needs a secret is done, and no flow is run");
    }

    let counted = telemetry::count()?;
    let (told, mails) = (config.carriers.shown(), config.carriers.mail.is_some());
    let spares = config.machines.spares;
    let pool = PoolPlan { floor: spares.floor, ceiling: spares.ceiling, image: config.machines.image.clone() };
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    tokio::spawn({
        let (db, me) = (db.clone(), entropy.uuid());
        async move { db.carry_signals(me).await }
    });
    if let Some(authority) = authority.filter(|_| parts != Parts::Serve) {
        let (settings, machines) = made_with(config.machines, installation, config.models.agents_models());
        let world = World {
            db: db.clone(),
            ring: Arc::clone(&ring),
            entropy: Arc::clone(&entropy),
            provider: Arc::new(surveyed(Incus::new(settings)).await),
            reach: Arc::new(Russh::new(installation, Arc::clone(&entropy))),
            authority: Arc::new(authority),
            installation,
            machines: Arc::new(machines),
            adopt: traces::adopt,
            carriers: Arc::new(config.carriers.build(&config.public_url)?),
            payments: config.stripe.payments.clone(),
        };
        tasks.spawn(flows::schedule::run(world.clone(), stop.clone()));
        tasks.spawn(flows::run(world, config.runner, stop.clone()));
    }
    let (mut models, mut own_models) = (Models::Proof, OwnModels::default());
    if parts != Parts::Work {
        let ready = if sealed.is_some() {
            never("Berth is sealed: it was started without a usable key")
        } else {
            work_is_taken(&db)
        };
        let mut site = Site::new(config.public_url.clone(), config.cron_secret, config.security_contact, ready)
            .with_metrics(config.metrics_token, counted)
            .with_sign_in(config.sign_in.build(&config.public_url, mails, (&ring, entropy.as_ref()))?);
        site.carriers = told;
        site.sealed = sealed;
        site.pool = pool;
        site.proxies = config.proxies;
        site.pace = Pace::per_minute(config.requests_per_minute);
        site.derivations = Derivations::new(std::thread::available_parallelism().map_or(1, NonZero::get));
        site.stripe = config.stripe.signing;
        site.payments = config.stripe.payments;
        site.rates = config.rates;
        site.checks =
            Some(Arc::new(HttpCredentialVendors::new(config.vendors.addresses.clone(), config.vendors.named.clone())?));
        models = answering(config.models)?;
        let dice = Dice(Arc::clone(&entropy));
        own_models = answering_own(config.vendors, SealedKeys::new(db.clone(), Arc::clone(&ring), dice.clone()))?;
        let state = Web {
            db: db.clone(),
            ring,
            dice,
            site: Arc::new(site),
            models: models.clone(),
            own_models: own_models.clone(),
            closing: stop.clone(),
        };
        listen(state, (config.listen, config.machine_listen), &tasks).await?;
        greet(&db, entropy.as_ref(), &config.public_url).await?;
    }
    tasks.close();
    until_signal().await?;
    tracing::info!("stopping: what is under way ends first");
    stop.cancel();
    let ended = async {
        tasks.wait().await;
        models.wait().await;
        own_models.wait().await;
    };
    if tokio::time::timeout(Duration::from_secs(20), ended).await.is_err() {
        tracing::warn!("some steps did not end in time; they run again after the next start");
    }
    db.close().await;
    traces::end();
    Ok(())
}

/// Where machines come from, and how they are made.
fn made_with(config: MachineConfig, installation: InstallationId, models: AgentModels) -> (Settings, Machines) {
    let settings = Settings { socket: config.socket, network: config.network, pool: config.pool, installation };
    let machines = Machines {
        provider: "incus",
        image: config.image,
        limits: config.limits,
        home: config.home,
        models,
        pool: config.spares,
        ssh_port: config.ssh_port,
        telegram: config.telegram,
        keys_age_max: config.keys_age_max,
    };
    (settings, machines)
}

/// Serves people, and machines at an address of their own where there is one.
async fn listen(
    state: Web,
    (people, machines): (SocketAddr, Option<SocketAddr>),
    tasks: &TaskTracker,
) -> anyhow::Result<()> {
    let stop = state.closing.clone();
    let listener = TcpListener::bind(people)
        .await
        .with_context(|| format!("cannot listen on {people}: is another Berth running?"))?;
    tasks.spawn(web::serve(listener, web::router(state.clone(), Door::Public), Limits::default(), stop.clone()));
    if let Some(address) = machines {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen for machines on {address}: is that an address of this host?"))?;
        tasks.spawn(web::serve(listener, web::router(state, Door::Machines), Limits::default(), stop));
    }
    Ok(())
}

/// The provider, and a line that says what it is. One that is away is not fatal: agents that run go on running, and
/// flows say what is missing.
async fn surveyed(provider: Incus) -> Incus {
    match provider.survey().await {
        Ok(survey) => tracing::info!(server = survey.server, isolation = provider.isolation().sentence(), "machines"),
        Err(error) => tracing::error!(error = %error, "machines cannot be made now"),
    }
    provider
}

/// Who answers at `/llm/`, and a line that says so.
fn answering(config: ModelConfig) -> anyhow::Result<Models> {
    let Some(vendor) = config.vendor else {
        if config.is_key_idle {
            tracing::warn!("ANTHROPIC_API_KEY is set and not used: BERTH_MODEL_FORWARD is off");
        }
        tracing::info!("agents are answered by Berth's built-in proof model");
        return Ok(Models::Proof);
    };
    let VendorConfig { address, key, menu, daily_budget } = vendor;
    let models: Vec<&str> = menu.offers().iter().map(|offer| offer.name.as_str()).collect();
    let (models, budget, prices) = (models.join(","), daily_budget.to_string(), PRICES_SEEN);
    tracing::info!(address, models, budget, prices, "agents are answered by a model vendor");
    let vendor = Anthropic::new(&address, key.expose(), clients::model::anthropic::Limits::default())?;
    let calls = TaskTracker::new();
    Ok(Models::Vendor(Arc::new(Forwarding { vendor: Arc::new(vendor), menu, daily_budget, calls })))
}

/// Who answers there with a tenant's own key.
fn answering_own(vendors: TenantVendors, keys: SealedKeys) -> anyhow::Result<OwnModels> {
    let TenantVendors { addresses, named } = vendors;
    let vendors = HttpOwnVendors::new(addresses, named, clients::model::anthropic::Limits::default())?;
    Ok(OwnModels::new(Arc::new(vendors), Arc::new(keys)))
}

/// Not ready for a reason that does not pass by itself.
fn never(why: &'static str) -> web::Ready {
    Arc::new(move || Box::pin(async move { Err(why) }))
}

/// Not ready while due work is left lying: then no worker of any process is at it.
fn work_is_taken(db: &Db) -> web::Ready {
    let db = db.clone();
    Arc::new(move || {
        let db = db.clone();
        Box::pin(async move {
            let mut tx = db.system().await.map_err(|_| "the database does not answer")?;
            match store::flows::is_stalled(&mut tx, Duration::from_mins(1)).await {
                Ok(false) => Ok(()),
                Ok(true) => Err("work has waited for a minute and no worker takes it"),
                Err(_) => Err("the database does not answer"),
            }
        })
    })
}

/// Says where Berth is, and how to become its first operator while there is none.
async fn greet(db: &Db, entropy: &dyn Entropy, url: &url::Url) -> anyhow::Result<()> {
    let mut tx = db.system().await?;
    let link = app::people::setup_link(&mut tx, entropy).await?;
    tx.commit().await?;
    let url = url.as_str().trim_end_matches('/');
    let mut out = std::io::stdout().lock();
    writeln!(out, "Berth is at {url}")?;
    if let Some(link) = link {
        writeln!(out, "Set it up once, within an hour: {url}/setup?link={}", link.expose())?;
    }
    out.flush()?;
    Ok(())
}

async fn until_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
