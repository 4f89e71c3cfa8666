//! What handlers work with: one state, and the small parts of it that they ask for.

use std::{future::Future, pin::Pin, sync::Arc};

use app::import::Derivations;
use axum::extract::FromRef;
use chrono::{DateTime, TimeZone as _, Utc};
use clients::payments::Payments;
use domain::{Entropy, limits::Proxies, rates::DollarRates};
use store::Db;
use tokio_util::sync::CancellationToken;
use url::Url;
use vault::{Keyring, Secret, stripe::SigningSecret};

use crate::{
    checks::Checks,
    figures::Render,
    llm::{Models, OwnModels},
    pace::Pace,
    vendors::SignIn,
};

/// Everything that the routes need; cheap to clone.
#[derive(Clone)]
pub struct Web {
    /// The database.
    pub db: Db,
    /// Opens the words of a tenant's exchanges.
    pub ring: Arc<Keyring>,
    /// Fresh ids and the time for showing "3 min ago".
    pub dice: Dice,
    /// What this installation is called and may do.
    pub site: Arc<Site>,
    /// Who answers at `/llm/`.
    pub models: Models,
    /// Who answers there with a tenant's own key.
    pub own_models: OwnModels,
    /// Cancelled when the process stops: streams end on it.
    pub closing: CancellationToken,
}

/// The injected source of ids and of the time.
#[derive(Clone)]
pub struct Dice(pub Arc<dyn Entropy>);

impl Dice {
    /// Now, for ages on pages and for logs. Decisions use the database's clock.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let millis = i64::try_from(self.0.unix_millis()).unwrap_or(i64::MAX);
        Utc.timestamp_millis_opt(millis).single().unwrap_or_default()
    }
}

/// Answers whether this process can do its work: the sentence says what is missing.
pub type Ready = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), &'static str>> + Send>> + Send + Sync>;

/// What this installation is called and may do; parsed once at start.
pub struct Site {
    /// Where people reach Berth.
    pub public_url: Url,
    /// Bearer of the cron routes; without one they answer 503.
    cron_secret: Option<Secret>,
    /// Bearer of `/metrics`; without one it answers 503.
    metrics_token: Option<Secret>,
    /// Renders what this process counted.
    pub(crate) metrics: Option<Render>,
    /// Where to report a vulnerability, for `security.txt`: a `mailto:` or `https:` address.
    pub security_contact: Option<String>,
    /// Who hears of alerts, in words: `mail to …`, `webhook at …`. Empty: they stand on the page only.
    pub carriers: Vec<String>,
    /// How many spares this process keeps, for the operator's page.
    pub pool: PoolPlan,
    /// Why this process holds no usable key, in a sentence for operators; it serves what needs no secret.
    pub sealed: Option<String>,
    /// Asked by `/ready` after the database answered.
    pub ready: Ready,
    /// Who may say for whom a request comes.
    pub proxies: Proxies,
    /// How often ordinary requests are taken.
    pub pace: Pace,
    /// How people sign in.
    pub sign_in: SignIn,
    /// The secrets of the endpoint at Stripe that sends webhooks here; none where nobody bills.
    pub stripe: Vec<SigningSecret>,
    /// Who takes the money, where anybody bills.
    pub payments: Option<Arc<dyn Payments>>,
    /// What a dollar is worth where people pay in something else.
    pub rates: DollarRates,
    /// Who is asked whether a credential is good; nobody in tests that do not need it.
    pub checks: Option<Checks>,
    /// Opens what people bring along sealed by another program.
    pub derivations: Derivations,
}

/// How many spares are kept, and made from what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolPlan {
    /// At least so many wait. With a ceiling of zero there is no pool.
    pub floor: u16,
    /// At most so many wait, when agents come fast.
    pub ceiling: u16,
    /// Alias of the image that is current; empty while none is set.
    pub image: String,
}

impl PoolPlan {
    /// Whether spares are kept at all.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.floor > 0 || self.ceiling > 0
    }
}

impl Site {
    /// An empty cron secret is none at all.
    #[must_use]
    pub fn new(public_url: Url, cron_secret: Option<Secret>, security_contact: Option<String>, ready: Ready) -> Self {
        let cron_secret = cron_secret.filter(|secret| !secret.expose().is_empty());
        Self {
            public_url,
            cron_secret,
            metrics_token: None,
            metrics: None,
            security_contact,
            carriers: Vec::new(),
            pool: PoolPlan::default(),
            sealed: None,
            ready,
            proxies: Proxies::default(),
            pace: Pace::default(),
            sign_in: SignIn::default(),
            stripe: Vec::new(),
            payments: None,
            rates: DollarRates::default(),
            checks: None,
            derivations: Derivations::new(1),
        }
    }

    /// Lets whoever holds this token read what was counted.
    #[must_use]
    pub fn with_metrics(mut self, token: Option<Secret>, render: Render) -> Self {
        self.metrics_token = token.filter(|secret| !secret.expose().is_empty());
        self.metrics = Some(render);
        self
    }

    /// Lets people sign in this way.
    #[must_use]
    pub fn with_sign_in(self, sign_in: SignIn) -> Self {
        Self { sign_in, ..self }
    }

    /// Whether people reach Berth over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.public_url.scheme() == "https"
    }

    /// Name of the cookie that holds a session's pass. `__Host-` binds it to this host and to TLS; plain http is for development.
    #[must_use]
    pub fn cookie_name(&self) -> &'static str {
        if self.is_https() { "__Host-berth" } else { "berth_session" }
    }

    /// An absolute address below the public URL.
    #[must_use]
    pub fn address(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.as_str().trim_end_matches('/'))
    }

    pub(crate) const fn metrics_token(&self) -> Option<&Secret> {
        self.metrics_token.as_ref()
    }

    pub(crate) const fn cron_secret(&self) -> Option<&Secret> {
        self.cron_secret.as_ref()
    }
}

impl FromRef<Web> for Db {
    fn from_ref(web: &Web) -> Self {
        web.db.clone()
    }
}

impl FromRef<Web> for Arc<Keyring> {
    fn from_ref(web: &Web) -> Self {
        Self::clone(&web.ring)
    }
}

impl FromRef<Web> for Dice {
    fn from_ref(web: &Web) -> Self {
        web.dice.clone()
    }
}

impl FromRef<Web> for Arc<Site> {
    fn from_ref(web: &Web) -> Self {
        Self::clone(&web.site)
    }
}

impl FromRef<Web> for Models {
    fn from_ref(web: &Web) -> Self {
        web.models.clone()
    }
}

impl FromRef<Web> for OwnModels {
    fn from_ref(web: &Web) -> Self {
        web.own_models.clone()
    }
}

impl FromRef<Web> for (Db, Dice) {
    fn from_ref(web: &Web) -> Self {
        (web.db.clone(), web.dice.clone())
    }
}

impl FromRef<Web> for (Models, OwnModels) {
    fn from_ref(web: &Web) -> Self {
        (web.models.clone(), web.own_models.clone())
    }
}

impl FromRef<Web> for CancellationToken {
    fn from_ref(web: &Web) -> Self {
        web.closing.clone()
    }
}
