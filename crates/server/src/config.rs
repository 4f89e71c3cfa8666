//! What an operator may set, parsed once.

mod keys;
mod model;
pub(crate) mod stripe;
mod vendors;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clients::provider::Limits;
use domain::{channel::ApiRoot, limits::Proxies, rates::DollarRates};
use flows::{CrashAt, CrashPoint, Pool, RunnerOptions};
use url::{Host, Url};
use vault::Secret;
use zeroize::Zeroizing;

use crate::{
    carriers::CarriersConfig,
    settings::{Values, bad},
    sign_in::SignInConfig,
};

pub use self::{
    keys::MasterKeys,
    model::{ModelConfig, VendorConfig},
    stripe::StripeConfig,
    vendors::TenantVendors,
};
pub use crate::settings::BadSetting;

/// The database.
pub struct DatabaseConfig {
    /// As the login without rights.
    pub url: Zeroizing<String>,
    /// As the owner, if this process may migrate.
    pub migrator_url: Option<Zeroizing<String>>,
    /// Most connections.
    pub connections_max: u32,
}

/// Machines.
pub struct MachineConfig {
    /// Unix socket of the daemon.
    pub socket: PathBuf,
    /// Managed bridge.
    pub network: String,
    /// Storage pool.
    pub pool: String,
    /// Image alias; without one no machine can be made.
    pub image: String,
    /// What a machine may use.
    pub limits: Limits,
    /// How machines reach Berth.
    pub home: String,
    /// How many spares are kept.
    pub spares: Pool,
    /// At which age a machine's gateway token and machine key are replaced by themselves; none: never.
    pub keys_age_max: Option<Duration>,
    /// Where their SSH servers listen.
    pub ssh_port: u16,
    /// Where their agents' Telegram bots find the Bot API; none for Telegram's own.
    pub telegram: Option<ApiRoot>,
}

/// Everything.
pub struct Config {
    /// The database.
    pub database: DatabaseConfig,
    /// What data keys are wrapped under.
    pub keys: MasterKeys,
    /// Where people reach Berth.
    pub public_url: Url,
    /// Where Berth listens for people.
    pub listen: SocketAddr,
    /// Who is believed about where requests come from.
    pub proxies: Proxies,
    /// How often one may ask in a minute; 0 for no bound.
    pub requests_per_minute: u32,
    /// Where Berth listens for machines only.
    pub machine_listen: Option<SocketAddr>,
    /// Bearer of the cron routes.
    pub cron_secret: Option<Secret>,
    /// Bearer of `/metrics`.
    pub metrics_token: Option<Secret>,
    /// Machines.
    pub machines: MachineConfig,
    /// Who answers the agents.
    pub models: ModelConfig,
    /// Where the vendors are whose credentials tenants bring.
    pub vendors: TenantVendors,
    /// How flows are run.
    pub runner: RunnerOptions,
    /// For security.txt.
    pub security_contact: Option<String>,
    /// How mails leave, and who hears of alerts.
    pub carriers: CarriersConfig,
    /// How people sign in.
    pub sign_in: SignInConfig,
    /// Whether it bills.
    pub stripe: StripeConfig,
    /// What a dollar is worth where people pay in something else.
    pub rates: DollarRates,
}

impl Config {
    /// Reads the environment and the checkout's `.berth/env`.
    ///
    /// # Errors
    /// [`BadSetting`], a sentence that names the setting and never its value.
    pub fn of_process() -> Result<Self, BadSetting> {
        Self::parse(&Values::of_process()?)
    }

