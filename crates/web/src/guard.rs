//! Who may ask: proofs that only this module can make.
//!
//! A route declares what it [`Needs`]; [`admit`] looks the caller up before the
//! handler runs and leaves a proof ([`Member`], [`Operator`], …) that the handler
//! takes as an argument. Holding the value is the permission. A handler that asks
//! for a proof which its route does not declare answers 500, and the route test
//! finds it.

use axum::extract::{FromRequestParts, Request};
use domain::{
    people::{Caller, Role, Shown},
    scopes::Scope,
};
use http::{HeaderMap, Method, header, request::Parts};
use store::machines::MachineCaller as Machine;
use vault::{Secret, Token, TokenKind};

use crate::{errors::Fault as _, problem::Problem, state::Web};

/// What a route asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Open,
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
}

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

/// Looks the caller up and leaves the proof in the request.
pub(crate) async fn admit(web: &Web, (needs, scope): (Needs, Scope), request: &mut Request) -> Result<(), Problem> {
    let headers = request.headers();
    match needs {
        Needs::Open => {}
        Needs::Member(least) => {
            let caller = person(web, headers).await?.ok_or_else(Problem::signed_out)?;
            within(&caller, scope)?;
            if caller.role < least {
                return Err(Problem::not_allowed(format!(
                    "Your role here is {}; this needs the role {} or more. Ask an owner of {}.",
                    caller.role.name(),
                    least.name(),
                    caller.tenant_name,
                )));
            }
            request.extensions_mut().insert(Member(caller));
        }
        Needs::Operator => {
            let caller = person(web, headers).await?.ok_or_else(Problem::signed_out)?;
            if !caller.is_operator {
                return Err(Problem::not_found());
            }
            within(&caller, scope)?;
            with_factor(web, &caller).await?;
            request.extensions_mut().insert(Operator(caller));
        }
        Needs::Cron => {
            shared_secret(headers, web.site.cron_secret(), "CRON_SECRET", ["cron-off", "wrong-cron-secret"])?;
            request.extensions_mut().insert(CronCaller(()));
        }
        Needs::Metrics => {
            let slugs = ["metrics-off", "wrong-metrics-token"];
            shared_secret(headers, web.site.metrics_token(), "BERTH_METRICS_TOKEN", slugs)?;
            request.extensions_mut().insert(MetricsCaller(()));
        }
        Needs::Machine => {
            let machine = machine(web, headers).await?;
            request.extensions_mut().insert(MachineCaller(machine));
        }
        Needs::ModelKey => {
            let machine = model_key(web, headers).await?;
            request.extensions_mut().insert(ModelCaller(machine));
        }
    }
    Ok(())
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

/// The person behind a request: a bearer token if there is one, otherwise the session cookie.
async fn person(web: &Web, headers: &HeaderMap) -> Result<Option<Caller>, Problem> {
    if headers.contains_key(header::AUTHORIZATION) {
        let Some(token) = bearer(headers).and_then(|text| Token::parse(TokenKind::Personal, text)) else {
            return Ok(None);
        };
        let tx = web.db.system().await.or_problem()?;
        return app::tokens::use_token(tx, &token).await.or_problem();
    }
    let Some(token) = session_token(headers, web.site.cookie_name()) else {
        return Ok(None);
    };
    let mut tx = web.db.system().await.or_problem()?;
    app::sessions::caller_by_session(&mut tx, &token).await.or_problem()
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

async fn machine(web: &Web, headers: &HeaderMap) -> Result<Machine, Problem> {
    let refused = || Problem { detail: "Send the machine's own token as bearer.".into(), ..Problem::signed_out() };
    let token = bearer(headers).and_then(|text| Token::parse(TokenKind::Machine, text)).ok_or_else(refused)?;
    let mut tx = web.db.system().await.or_problem()?;
    let found = app::machines::by_machine_token(&mut tx, &token).await.or_problem()?;
    found.ok_or_else(refused)
}

async fn model_key(web: &Web, headers: &HeaderMap) -> Result<Machine, Problem> {
    let refused = || Problem { detail: "Send the machine's model key as x-api-key.".into(), ..Problem::signed_out() };
    let given = headers.get("x-api-key").and_then(|value| value.to_str().ok()).or_else(|| bearer(headers));
    let token = given.and_then(|text| Token::parse(TokenKind::Model, text)).ok_or_else(refused)?;
    let mut tx = web.db.system().await.or_problem()?;
    let found = app::machines::by_model_key(&mut tx, &token).await.or_problem()?;
    found.ok_or_else(refused)
}

/// The text after `Bearer ` (the scheme in any case: RFC 9110, 11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, text) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| text.trim())
}

/// The session in the cookie header, if one is there and well-formed.
pub(crate) fn session_token(headers: &HeaderMap, cookie: &str) -> Option<Token> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut values = pairs.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = values.find(|(name, _)| *name == cookie)?;
    Token::parse(TokenKind::Session, value)
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

proofs!(Member, Operator, CronCaller, MetricsCaller, MachineCaller, ModelCaller);

impl FromRequestParts<Web> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
        person(web, &parts.headers).await.map(Self)
    }
}

/// Refuses, before the handler, what another site asks in a visitor's name.
pub(crate) fn same_site(web: &Web, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    crate::edge::origin::check(method, headers, &web.site.public_url)
}
