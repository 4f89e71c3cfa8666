//! Every setting once: name, meaning, default. `.env.example` is made from this table and a test compares.

use std::{collections::HashMap, fmt::Write as _, fs, path::Path};

use zeroize::Zeroizing;

/// One setting. Each can also be given as `NAME_FILE`, the path of a file that holds it.
pub(crate) struct Setting {
    /// The environment's name for it.
    pub(crate) name: &'static str,
    /// Whether its value may be printed.
    pub(crate) secret: bool,
    /// What it is when it is not set; `None` where there is no default.
    pub(crate) default: Option<&'static str>,
    /// A value to show; empty for secrets.
    pub(crate) example: &'static str,
    /// What it is for, in sentences.
    pub(crate) meaning: &'static str,
}

const fn plain(
    name: &'static str,
    default: Option<&'static str>,
    example: &'static str,
    meaning: &'static str,
) -> Setting {
    Setting { name, secret: false, default, example, meaning }
}

const fn secret(name: &'static str, meaning: &'static str) -> Setting {
    Setting { name, secret: true, default: None, example: "", meaning }
}

/// All of them, in the order of `.env.example`.
pub(crate) const SETTINGS: &[Setting] = &[
    secret(
        "DATABASE_URL",
        "Postgres, as the role berth_login: postgres://berth_login:…@host/berth. A superuser, an owner of tables or a role that bypasses row security is refused.",
    ),
    secret(
        "BERTH_DATABASE_MIGRATOR_URL",
        "Postgres, as the owner of the tables. Only `berth migrate` needs it; `berth all` migrates first when it is set.",
    ),
    plain("BERTH_DATABASE_CONNECTIONS", Some("12"), "12", "Most connections of one process."),
    secret(
        "CREDENTIAL_ENCRYPTION_KEY",
        "The master key: 32 random bytes in base64 (`openssl rand -base64 32`). Every secret in the database lies under keys that lie under it; losing it loses the secrets. Several, separated by commas, while it is changed: the new one first, then `berth keys rotate` (docs/runbooks/keys.md). Not set, or another one than the database knows: Berth starts sealed and serves what needs no secret.",
    ),
    plain(
        "CREDENTIAL_ENCRYPTION_KEY_COMMAND",
        None,
        "pass show berth/master-key",
        "Instead of CREDENTIAL_ENCRYPTION_KEY: a command that writes it to its standard output within ten seconds. It is run by /bin/sh at each start.",
    ),
    plain(
        "BERTH_PUBLIC_URL",
        Some("http://127.0.0.1:8080"),
        "https://berth.example.org",
        "Where people reach Berth. Plain http is accepted on a loopback address only.",
    ),
    plain(
        "BERTH_LISTEN",
        Some("127.0.0.1:8080"),
        "127.0.0.1:8080",
        "Where Berth listens for people, behind your TLS proxy.",
    ),
    plain(
        "BERTH_TRUSTED_PROXIES",
        None,
        "127.0.0.1, 10.20.0.0/16",
        "Your TLS proxies: addresses or networks, separated by commas. They alone are believed when X-Forwarded-For says for whom a request comes. Not set: nobody is, and everything behind one proxy counts as one source.",
    ),
    plain(
        "BERTH_REQUESTS_PER_MINUTE",
        Some("1200"),
        "1200",
        "How often one user or machine may ask in a minute, of each process; a source four times as often, changes a quarter as often. 0: as often as they like.",
    ),
    plain(
        "BERTH_MACHINE_LISTEN",
        None,
        "10.77.0.1:8081",
        "Where Berth listens for machines only, reachable from them: in development the host's address on the machines' bridge. Not set: machines use the public address.",
    ),
    plain(
        "BERTH_MACHINE_HOME",
        None,
        "http://10.77.0.1:8081",
        "How machines reach Berth. Default: http:// and BERTH_MACHINE_LISTEN, or BERTH_PUBLIC_URL.",
    ),
    secret(
        "BERTH_SESSION_KEY",
        "Signs what signed-in browsers show: 32 random bytes in base64. Several, separated by commas, while rotating: the first one signs, all of them are accepted. Not set: one is derived from the house's data key.",
    ),
    plain(
        "GOOGLE_CLIENT_ID",
        None,
        "1234-abcd.apps.googleusercontent.com",
        "Lets people sign in with Google: Berth's name there. Register BERTH_PUBLIC_URL/auth/google/callback as the redirect address.",
    ),
    secret("GOOGLE_CLIENT_SECRET", "Berth's password at Google. Needed with GOOGLE_CLIENT_ID."),
    plain(
        "BERTH_OIDC_ISSUER",
        None,
        "https://id.example.org",
        "Lets people sign in at any OpenID Connect vendor: its issuer, exactly as it writes it in its tokens. Register BERTH_PUBLIC_URL/auth/oidc/callback as the redirect address.",
    ),
    plain("BERTH_OIDC_CLIENT_ID", None, "berth", "Berth's name at that vendor."),
    secret("BERTH_OIDC_CLIENT_SECRET", "Berth's password at that vendor; a public client has none."),
    plain("BERTH_OIDC_NAME", Some("your organisation"), "Example", "What the button says: Sign in with …"),
    plain(
        "ADMIN_EMAILS",
        None,
        "ada@example.org",
        "Whose verified e-mail address makes them an operator when they sign in, separated by commas. Each address does it once, for the first person who shows it; who they are at their vendor counts from then on. At a vendor they need no invite.",
    ),
    secret("CRON_SECRET", "Bearer of the cron routes. Not set: they answer 503. At least 16 characters."),
    secret(
        "BERTH_METRICS_TOKEN",
        "Bearer of /metrics, for a Prometheus server. Not set: it answers 503. At least 16 characters.",
    ),
    secret(
        "STRIPE_SECRET_KEY",
        "Berth's secret or restricted key at Stripe, sk_… or rk_…. Needed with STRIPE_WEBHOOK_SECRET. Not set: nobody pays, and everybody is served.",
    ),
    plain("BERTH_STRIPE_URL", Some("https://api.stripe.com/"), "http://127.0.0.1:8420/", "Where Stripe is, for tests."),
    secret(
        "STRIPE_WEBHOOK_SECRET",
        "What Stripe signs its webhooks with, whsec_… beside the endpoint BERTH_PUBLIC_URL/webhooks/stripe; two with a comma while it is replaced. Not set: webhooks are refused with 503.",
    ),
    plain(
        "BERTH_DOLLAR_RATES",
        None,
        "eur=0.92, gbp=0.79",
        "What a US dollar is worth in the currencies of your prices, so that operators read what is left after model calls, which cost dollars. Not set: what is left is known where prices are in dollars.",
    ),
    plain(
        "BERTH_INCUS_SOCKET",
        Some("/var/lib/incus/unix.socket"),
        "/var/lib/incus/unix.socket",
        "Unix socket of Incus or LXD, where machines come from.",
    ),
    plain("BERTH_INCUS_NETWORK", Some("berthbr0"), "berthbr0", "Managed bridge of the machines."),
    plain("BERTH_INCUS_POOL", Some("berth"), "berth", "Storage pool of the machines."),
    plain(
        "BERTH_MACHINE_IMAGE",
        None,
        "berth-machine-2026.9.6-0123456789ab",
        "Alias of the machine image; scripts/build-image prints it.",
    ),
    plain(
        "BERTH_MACHINE_TELEGRAM_URL",
        None,
        "https://telegram-bot-api.example.org",
        "A Telegram Bot API server of your own, as machines reach it. Agents' bots then speak with it, and their machines may connect to it and not to Telegram. Not set: Telegram's own.",
    ),
    plain("BERTH_MACHINE_CPUS", Some("2"), "2", "Processors of a machine."),
    plain(
        "BERTH_MACHINE_MEMORY_MIB",
        Some("4096"),
        "4096",
        "Memory of a machine, in MiB. OpenClaw holds about 1 GiB when idle.",
    ),
    plain(
        "BERTH_MACHINE_DISK_MIB",
        Some("10240"),
        "10240",
        "Disk of a machine, in MiB, where the storage pool can hold to it.",
    ),
    plain(
        "BERTH_MACHINE_KEYS_DAYS",
        Some("90"),
        "90",
        "After how many days a running machine's gateway token and machine key are replaced by themselves; 0: only when somebody asks.",
    ),
    plain(
        "BERTH_POOL_FLOOR",
        Some("0"),
        "2",
        "Spare machines that are always kept ready, so that a new agent is live in seconds. Each holds a machine's memory and disk.",
    ),
    plain(
        "BERTH_POOL_CEILING",
        None,
        "6",
        "Most spare machines while agents are created faster than usual. Default: BERTH_POOL_FLOOR.",
    ),
    plain(
        "BERTH_STEPS_MAX",
        Some("32"),
        "32",
        "Flow steps that one process runs at once; one tenant gets at most half of them.",
    ),
    plain("BERTH_MACHINE_SSH_PORT", Some("22"), "22", "Port of a machine's SSH server; that of our image is 22."),
    plain(
        "BERTH_LEASE_SECONDS",
        Some("15"),
        "15",
        "After this many seconds (1 to 600) another process takes over the work of one that died.",
    ),
    secret(
        "BERTH_SMTP_URL",
        "The mail server: smtps://user:password@host, or smtp://user:password@host:587?tls=required. Plain smtp:// is accepted for this host only.",
    ),
    plain(
        "BERTH_MAIL_DIR",
        None,
        ".berth/mail",
        "For development, instead of BERTH_SMTP_URL: a folder into which each mail is put as an .eml file.",
    ),
    plain(
        "BERTH_MAIL_FROM",
        None,
        "berth@example.org",
        "The address that mails come from. Needed with either of the two.",
    ),
    plain(
        "BERTH_ALERT_MAIL_TO",
        None,
        "operator@example.org",
        "Who gets alerts by mail. With neither this nor a webhook, alerts stand on the operator's pages only.",
    ),
    secret(
        "BERTH_ALERT_WEBHOOK_URL",
        "Where alerts are posted, as JSON and signed as Standard Webhooks. https, or http on this host. Redirects and proxies are not followed.",
    ),
    secret(
        "BERTH_ALERT_WEBHOOK_SECRET",
        "What they are signed with: whsec_ and 24 to 64 random bytes in base64 (`echo whsec_$(openssl rand -base64 32)`). The other side needs the same.",
    ),
    plain(
        "BERTH_MODEL_FORWARD",
        Some("off"),
        "on",
        "Whether agents are answered by a model vendor: on or off. Off: Berth's built-in proof model answers, which is no real model and costs nothing. On: every word that agents read goes to the vendor, and you pay for it; ANTHROPIC_API_KEY is needed.",
    ),
    secret(
        "ANTHROPIC_API_KEY",
        "Your key at Anthropic. Without BERTH_MODEL_FORWARD=on it does nothing. It never reaches a machine.",
    ),
    plain(
        "BERTH_MODEL_DAILY_BUDGET",
        Some("5"),
        "2.50",
        "What one tenant may spend on models in a day (UTC), in US dollars. Hard: the most that a call can cost is set aside before it is made.",
    ),
    plain(
        "BERTH_MODELS",
        Some("claude-haiku-4-5,claude-sonnet-5-5,claude-opus-5-5"),
        "claude-haiku-4-5",
        "The models that may be asked for, separated by commas. Agents are set to the first one.",
    ),
    plain(
        "BERTH_MODEL_PRICES",
        None,
        "claude-haiku-4-5=1/5/200000",
        "Prices that go before the built-in list, separated by commas: NAME=IN/OUT or NAME=IN/OUT/CONTEXT, in US dollars for a million tokens, and the tokens that fit in one call (200000). A model without a price cannot be offered.",
    ),
    plain(
        "BERTH_MODEL_VENDOR_URL",
        Some("https://api.anthropic.com"),
        "https://api.anthropic.com",
        "Where the vendor's API is. Plain http is accepted on a loopback address only: for tests.",
    ),
    plain(
        "BERTH_COMPATIBLE_HOSTS",
        None,
        "http://models.internal:8000",
        "Places outside the public internet where tenants' own model vendors may be: addresses of hosts, separated by commas. Any tenant may then have Berth call them. Not set: none; a tenant's vendor is reached by https on the public internet only.",
    ),
    plain(
        "BERTH_CREDENTIAL_VENDORS",
        None,
        "openai=http://127.0.0.1:4000/v1",
        "Other addresses of the vendors whose credentials tenants bring, separated by commas, for anthropic, openai, openrouter, telegram, slack, discord. Plain http is accepted on a loopback address only: for tests.",
    ),
    plain(
        "BERTH_SECURITY_CONTACT",
        None,
        "mailto:security@example.org",
        "Where to report a vulnerability, for security.txt.",
    ),
    plain(
        "BERTH_LOG",
        Some("info"),
        "info",
        "What is logged: error, warn, info, debug, or a filter such as info,flows=debug.",
    ),
    plain(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        None,
        "http://127.0.0.1:4318",
        "Where traces are sent, as OTLP over HTTP. Not set: nowhere.",
    ),
    plain("BERTH_LOG_FORMAT", Some("text"), "json", "text for people, json for machines."),
    plain(
        "BERTH_CRASH_AT",
        None,
        "",
        "For tests: dies there, as kill -9 would: STEP:claimed, STEP:done or STEP:settled.",
    ),
];

