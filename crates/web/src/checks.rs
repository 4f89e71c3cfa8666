//! Asking a vendor about a credential while its owner waits: at entry, and when they ask again.
//!
//! The third of the three places that see a tenant's secret in the clear; the others are the delivery to a machine
//! and the model route. It is in memory for one call.

use std::sync::Arc;

use app::{
    credentials::{Opened, Wish},
    limits::Limit,
};
use clients::credentials::CredentialVendors;
use domain::{
    AgentId, CredentialId,
    channel::Channel,
    credential::{BaseUrl, Checked, Kind, Value, VariableName, Verdict},
    people::{Caller, Role},
};
use store::credentials::Credential;
use vault::Secret;

use crate::{guard::CameFrom, problem::Problem, state::Web};

/// Whoever knows whether credentials are good.
pub type Checks = Arc<dyn CredentialVendors>;

/// A credential as somebody typed it, of its kind's form.
#[derive(Debug)]
pub(crate) struct Typed {
    pub(crate) agent: Option<AgentId>,
    pub(crate) name: Option<VariableName>,
    pub(crate) base_url: Option<BaseUrl>,
    pub(crate) value: Value,
}

/// Asks its vendor, then keeps it. What a vendor refuses is not kept; one that does not answer is asked later.
pub(crate) async fn set(web: &Web, from: CameFrom, typed: &Typed, by: &Caller) -> Result<Credential, Problem> {
    let kind = typed.value.kind();
    if !is_offered(kind) {
        let detail =
            format!("{}s cannot be used yet: the machines of this Berth have no plugin for them.", kind.title());
        return Err(Problem::unusable("kind", detail));
    }
    // Nobody is asked about what would not be kept.
    app::credentials::fits(kind, typed.agent.is_some(), typed.name.is_some(), typed.base_url.is_some())?;
    if kind.is_model_key() && by.role < Role::Admin {
        return Err(Problem::not_allowed("Keys to models are set by admins and owners of the tenant."));
    }
    // Nobody is asked about a variable: an agent's fifty are set at once.
    if kind != Kind::Variable {
        from.spend(web, |source| Limit::Check { source, tenant: by.tenant }).await?;
    }
    let secret = Secret::new(typed.value.expose().as_bytes().to_vec());
    let checked = ask(web, kind, typed.base_url.as_ref(), &secret).await;
    if let Verdict::Refused { why } = &checked.verdict {
        return Err(Problem { slug: "refused-by-vendor", ..Problem::unusable("value", why.clone()) });
    }
    let wish = Wish {
        agent: typed.agent,
        name: typed.name.as_ref(),
        base_url: typed.base_url.as_ref(),
        value: &typed.value,
        checked: Some(checked),
    };
    let mut tx = web.db.tenant(by.tenant).await?;
    let kept = app::credentials::set(&mut tx, (&web.ring, &*web.dice.0), &wish, by).await?;
    tx.commit().await?;
    Ok(kept)
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
