//! Who may ask: proofs that only this module can make.
//!
//! A route declares what it [`Needs`]; [`admit`] looks the caller up before the
//! handler runs and leaves a proof ([`Member`], [`Operator`], …) that the handler
//! takes as an argument. Holding the value is the permission. A handler that asks
//! for a proof which its route does not declare answers 500, and the route test
//! finds it.

use app::limits::Limit;
use axum::extract::{FromRequestParts, Request};
use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    limits::Source,
    people::{Caller, Role, Shown, Suspended},
    scopes::Scope,
};
use http::{HeaderMap, Method, StatusCode, header, request::Parts};
use store::machines::MachineCaller as Machine;
use uuid::Uuid;
use vault::{Secret, Token, TokenKind};

use crate::{
    errors::Fault as _,
    problem::Problem,
    session::{self, Jar},
    state::Web,
    webhooks::Awaited,
};

/// What a route asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Open,
    /// A person signed in, whatever their role: it is about themselves.
    Person,
    /// A person signed in with at least this role in their tenant.
    Member(Role),
    /// A person who runs the service.
    Operator,
    /// The bearer `CRON_SECRET`.
    Cron,
    /// The bearer `BERTH_METRICS_TOKEN`.
    Metrics,
    /// The bearer token of a machine.
    Machine,
    /// A machine's virtual model key, as `x-api-key` or bearer.
    ModelKey,
    /// Stripe's signature over the body; the handler's [`crate::webhooks::SignedByStripe`] checks it.
    Stripe,
}

/// How long after showing who they are somebody may do what cannot be undone.
pub const RECENT: TimeDelta = TimeDelta::minutes(10);

/// A person signed in, for what is about themselves.
#[derive(Debug, Clone)]
pub struct Person(Caller);

/// A person signed in, with the role that the route asks for.
#[derive(Debug, Clone)]
pub struct Member(Caller);

/// A person who runs the service.
#[derive(Debug, Clone)]
pub struct Operator(Caller);

/// Whoever holds the cron secret.
#[derive(Debug, Clone, Copy)]
pub struct CronCaller(());

/// Whoever holds the metrics token.
#[derive(Debug, Clone, Copy)]
pub struct MetricsCaller(());

/// A machine that showed its token.
#[derive(Debug, Clone, Copy)]
pub struct MachineCaller(Machine);

/// A machine that showed its virtual model key.
#[derive(Debug, Clone, Copy)]
pub struct ModelCaller(Machine);

/// Somebody or nobody: open pages look different to those who are signed in.
#[derive(Debug, Clone)]
pub struct Visitor(pub Option<Caller>);

impl Person {
    /// Who it is.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.0
    }
}

impl Member {
    /// Who it is.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.0
    }
}

impl Operator {
    /// Who it is.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.0
    }
}

impl MachineCaller {
    /// Which machine, and whose.
    #[must_use]
    pub const fn machine(self) -> Machine {
        self.0
    }
}

impl ModelCaller {
    /// Which machine, and whose.
    #[must_use]
    pub const fn machine(self) -> Machine {
        self.0
    }
}

/// What a route asks beside a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asks {
    /// What it is.
    pub(crate) needs: Needs,
    /// What a token must be wide enough for.
    pub(crate) scope: Scope,
    /// Whether a browser must have shown only just who it is.
    pub(crate) recent: bool,
    /// Whether people of a suspended tenant may, too.
    pub(crate) suspended_too: bool,
}