/// Values of settings, from the environment and from the development configuration of a checkout.
pub(crate) struct Values(HashMap<String, Zeroizing<String>>);

/// A setting that cannot be used. It never repeats a secret's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSetting {
    /// Which.
    pub name: String,
    /// What is wrong and what to do.
    pub why: String,
}

impl std::fmt::Display for BadSetting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.why)
    }
}

impl std::error::Error for BadSetting {}

pub(crate) fn bad(name: &str, why: impl Into<String>) -> BadSetting {
    BadSetting { name: name.to_owned(), why: why.into() }
}

impl Values {
    /// The process's environment; what it does not say is taken from `.berth/env` of the working directory, if that exists.
    pub(crate) fn of_process() -> Result<Self, BadSetting> {
        let mut values = HashMap::new();
        let development = Path::new(".berth/env");
        if development.is_file() {
            let entries = dotenvy::from_path_iter(development).map_err(|_| bad(".berth/env", "cannot be read"))?;
            for entry in entries {
                let (name, value) = entry.map_err(|_| bad(".berth/env", "holds a line that is no NAME=value"))?;
                values.insert(name, Zeroizing::new(value));
            }
        }
        let names = SETTINGS.iter().flat_map(|s| [s.name.to_owned(), format!("{}_FILE", s.name)]);
        for name in names {
            #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
            if let Ok(value) = std::env::var(&name) {
                let twin = name.strip_suffix("_FILE").map_or_else(|| format!("{name}_FILE"), str::to_owned);
                values.remove(&twin); // the process's word replaces the checkout's, in either form
                values.insert(name, Zeroizing::new(value));
            }
        }
        Ok(Self(values))
    }

