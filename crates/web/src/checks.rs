//! Asking a vendor about a credential while its owner waits: at entry, and when they ask again.
//!
//! The third of the three places that see a tenant's secret in the clear; the others are the delivery to a machine
//! and the model route. It is in memory for one call.

use std::sync::Arc;

use app::{
    credentials::{Opened, Wish},
    import::ImportError,
    limits::Limit,
};
use clients::credentials::CredentialVendors;
use domain::{
    AgentId, CredentialId,
    channel::Channel,
    credential::{BaseUrl, Checked, Kind, Value, VariableName, Verdict},
    people::{Caller, Role},
    protocol::SecretText,
};
use store::credentials::Credential;
use vault::{Imported, Secret};

use crate::{api::agents::sentence, guard::CameFrom, problem::Problem, state::Web};

/// Whoever knows whether credentials are good.
pub type Checks = Arc<dyn CredentialVendors>;

/// A credential as somebody brings it.
#[derive(Debug)]
pub(crate) struct Brought {
    pub(crate) kind: Kind,
    pub(crate) agent: Option<AgentId>,
    pub(crate) name: Option<VariableName>,
    pub(crate) base_url: Option<BaseUrl>,
    pub(crate) value: BroughtValue,
}

/// Its value, in one of the two ways in which it may come.
#[derive(Debug)]
pub(crate) enum BroughtValue {
    /// Of its kind's form.
    Typed(Value),
    /// Sealed by another program under this passphrase.
    Imported(Imported, Secret),
}

impl BroughtValue {
    /// The field that holds it.
    const fn field(&self) -> &'static str {
        match self {
            Self::Typed(_) => "value",
            Self::Imported(..) => "imported",
        }
    }
}

/// Asks its vendor, then keeps it. What a vendor refuses is not kept; one that does not answer is asked later.
pub(crate) async fn set(web: &Web, from: CameFrom, brought: Brought, by: &Caller) -> Result<Credential, Problem> {
    let Brought { kind, agent, name, base_url, value } = brought;
    if !is_offered(kind) {
        let detail =
            format!("{}s cannot be used yet: the machines of this Berth have no plugin for them.", kind.title());
        return Err(Problem::unusable("kind", detail));
    }
    // Nobody is asked about what would not be kept, and nothing is opened for it.
    app::credentials::fits(kind, agent.is_some(), name.is_some(), base_url.is_some())?;
    if kind.is_model_key() && by.role < Role::Admin {
        return Err(Problem::not_allowed("Keys to models are set by admins and owners of the tenant."));
    }
    let field = value.field();
    let value = match value {
        BroughtValue::Typed(value) => value,
        BroughtValue::Imported(imported, passphrase) => {
            from.spend(web, |source| Limit::Import { source, tenant: by.tenant }).await?;
            opened(web, kind, imported, passphrase).await?
        }
    };
    // Nobody is asked about a variable: an agent's fifty are set at once.
    if kind != Kind::Variable {
        from.spend(web, |source| Limit::Check { source, tenant: by.tenant }).await?;
    }
    let secret = Secret::new(value.expose().as_bytes().to_vec());
    let checked = ask(web, kind, base_url.as_ref(), &secret).await;
    drop(secret);
    if let Verdict::Refused { why } = &checked.verdict {
        return Err(Problem { slug: "refused-by-vendor", ..Problem::unusable(field, why.clone()) });
    }
    let (name, base_url) = (name.as_ref(), base_url.as_ref());
    let wish = Wish { agent, name, base_url, value: &value, checked: Some(checked) };
    let mut tx = web.db.tenant(by.tenant).await?;
    let kept = app::credentials::set(&mut tx, (&web.ring, &*web.dice.0), &wish, by).await?;
    tx.commit().await?;
    Ok(kept)
}

/// Opens what another program sealed, on a thread that serves nobody else, and reads it as a value of its kind.
async fn opened(web: &Web, kind: Kind, imported: Imported, passphrase: Secret) -> Result<Value, Problem> {
    let opened = web.site.derivations.open(imported, passphrase).await.map_err(|error| {
        let words = sentence(&error);
        match error {
            ImportError::NotOpened(_) => Problem { slug: "not-opened", ..Problem::unusable("imported", words) },
            ImportError::Busy | ImportError::Stopping => {
                Problem { retry_after_seconds: Some(60), ..Problem::unavailable("busy", words) }
            }
        }
    })?;
    // The reader gives text and nothing else.
    let text = SecretText::new(opened.expose_text().unwrap_or_default().to_owned());
    Value::parse(kind, &text).map_err(|error| {
        let detail = format!("What was sealed cannot be used: {error}.");
        Problem::unusable("imported", detail)
    })
}

/// Asks its vendor about one that is kept, and keeps what it says.
pub(crate) async fn test(web: &Web, from: CameFrom, id: CredentialId, by: &Caller) -> Result<Credential, Problem> {
    from.spend(web, |source| Limit::Check { source, tenant: by.tenant }).await?;
    let mut tx = web.db.tenant(by.tenant).await?;
    let Opened { mut credential, secret } = app::credentials::open_for_test(&mut tx, &web.ring, id, by).await?;
    // That it was opened is written before it is used.
    tx.commit().await?;
    let base_url = credential.base_url.as_deref().map(BaseUrl::parse).transpose().map_err(Problem::broken)?;
    let checked = ask(web, credential.kind, base_url.as_ref(), &secret).await;
    drop(secret);
    let mut tx = web.db.tenant(by.tenant).await?;
    app::credentials::judged(&mut tx, &credential, &checked).await?;
    tx.commit().await?;
    credential.checked = Some(checked);
    Ok(credential)
}

async fn ask(web: &Web, kind: Kind, base_url: Option<&BaseUrl>, secret: &Secret) -> Checked {
    let verdict = match &web.site.checks {
        Some(checks) => checks.check(kind, base_url, secret).await,
        None => Verdict::Unknown { why: "This Berth asks no vendor.".to_owned() },
    };
    Checked { at: web.dice.now(), verdict }
}

/// Whether the machines of this build can use it.
pub(crate) fn is_offered(kind: Kind) -> bool {
    let channel = match kind {
        Kind::Telegram => Channel::Telegram,
        Kind::Slack => Channel::Slack,
        Kind::Discord => Channel::Discord,
        Kind::Anthropic | Kind::OpenAi | Kind::OpenRouter | Kind::Compatible | Kind::Variable => return true,
    };
    Channel::OFFERED.contains(&channel)
}