    pub(crate) fn parse(values: &Values) -> Result<Self, BadSetting> {
        let public_url = public_url(values)?;
        let machine_listen = values.parse("BERTH_MACHINE_LISTEN", "an address and a port, such as 10.77.0.1:8081")?;
        let home = home(values, machine_listen, &public_url)?;
        Ok(Self {
            database: DatabaseConfig::parse(values)?,
            sign_in: SignInConfig::parse(values)?,
            stripe: StripeConfig::parse(values)?,
            rates: dollar_rates(values)?,
            keys: MasterKeys::parse(values)?,
            listen: values
                .parse("BERTH_LISTEN", "an address and a port")?
                .ok_or_else(|| bad("BERTH_LISTEN", "is not set"))?,
            proxies: proxies(values)?,
            requests_per_minute: u32::try_from(values.number("BERTH_REQUESTS_PER_MINUTE", 0..=1_000_000)?).unwrap_or(0),
            machine_listen,
            cron_secret: shared_secret(values, "CRON_SECRET")?,
            metrics_token: shared_secret(values, "BERTH_METRICS_TOKEN")?,
            machines: MachineConfig {
                socket: PathBuf::from(values.need("BERTH_INCUS_SOCKET")?.as_str()),
                network: values.need("BERTH_INCUS_NETWORK")?.to_string(),
                pool: values.need("BERTH_INCUS_POOL")?.to_string(),
                image: values.need("BERTH_MACHINE_IMAGE")?.to_string(),
                limits: limits(values)?,
                home,
                spares: spares(values)?,
                keys_age_max: keys_age_max(values)?,
                ssh_port: u16::try_from(values.number("BERTH_MACHINE_SSH_PORT", 1..=65_535)?).unwrap_or(22),
                telegram: telegram(values)?,
            },
            models: ModelConfig::parse(values)?,
            vendors: TenantVendors::parse(values)?,
            runner: runner(values)?,
            carriers: CarriersConfig::parse(values)?,
            security_contact: values.get("BERTH_SECURITY_CONTACT")?.map(|text| text.to_string()),
            public_url,
        })
    }
}

/// The database and the keys, for what is done to keys.
pub struct KeysConfig {
    /// The database.
    pub database: DatabaseConfig,
    /// The operator's keys.
    pub keys: MasterKeys,
}

impl KeysConfig {
    /// Reads the environment and the checkout's `.berth/env`.
    ///
    /// # Errors
    /// [`BadSetting`].
    pub fn of_process() -> Result<Self, BadSetting> {
        let values = Values::of_process()?;
        Ok(Self { database: DatabaseConfig::parse(&values)?, keys: MasterKeys::parse(&values)? })
    }
}

impl DatabaseConfig {
    /// The database alone, for commands that need nothing else.
    ///
    /// # Errors
    /// [`BadSetting`].
    pub fn of_process() -> Result<Self, BadSetting> {
        Self::parse(&Values::of_process()?)
    }