    #[cfg(test)]
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(n, v)| ((*n).to_owned(), Zeroizing::new((*v).to_owned()))).collect())
    }

    /// A setting's value or its default. Empty is not set.
    pub(crate) fn get(&self, name: &'static str) -> Result<Option<Zeroizing<String>>, BadSetting> {
        let setting =
            SETTINGS.iter().find(|s| s.name == name).ok_or_else(|| bad(name, "is not in the table of settings"))?;
        let direct = self.0.get(name).filter(|value| !value.is_empty());
        let file = self.0.get(&format!("{name}_FILE")).filter(|path| !path.is_empty());
        match (direct, file) {
            (Some(_), Some(_)) => Err(bad(name, format!("and {name}_FILE are both set; give one"))),
            (Some(value), None) => Ok(Some(value.clone())),
            (None, Some(path)) => {
                let text = fs::read_to_string(path.as_str())
                    .map_err(|error| bad(name, format!("cannot be read from its file: {error}")))?;
                Ok(Some(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())))
            }
            (None, None) => Ok(setting.default.map(|value| Zeroizing::new(value.to_owned()))),
        }
    }

    /// A setting that has to be there.
    pub(crate) fn need(&self, name: &'static str) -> Result<Zeroizing<String>, BadSetting> {
        self.get(name)?.ok_or_else(|| bad(name, "is not set; .env.example says what it is"))
    }

    /// A setting read as something.
    pub(crate) fn parse<T: std::str::FromStr>(&self, name: &'static str, what: &str) -> Result<Option<T>, BadSetting> {
        self.get(name)?.map(|text| text.trim().parse().map_err(|_| bad(name, format!("must be {what}")))).transpose()
    }

    /// A whole number within bounds. The table gives every number a default.
    pub(crate) fn number(&self, name: &'static str, bounds: std::ops::RangeInclusive<u64>) -> Result<u64, BadSetting> {
        let what = format!("a whole number from {} to {}", bounds.start(), bounds.end());
        let number: u64 = self.parse(name, &what)?.ok_or_else(|| bad(name, "is not set"))?;
        if bounds.contains(&number) { Ok(number) } else { Err(bad(name, format!("must be {what}"))) }
    }
}

/// `.env.example`.
pub(crate) fn example() -> String {
    let mut text = String::from(
        "# Every setting of Berth. Made by `berth config example`; a test compares.\n\
         # Each can also be given as NAME_FILE: the path of a file that holds the value.\n",
    );
    for setting in SETTINGS {
        text.push('\n');
        for line in wrapped(setting.meaning) {
            writeln!(text, "# {line}").ok();
        }
        match (setting.secret, setting.default) {
            (true, _) => writeln!(text, "{}=", setting.name).ok(),
            (false, Some(default)) => writeln!(text, "#{}={default}", setting.name).ok(),
            (false, None) => writeln!(text, "#{}={}", setting.name, setting.example).ok(),
        };
    }
    text
}

/// What is in force, secrets as "set" only.
pub(crate) fn effective(values: &Values) -> String {
    let mut text = String::new();
    for setting in SETTINGS {
        let shown = match values.get(setting.name) {
            Err(error) => format!("! {error}"),
            Ok(None) => "(not set)".to_owned(),
            Ok(Some(_)) if setting.secret => "(set)".to_owned(),
            Ok(Some(value)) => value.to_string(),
        };
        writeln!(text, "{:<28} {shown}", setting.name).ok();
    }
    text
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= 98 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