/// Looks the caller up and leaves the proof in the request. Returns whom the request counts for: a user or a machine.
pub(crate) async fn admit(web: &Web, asks: Asks, request: &mut Request) -> Result<Option<Uuid>, Problem> {
    let Asks { needs, scope, recent, suspended_too } = asks;
    let (headers, source) = (request.headers(), request.extensions().get().copied());
    let jar = request.extensions().get().cloned().unwrap_or_default();
    let person = async |web| {
        let (caller, now) = person(web, headers, source, &jar).await?.ok_or_else(Problem::signed_out)?;
        match &caller.suspended {
            Some(Suspended::User(why)) => return Err(Problem::suspended("Your account", why)),
            Some(Suspended::Tenant(why)) if !suspended_too => {
                return Err(Problem::suspended(&caller.tenant_name, why));
            }
            Some(Suspended::Tenant(_)) | None => {}
        }
        let is_late = recent && !is_recent(&caller, now);
        Ok::<_, Problem>((caller, is_late))
    };
    // Last: who may not do it at all is not sent to sign in for it.
    let in_time = |is_late| if is_late { Err(Problem::sign_in_again()) } else { Ok(()) };
    let account = match needs {
        Needs::Open => None,
        Needs::Person => {
            let (caller, is_late) = person(web).await?;
            within(&caller, scope)?;
            in_time(is_late)?;
            let user = caller.user.uuid();
            request.extensions_mut().insert(Person(caller));
            Some(user)
        }
        Needs::Member(least) => {
            let (caller, is_late) = person(web).await?;
            within(&caller, scope)?;
            if caller.role < least {
                return Err(Problem::not_allowed(format!(
                    "Your role here is {}; this needs the role {} or more. Ask an owner of {}.",
                    caller.role.name(),
                    least.name(),
                    caller.tenant_name,
                )));
            }
            in_time(is_late)?;
            let user = caller.user.uuid();
            request.extensions_mut().insert(Member(caller));
            Some(user)
        }
        Needs::Operator => {
            let (caller, is_late) = person(web).await?;
            if !caller.is_operator {
                return Err(Problem::not_found());
            }
            within(&caller, scope)?;
            with_factor(web, &caller).await?;
            in_time(is_late)?;
            let user = caller.user.uuid();
            request.extensions_mut().insert(Operator(caller));
            Some(user)
        }
        Needs::Cron => {
            shared_secret(headers, web.site.cron_secret(), "CRON_SECRET", ["cron-off", "wrong-cron-secret"])?;
            request.extensions_mut().insert(CronCaller(()));
            None
        }
        Needs::Metrics => {
            let slugs = ["metrics-off", "wrong-metrics-token"];
            shared_secret(headers, web.site.metrics_token(), "BERTH_METRICS_TOKEN", slugs)?;
            request.extensions_mut().insert(MetricsCaller(()));
            None
        }
        Needs::Stripe => {
            if web.site.stripe.is_empty() {
                let detail = "STRIPE_WEBHOOK_SECRET is not set, so nothing can be taken for Stripe's.";
                return Err(Problem::new(StatusCode::BAD_REQUEST, "wrong-signature", detail));
            }
            request.extensions_mut().insert(Awaited);
            None
        }
        Needs::Machine => {
            let machine = machine(web, headers, source).await?;
            request.extensions_mut().insert(MachineCaller(machine));
            Some(machine.machine.uuid())
        }
        Needs::ModelKey => {
            let machine = model_key(web, headers, source).await?;
            request.extensions_mut().insert(ModelCaller(machine));
            Some(machine.machine.uuid())
        }
    };
    Ok(account)
}

/// An operator's browser shows a second factor every twelve hours. A token was issued with one, or on the server.
async fn with_factor(web: &Web, caller: &Caller) -> Result<(), Problem> {
    let Shown::Session { id, .. } = caller.shown else { return Ok(()) };
    let mut tx = web.db.system().await.or_problem()?;
    let standing = store::operators::standing(&mut tx, caller.user, id).await.or_problem()?;
    if standing.is_enrolled && standing.is_fresh { Ok(()) } else { Err(Problem::factor_needed()) }
}

/// Refuses a token that is too narrow for the route.
fn within(caller: &Caller, scope: Scope) -> Result<(), Problem> {
    if caller.scopes.allow(scope) {
        return Ok(());
    }
    let has: Vec<&str> = caller.scopes.words().collect();
    let detail = format!(
        "This token may do: {}. This needs a token that may do {}; issue one under Settings.",
        has.join(", "),
        scope.name(),
    );
    Err(Problem { slug: "scope", ..Problem::not_allowed(detail) })
}

/// The person behind a request: a bearer token if there is one, otherwise the session's cookies. With the database's
/// time, where it is needed.
async fn person(
    web: &Web,
    headers: &HeaderMap,
    source: Option<Source>,
    jar: &Jar,
) -> Result<Option<(Caller, Option<DateTime<Utc>>)>, Problem> {
    if headers.contains_key(header::AUTHORIZATION) {
        let Some(token) = bearer(headers).and_then(|text| Token::parse(TokenKind::Personal, text)) else {
            return Ok(None);
        };
        let tx = web.db.system().await.or_problem()?;
        let caller = app::tokens::use_token(tx, &token).await.or_problem()?;
        if caller.is_none() {
            wrong_token(web, source).await?;
        }
        return Ok(caller.map(|caller| (caller, None)));
    }
    let found = session::caller(web, headers, jar).await?;
    Ok(found.map(|(caller, standing)| (caller, Some(standing.now))))
}