    fn parse(values: &Values) -> Result<Self, BadSetting> {
        Ok(Self {
            url: values.need("DATABASE_URL")?,
            migrator_url: values.get("BERTH_DATABASE_MIGRATOR_URL")?,
            connections_max: u32::try_from(values.number("BERTH_DATABASE_CONNECTIONS", 2..=500)?).unwrap_or(12),
        })
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(domain)) => domain == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// What it takes to look at everything and change nothing.
pub struct LookConfig {
    /// The database.
    pub database: DatabaseConfig,
    /// What data keys are wrapped under.
    pub keys: MasterKeys,
    /// Where machines come from.
    pub provider: ProviderConfig,
}

/// The daemon that has the machines.
pub struct ProviderConfig {
    /// Its unix socket.
    pub socket: PathBuf,
    /// Managed bridge.
    pub network: String,
    /// Storage pool.
    pub pool: String,
}

impl LookConfig {
    /// Reads the environment and the checkout's `.berth/env`.
    ///
    /// # Errors
    /// [`BadSetting`].
    pub fn of_process() -> Result<Self, BadSetting> {
        let values = Values::of_process()?;
        Ok(Self {
            database: DatabaseConfig::parse(&values)?,
            keys: MasterKeys::parse(&values)?,
            provider: ProviderConfig {
                socket: PathBuf::from(values.need("BERTH_INCUS_SOCKET")?.as_str()),
                network: values.need("BERTH_INCUS_NETWORK")?.to_string(),
                pool: values.need("BERTH_INCUS_POOL")?.to_string(),
            },
        })
    }
}

fn dollar_rates(values: &Values) -> Result<DollarRates, BadSetting> {
    let name = "BERTH_DOLLAR_RATES";
    DollarRates::parse(&values.get(name)?.unwrap_or_default()).map_err(|error| bad(name, error.to_string()))
}

fn proxies(values: &Values) -> Result<Proxies, BadSetting> {
    let name = "BERTH_TRUSTED_PROXIES";
    let text = values.get(name)?.unwrap_or_default();
    text.parse().map_err(|error: domain::limits::BadNetwork| bad(name, format!("cannot be read: {error}")))
}

fn public_url(values: &Values) -> Result<Url, BadSetting> {
    let name = "BERTH_PUBLIC_URL";
    let url: Url = values.parse(name, "an http or https address")?.ok_or_else(|| bad(name, "is not set"))?;
    if url.host().is_none() {
        return Err(bad(name, "must name a host"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(bad(name, "is plain http on an address that others reach; sessions need https")),
        _ => Err(bad(name, "must begin with https://")),
    }
}

fn home(values: &Values, listen: Option<SocketAddr>, public: &Url) -> Result<String, BadSetting> {
    let home = match (values.parse::<Url>("BERTH_MACHINE_HOME", "an http or https address")?, listen) {
        (Some(url), _) => url.to_string(),
        (None, Some(address)) => format!("http://{address}"),
        (None, None) => public.to_string(),
    };
    Ok(home.trim_end_matches('/').to_owned())
}

fn shared_secret(values: &Values, name: &'static str) -> Result<Option<Secret>, BadSetting> {
    let Some(secret) = values.get(name)? else { return Ok(None) };
    if secret.len() < 16 {
        return Err(bad(name, "must have at least 16 characters (`openssl rand -hex 24`)"));
    }
    if is_placeholder(&secret) {
        return Err(bad(name, "looks like a placeholder; draw one (`openssl rand -hex 24`)"));
    }
    Ok(Some(Secret::new(secret.as_bytes().to_vec())))
}

/// Words that stand in examples, or hardly any two characters that differ: not what a generator draws.
fn is_placeholder(secret: &str) -> bool {
    let folded = secret.to_lowercase();
    let mut letters: Vec<char> = folded.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    letters.len() < 6
        || ["changeme", "change-me", "change_me", "placeholder", "password", "example"]
            .iter()
            .any(|word| folded.contains(word))
}

fn limits(values: &Values) -> Result<Limits, BadSetting> {
    const MIB: u64 = 1024 * 1024;
    Ok(Limits {
        cpus: u32::try_from(values.number("BERTH_MACHINE_CPUS", 1..=256)?).unwrap_or(1),
        memory_bytes: values.number("BERTH_MACHINE_MEMORY_MIB", 512..=1_048_576)? * MIB,
        disk_bytes: values.number("BERTH_MACHINE_DISK_MIB", 2048..=16_777_216)? * MIB,
    })
}

fn telegram(values: &Values) -> Result<Option<ApiRoot>, BadSetting> {
    let name = "BERTH_MACHINE_TELEGRAM_URL";
    values.get(name)?.map(|raw| ApiRoot::parse(&raw).map_err(|error| bad(name, error.to_string()))).transpose()
}

fn spares(values: &Values) -> Result<Pool, BadSetting> {
    let name = "BERTH_POOL_CEILING";
    let floor: u16 = u16::try_from(values.number("BERTH_POOL_FLOOR", 0..=1000)?).unwrap_or(0);
    let ceiling = values.parse(name, "a whole number from BERTH_POOL_FLOOR to 1000")?.unwrap_or(floor);
    if ceiling < floor || ceiling > 1000 {
        return Err(bad(name, "must be from BERTH_POOL_FLOOR to 1000"));
    }
    Ok(Pool { floor, ceiling })
}

fn keys_age_max(values: &Values) -> Result<Option<Duration>, BadSetting> {
    let days = values.number("BERTH_MACHINE_KEYS_DAYS", 0..=3650)?;
    Ok((days > 0).then(|| Duration::from_hours(24 * days)))
}

fn runner(values: &Values) -> Result<RunnerOptions, BadSetting> {
    let crash_at = values.get("BERTH_CRASH_AT")?.map(|text| {
        let (step, point) = text.split_once(':').unwrap_or_default();
        let point = CrashPoint::EVERY.into_iter().find(|p| p.name() == point);
        point.map(|point| CrashAt { step: step.to_owned(), point })
    });
    let crash_at = match crash_at {
        Some(None) => return Err(bad("BERTH_CRASH_AT", "must be STEP:claimed, STEP:done or STEP:settled")),
        Some(crash) => crash,
        None => None,
    };
    Ok(RunnerOptions {
        lease: Duration::from_secs(values.number("BERTH_LEASE_SECONDS", 1..=600)?),
        steps_max: usize::try_from(values.number("BERTH_STEPS_MAX", 1..=1024)?).unwrap_or(32),
        crash_at,
        ..RunnerOptions::default()
    })
}

#[cfg(test)]
mod tests {
    use domain::{model::Micros, openclaw::AgentModels};

    use super::*;
    use crate::settings::{SETTINGS, example};

    const GOOD: &[(&str, &str)] = &[
        ("DATABASE_URL", "postgres://berth_login@localhost/berth"),
        ("CREDENTIAL_ENCRYPTION_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
        ("BERTH_MACHINE_IMAGE", "berth-machine-x"),
        ("CRON_SECRET", "0123456789abcdef"),
    ];

    fn with(extra: &[(&str, &str)]) -> Result<Config, BadSetting> {
        Config::parse(&Values::of(&[GOOD, extra].concat()))
    }

    #[test]
    fn the_example_is_the_table() {
        assert_eq!(
            include_str!("../../../.env.example"),
            example(),
            "run: cargo run -p server -- config example > .env.example"
        );
    }

    #[test]
    fn the_names_are_unique() {
        let mut names: Vec<_> = SETTINGS.iter().map(|s| s.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SETTINGS.len());
    }

    #[test]
    fn bad_values_are_named_and_never_shown() {
        let cases = [
            ("CREDENTIAL_ENCRYPTION_KEY", "hunter2"),
            ("CRON_SECRET", "hunter2"),
            ("BERTH_PUBLIC_URL", "http://hunter2.example.org"),
            ("BERTH_LISTEN", "hunter2"),
            ("BERTH_LEASE_SECONDS", "0"),
            ("BERTH_TRUSTED_PROXIES", "127.0.0.1, hunter2"),
            ("BERTH_REQUESTS_PER_MINUTE", "hunter2"),
            ("BERTH_MACHINE_SSH_PORT", "65536"),
            ("BERTH_CRASH_AT", "hunter2"),
            ("DATABASE_URL_FILE", "/nonexistent/hunter2"),
            ("BERTH_MODEL_FORWARD", "hunter2"),
            ("BERTH_MODEL_DAILY_BUDGET", "hunter2"),
            ("BERTH_MODELS", "hunter2 hunter2"),
            ("BERTH_MODEL_PRICES", "hunter2"),
            ("BERTH_MODEL_VENDOR_URL", "http://hunter2.example.org"),
            ("BERTH_MODEL_VENDOR_URL", "https://key:hunter2@example.org"),
            ("BERTH_COMPATIBLE_HOSTS", "http://key:hunter2@models.internal"),
            ("BERTH_CREDENTIAL_VENDORS", "openai=http://hunter2.example.org"),
            ("BERTH_DOLLAR_RATES", "hunter2"),
        ];
        for (name, value) in cases {
            let error = with(&[(name, value)]).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(error.starts_with(name.trim_end_matches("_FILE")), "{name}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    /// TLS-01: others are reached through a proxy that somebody set up on purpose.
    #[test]
    fn people_are_listened_for_on_loopback_unless_said_otherwise() {
        let listens =
            |extra: &[(&str, &str)]| with(extra).map(|config| (config.listen.to_string(), config.machine_listen));
        assert_eq!(listens(&[]).ok(), Some(("127.0.0.1:8080".to_owned(), None)));
        let outside = listens(&[("BERTH_LISTEN", "0.0.0.0:80")]).ok();
        assert_eq!(outside.map(|(people, _)| people), Some("0.0.0.0:80".to_owned()));
    }

    /// TOK-27, TOK-28: what stands in examples, and what no generator draws, opens nothing.
    #[test]
    fn a_short_or_well_known_secret_is_refused_at_start() {
        for name in ["CRON_SECRET", "BERTH_METRICS_TOKEN"] {
            for weak in [
                "changeme",
                "0123456789abcde",
                "changeme-changeme",
                "CHANGE_ME_CHANGE_ME",
                "Password1234567890",
                "aaaaaaaaaaaaaaaaaaaaaaaa",
                "abababababababababababab",
                "example-value-for-cron",
            ] {
                let error = with(&[(name, weak)]).err().map(|error| error.to_string()).unwrap_or_default();
                assert!(error.starts_with(name) && !error.contains(weak), "{weak}: {error}");
            }
            assert!(with(&[(name, "3f0c9e5d7a1b48269d0e6c2f5a8b7134")]).is_ok());
        }
        for weak in ["x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "Y2hhbmdlbWU="] {
            assert!(with(&[("CREDENTIAL_ENCRYPTION_KEY", weak)]).is_err(), "{weak}");
        }
    }

    #[test]
    fn nobody_is_believed_about_sources_unless_named() {
        let source = |config: Config| {
            config.proxies.source("10.20.3.4".parse().unwrap(), ["203.0.113.5"].into_iter()).to_string()
        };
        assert_eq!(source(with(&[]).unwrap()), "10.20.3.4");
        assert_eq!(source(with(&[("BERTH_TRUSTED_PROXIES", "127.0.0.1, 10.20.0.0/16")]).unwrap()), "203.0.113.5");
    }

    #[test]
    fn machines_reach_the_machine_listener_or_the_public_address() {
        assert_eq!(with(&[]).unwrap().machines.home, "http://127.0.0.1:8080");
        let config = with(&[("BERTH_MACHINE_LISTEN", "10.1.2.3:8081")]).unwrap();
        assert_eq!(config.machines.home, "http://10.1.2.3:8081");
    }

    #[test]
    fn a_key_alone_passes_nothing_on_and_the_switch_alone_is_refused() {
        let key = ("ANTHROPIC_API_KEY", "sk-ant-marker");
        let on = ("BERTH_MODEL_FORWARD", "on");
        let models = |extra: &[(&str, &str)]| with(extra).map(|config| config.models);
        let idle = models(&[key]).unwrap();
        assert!(idle.vendor.is_none() && idle.is_key_idle && idle.agents_models() == AgentModels::proof());
        assert!(!models(&[]).unwrap().is_key_idle);
        assert_eq!(models(&[on]).err().unwrap().name, "ANTHROPIC_API_KEY");
        let on_and_key = models(&[on, key]).unwrap();
        assert_eq!(on_and_key.agents_models().chosen(None).name, "claude-haiku-4-5");
        let vendor = on_and_key.vendor.unwrap();
        assert_eq!(vendor.address, clients::model::anthropic::ADDRESS);
        assert_eq!((vendor.daily_budget, vendor.menu.offers().len()), (Micros::new(5_000_000), 3));
    }

    #[test]
    fn a_model_without_a_price_is_refused_at_start() {
        let error = with(&[("BERTH_MODELS", "claude-new")]).err().unwrap().to_string();
        assert!(error.contains("claude-new") && error.contains("BERTH_MODEL_PRICES"), "{error}");
        assert!(with(&[("BERTH_MODELS", "claude-new"), ("BERTH_MODEL_PRICES", "claude-new=1/5")]).is_ok());
    }

    #[test]
    fn an_empty_secret_is_not_set() {
        let values = Values::of(&[GOOD, &[("CRON_SECRET", "")]].concat());
        assert!(Config::parse(&values).unwrap().cron_secret.is_none());
    }
}
