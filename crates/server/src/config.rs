//! What an operator may set, parsed once.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clients::provider::Limits;
use flows::{CrashAt, CrashPoint, RunnerOptions};
use url::{Host, Url};
use vault::{Keyring, MasterKey, Secret};
use zeroize::Zeroizing;

use crate::settings::{Values, bad};

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
    /// Where their SSH servers listen.
    pub ssh_port: u16,
}

/// Everything.
pub struct Config {
    /// The database.
    pub database: DatabaseConfig,
    /// Seals and opens.
    pub ring: Keyring,
    /// Where people reach Berth.
    pub public_url: Url,
    /// Where Berth listens for people.
    pub listen: SocketAddr,
    /// Where Berth listens for machines only.
    pub machine_listen: Option<SocketAddr>,
    /// Bearer of the cron routes.
    pub cron_secret: Option<Secret>,
    /// Machines.
    pub machines: MachineConfig,
    /// How flows are run.
    pub runner: RunnerOptions,
    /// For security.txt.
    pub security_contact: Option<String>,
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
            ring: ring(&values.need("CREDENTIAL_ENCRYPTION_KEY")?)?,
            listen: values
                .parse("BERTH_LISTEN", "an address and a port")?
                .ok_or_else(|| bad("BERTH_LISTEN", "is not set"))?,
            machine_listen,
            cron_secret: cron_secret(values)?,
            machines: MachineConfig {
                socket: PathBuf::from(values.need("BERTH_INCUS_SOCKET")?.as_str()),
                network: values.need("BERTH_INCUS_NETWORK")?.to_string(),
                pool: values.need("BERTH_INCUS_POOL")?.to_string(),
                image: values.need("BERTH_MACHINE_IMAGE")?.to_string(),
                limits: limits(values)?,
                home,
                ssh_port: u16::try_from(values.number("BERTH_MACHINE_SSH_PORT", 1..=65_535)?).unwrap_or(22),
            },
            runner: runner(values)?,
            security_contact: values.get("BERTH_SECURITY_CONTACT")?.map(|text| text.to_string()),
            public_url,
        })
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

fn ring(text: &str) -> Result<Keyring, BadSetting> {
    let name = "CREDENTIAL_ENCRYPTION_KEY";
    let keys = text.split(',').map(MasterKey::parse).collect::<Result<Vec<_>, _>>();
    let keys = keys.map_err(|error| bad(name, format!("cannot be used: {error}")))?;
    let (current, retired) = keys.split_first().ok_or_else(|| bad(name, "is not set"))?;
    Ok(Keyring::new(current, retired))
}

fn public_url(values: &Values) -> Result<Url, BadSetting> {
    let name = "BERTH_PUBLIC_URL";
    let url: Url = values.parse(name, "an http or https address")?.ok_or_else(|| bad(name, "is not set"))?;
    let loopback = match url.host() {
        Some(Host::Domain(domain)) => domain == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err(bad(name, "must name a host")),
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback => Ok(url),
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

fn cron_secret(values: &Values) -> Result<Option<Secret>, BadSetting> {
    let Some(secret) = values.get("CRON_SECRET")? else { return Ok(None) };
    if secret.len() < 16 {
        return Err(bad("CRON_SECRET", "must have at least 16 characters (`openssl rand -hex 24`)"));
    }
    Ok(Some(Secret::new(secret.as_bytes().to_vec())))
}

fn limits(values: &Values) -> Result<Limits, BadSetting> {
    const MIB: u64 = 1024 * 1024;
    Ok(Limits {
        cpus: u32::try_from(values.number("BERTH_MACHINE_CPUS", 1..=256)?).unwrap_or(1),
        memory_bytes: values.number("BERTH_MACHINE_MEMORY_MIB", 512..=1_048_576)? * MIB,
        disk_bytes: values.number("BERTH_MACHINE_DISK_MIB", 2048..=16_777_216)? * MIB,
    })
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
        steps_max: usize::try_from(values.number("BERTH_STEPS_MAX", 1..=1024)?).unwrap_or(16),
        crash_at,
        ..RunnerOptions::default()
    })
}

#[cfg(test)]
mod tests {
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
            ("BERTH_MACHINE_SSH_PORT", "65536"),
            ("BERTH_CRASH_AT", "hunter2"),
            ("DATABASE_URL_FILE", "/nonexistent/hunter2"),
        ];
        for (name, value) in cases {
            let error = with(&[(name, value)]).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(error.starts_with(name.trim_end_matches("_FILE")), "{name}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn machines_reach_the_machine_listener_or_the_public_address() {
        assert_eq!(with(&[]).unwrap().machines.home, "http://127.0.0.1:8080");
        let config = with(&[("BERTH_MACHINE_LISTEN", "10.1.2.3:8081")]).unwrap();
        assert_eq!(config.machines.home, "http://10.1.2.3:8081");
    }

    #[test]
    fn an_empty_secret_is_not_set() {
        let values = Values::of(&[GOOD, &[("CRON_SECRET", "")]].concat());
        assert!(Config::parse(&values).unwrap().cron_secret.is_none());
    }
}