/// Whether somebody showed only just who they are. A program with a token cannot: what it may do, the token says.
fn is_recent(caller: &Caller, now: Option<DateTime<Utc>>) -> bool {
    match caller.shown {
        Shown::Session { authenticated_at, .. } => now.is_some_and(|now| now < authenticated_at + RECENT),
        Shown::Token(_) => true,
    }
}

/// A secret of the configuration as bearer. Without one in the configuration nobody gets in.
fn shared_secret(
    headers: &HeaderMap,
    secret: Option<&Secret>,
    setting: &str,
    [off, wrong]: [&'static str; 2],
) -> Result<(), Problem> {
    let Some(secret) = secret else {
        let detail = format!("{setting} is not set, so nobody can call this address. Set it and start Berth again.");
        return Err(Problem::unavailable(off, detail));
    };
    let given = bearer(headers).unwrap_or_default();
    if given.is_empty() || !vault::same(given.as_bytes(), secret.expose()) {
        let detail = format!("Send the value of {setting} as `Authorization: Bearer …`.");
        return Err(Problem { slug: wrong, detail: detail.into(), ..Problem::signed_out() });
    }
    Ok(())
}

/// Counts a token that nobody has. It was looked up first, so a good one is never refused for the bad ones beside it.
async fn wrong_token(web: &Web, source: Option<Source>) -> Result<(), Problem> {
    let Some(source) = source else { return Ok(()) };
    app::limits::spend_at_once(&web.db, Limit::WrongToken { source }).await.or_problem()
}

async fn machine(web: &Web, headers: &HeaderMap, source: Option<Source>) -> Result<Machine, Problem> {
    let refused = || Problem { detail: "Send the machine's own token as bearer.".into(), ..Problem::signed_out() };
    let token = bearer(headers).and_then(|text| Token::parse(TokenKind::Machine, text)).ok_or_else(refused)?;
    let mut tx = web.db.system().await.or_problem()?;
    let found = app::machines::by_machine_token(&mut tx, &token).await.or_problem()?;
    drop(tx);
    if found.is_none() {
        wrong_token(web, source).await?;
    }
    found.ok_or_else(refused)
}

async fn model_key(web: &Web, headers: &HeaderMap, source: Option<Source>) -> Result<Machine, Problem> {
    let refused = || Problem { detail: "Send the machine's model key as x-api-key.".into(), ..Problem::signed_out() };
    let given = headers.get("x-api-key").and_then(|value| value.to_str().ok()).or_else(|| bearer(headers));
    let token = given.and_then(|text| Token::parse(TokenKind::Model, text)).ok_or_else(refused)?;
    let mut tx = web.db.system().await.or_problem()?;
    let found = app::machines::by_model_key(&mut tx, &token).await.or_problem()?;
    drop(tx);
    if found.is_none() {
        wrong_token(web, source).await?;
    }
    found.ok_or_else(refused)
}

/// The text after `Bearer ` (the scheme in any case: RFC 9110, 11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, text) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| text.trim())
}

macro_rules! proofs {
    ($($proof:ident),*) => {$(
        impl<S: Send + Sync> FromRequestParts<S> for $proof {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
                let undeclared = || Problem::broken(concat!("the route does not declare ", stringify!($proof)));
                parts.extensions.remove::<Self>().ok_or_else(undeclared)
            }
        }
    )*};
}

proofs!(Person, Member, Operator, CronCaller, MetricsCaller, MachineCaller, ModelCaller);

/// Where a request comes from, for what counts by it; `None` without a listener before the router.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CameFrom(pub Option<Source>);

impl CameFrom {
    /// Counts what is limited by source, before it is done.
    pub(crate) async fn spend<'a>(self, web: &Web, limit: impl FnOnce(Source) -> Limit<'a>) -> Result<(), Problem> {
        match self.0 {
            Some(source) => Ok(app::limits::spend_at_once(&web.db, limit(source)).await?),
            None => Ok(()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CameFrom {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(parts.extensions.get().copied()))
    }
}

impl FromRequestParts<Web> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
        let jar = parts.extensions.get().cloned().unwrap_or_default();
        let found = person(web, &parts.headers, parts.extensions.get().copied(), &jar).await?;
        Ok(Self(found.map(|(caller, _)| caller)))
    }
}

/// Refuses, before the handler, what another site asks in a visitor's name.
pub(crate) fn same_site(web: &Web, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    crate::edge::origin::check(method, headers, &web.site.public_url)
}
