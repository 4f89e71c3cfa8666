//! Every address that Berth answers, as data.
//!
//! The routers, the OpenAPI document and the access test are made from
//! [`ROUTES`]. A row cannot be written without saying what it [`Needs`]; the
//! wrapper around each handler enforces it, together with the size of the body
//! and the time, so a handler cannot forget.

use std::time::Duration;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::{MethodFilter, MethodRouter, on},
};
use domain::{
    people::Role::{Admin, Member, Owner, Viewer},
    scopes::Scope,
};
use http::{Method, StatusCode, header};
use tower_http::compression::{
    CompressionLayer,
    predicate::{DefaultPredicate, Predicate as _, SizeAbove},
};

use crate::{
    api, assets,
    body::BytesMax,
    edge, figures,
    guard::{self, Asks, Needs},
    llm, ops,
    pace::{Act, Counted},
    pages,
    problem::Problem,
    session::Jar,
    state::Web,
    webhooks,
};

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Reads; also answers `HEAD`.
    Get,
    /// Asks for something.
    Post,
    /// Asks for removal.
    Delete,
}

/// On which listener a route is reachable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Where people and programs come in.
    Public,
    /// The bridge address too, where machines come in.
    Machines,
}

/// What a route takes as its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// No body.
    Nothing,
    /// JSON of this schema in the OpenAPI document, at most 64 KiB.
    Json(&'static str),
    /// A form of one of our pages with these fields, at most 64 KiB.
    Form(&'static [&'static str]),
    /// A request of the Messages API, at most 4 MiB.
    Messages,
    /// A request of the Chat Completions API, at most 4 MiB.
    Chat,
    /// What another system signed as it stands, at most 1 MiB.
    Signed,
}

/// What a route answers when all is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    /// A page.
    Page,
    /// 303 to a page.
    Redirect,
    /// JSON of this schema with this status.
    Json(u16, &'static str),
    /// Nothing but this status.
    Status(u16),
    /// Server-sent events.
    Events,
    /// JSON Lines: one JSON value a line.
    Lines,
    /// A tar archive.
    Archive,
    /// A file or plain text.
    Text,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// What the request does.
    pub verb: Verb,
    /// The path, parameters in braces.
    pub path: &'static str,
    /// What its caller must be.
    pub needs: Needs,
    /// What a personal token must be let do; everything, where the row does not say.
    pub scope: Scope,
    /// One sentence for the documents.
    pub does: &'static str,
    /// Its body.
    pub takes: Takes,
    /// Its answer.
    pub gives: Gives,
    /// On which listener.
    pub door: Door,
    /// From the complete head to the answer's first byte.
    pub seconds: u64,
    /// Whether it counts towards how often its caller may ask. Files compiled in and the eyes of a watchman do not.
    pub counts: bool,
    /// Whether a session must have shown only just who it is ([`guard::RECENT`]).
    pub recent: bool,
    /// Whether people of a suspended tenant are let in, too.
    pub suspended_too: bool,
    mount: fn(MethodFilter) -> MethodRouter<Web>,
}

impl Route {
    const fn get(
        path: &'static str,
        needs: Needs,
        gives: Gives,
        does: &'static str,
        mount: fn(MethodFilter) -> MethodRouter<Web>,
    ) -> Self {
        Self {
            verb: Verb::Get,
            path,
            needs,
            scope: Scope::Read,
            does,
            takes: Takes::Nothing,
            gives,
            door: Door::Public,
            seconds: 30,
            counts: true,
            recent: false,
            suspended_too: matches!(needs, Needs::Person | Needs::Operator),
            mount,
        }
    }

    const fn post(
        path: &'static str,
        needs: Needs,
        gives: Gives,
        does: &'static str,
        mount: fn(MethodFilter) -> MethodRouter<Web>,
    ) -> Self {
        Self { verb: Verb::Post, scope: Scope::All, ..Self::get(path, needs, gives, does, mount) }
    }

    const fn delete(
        path: &'static str,
        needs: Needs,
        gives: Gives,
        does: &'static str,
        mount: fn(MethodFilter) -> MethodRouter<Web>,
    ) -> Self {
        Self { verb: Verb::Delete, scope: Scope::All, ..Self::get(path, needs, gives, does, mount) }
    }

    const fn takes(self, takes: Takes) -> Self {
        Self { takes, ..self }
    }

    const fn scope(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    const fn within(self, seconds: u64) -> Self {
        Self { seconds, ..self }
    }

    const fn uncounted(self) -> Self {
        Self { counts: false, ..self }
    }

    const fn recent(self) -> Self {
        Self { recent: true, ..self }
    }

    const fn suspended_too(self) -> Self {
        Self { suspended_too: true, ..self }
    }

    const fn for_machines(self) -> Self {
        Self { door: Door::Machines, ..self }
    }

    const fn bytes_max(&self) -> usize {
        match self.takes {
            Takes::Nothing => 1024,
            Takes::Json(_) | Takes::Form(_) => 64 * 1024,
            Takes::Signed => 1024 * 1024,
            Takes::Messages | Takes::Chat => 4 * 1024 * 1024,
        }
    }

    const fn asks(&self) -> Asks {
        Asks { needs: self.needs, scope: self.scope, recent: self.recent, suspended_too: self.suspended_too }
    }

    const fn filter(&self) -> MethodFilter {
        match self.verb {
            Verb::Get => MethodFilter::GET,
            Verb::Post => MethodFilter::POST,
            Verb::Delete => MethodFilter::DELETE,
        }
    }
}

impl Verb {
    /// As in HTTP.
    #[must_use]
    pub const fn method(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Post => Method::POST,
            Self::Delete => Method::DELETE,
        }
    }
}

const OPEN: Needs = Needs::Open;
const PERSON: Needs = Needs::Person;
const READS: Needs = Needs::Member(Viewer);
const RUNS: Needs = Needs::Member(Member);
const MANAGES: Needs = Needs::Member(Admin);
const OWNS: Needs = Needs::Member(Owner);
const OPERATES: Needs = Needs::Operator;
const AGENT: Gives = Gives::Json(202, "Agent");

/// The table.
#[rustfmt::skip]
pub static ROUTES: &[Route] = &[
    // Open.
    Route::get("/", OPEN, Gives::Redirect, "The way in: the dashboard, or the sign-in page", |m| on(m, pages::entry::home)),
    Route::get("/health", OPEN, Gives::Json(200, "Health"), "Whether the process is up", |m| on(m, ops::health)).for_machines().uncounted(),
    Route::get("/metrics", Needs::Metrics, Gives::Text, "What was counted, in the Prometheus text format", |m| on(m, figures::metrics)),
    Route::get("/ready", OPEN, Gives::Json(200, "Health"), "Whether the database answers and work is done", |m| on(m, ops::ready)).uncounted(),
    Route::get("/openapi.json", OPEN, Gives::Json(200, "Anything"), "This document", |m| on(m, ops::openapi)),
    Route::get("/.well-known/security.txt", OPEN, Gives::Text, "Where to report a vulnerability (RFC 9116)", |m| on(m, ops::security_txt)),
    Route::get("/assets/{file}", OPEN, Gives::Text, "Style, script and icons of the pages", |m| on(m, assets::serve)).uncounted(),
    // Signing in and out.
    Route::get("/setup", OPEN, Gives::Page, "Set-up of the first operator, by the one-time link printed at start", |m| on(m, pages::setup::show)),
    Route::post("/setup", OPEN, Gives::Redirect, "Uses the set-up link", |m| on(m, pages::setup::finish)).takes(Takes::Form(&["link", "email", "tenant"])),
    Route::get("/login", OPEN, Gives::Page, "Sign-in: at a vendor, by a link that is mailed, by personal token or one-time link", |m| on(m, pages::login::show)),
    Route::post("/login", OPEN, Gives::Redirect, "Starts a session", |m| on(m, pages::login::sign_in)).takes(Takes::Form(&["token", "link", "next"])),
    Route::get("/signup", OPEN, Gives::Page, "Sign-up: first the invite, then who you are", |m| on(m, pages::signup::show)),
    Route::post("/signup", OPEN, Gives::Redirect, "Takes an invite's code and keeps it in the browser", |m| on(m, pages::signup::take_code)).takes(Takes::Form(&["code"])),
    Route::get("/waitlist", OPEN, Gives::Page, "Asking to be let in", |m| on(m, pages::waitlist::show)),
    Route::post("/waitlist", OPEN, Gives::Redirect, "Puts an address on the waitlist", |m| on(m, pages::waitlist::join)).takes(Takes::Form(&["email"])),
    Route::post("/auth/mail", OPEN, Gives::Redirect, "Asks for a link by mail; the answer does not tell whether the address is known", |m| on(m, pages::letters::ask)).takes(Takes::Form(&["email", "next"])),
    Route::get("/auth/{provider}/start", OPEN, Gives::Redirect, "The way to a vendor's sign-in", |m| on(m, pages::vendor::start)),
    Route::get("/auth/{provider}/callback", OPEN, Gives::Redirect, "The way back from it, once, for the browser that went there", |m| on(m, pages::vendor::callback)),
    Route::post("/logout", OPEN, Gives::Redirect, "Ends the session", |m| on(m, pages::login::sign_out)).takes(Takes::Form(&[])),
    // Pages.
    Route::get("/dashboard", READS, Gives::Page, "All agents of the tenant", |m| on(m, pages::dashboard::show)),
    Route::get("/welcome", READS, Gives::Page, "Setting up the first agent, one question a page; `step` goes back to one", |m| on(m, pages::welcome::show)),
    Route::post("/welcome", RUNS, Gives::Redirect, "Keeps the answer to one question", |m| on(m, pages::welcome::answer)).takes(Takes::Form(&["step", "name", "model", "instructions"])).scope(Scope::Agents),
    Route::post("/welcome/finish", RUNS, Gives::Redirect, "Creates the agent that was described; sent twice it is one", |m| on(m, pages::welcome::finish)).takes(Takes::Form(&["instructions"])).scope(Scope::Agents),
    Route::post("/welcome/skip", RUNS, Gives::Redirect, "Remembers that the questions are not wanted", |m| on(m, pages::welcome::skip)).takes(Takes::Form(&[])).scope(Scope::Agents),
    Route::get("/settings", READS, Gives::Page, "Who you are and how programs sign in", |m| on(m, pages::settings::show)),
    Route::post("/settings/tokens", READS, Gives::Page, "Issues a personal token and shows it once", |m| on(m, pages::settings::issue)).takes(Takes::Form(&["name", "days", "scope"])).scope(Scope::Tokens),
    Route::post("/settings/tokens/{id}/revoke", READS, Gives::Redirect, "Revokes a personal token", |m| on(m, pages::settings::revoke)).takes(Takes::Form(&[])).scope(Scope::Tokens),
    Route::post("/settings/erase", PERSON, Gives::Redirect, "Erases your own account; your address is typed", |m| on(m, pages::account::erase)).takes(Takes::Form(&["email"])).recent(),
    Route::get("/team", READS, Gives::Page, "Who belongs to the tenant, and who is invited", |m| on(m, pages::team::show)),
    Route::post("/team/invitations", MANAGES, Gives::Redirect, "Invites somebody by mail", |m| on(m, pages::team::invite)).takes(Takes::Form(&["email", "role"])).scope(Scope::Members),
    Route::post("/team/invitations/{id}/revoke", MANAGES, Gives::Redirect, "Takes an invitation back", |m| on(m, pages::team::take_back)).takes(Takes::Form(&[])).scope(Scope::Members),
    Route::post("/team/members/{id}/role", MANAGES, Gives::Redirect, "Changes a member's role, up to the caller's own", |m| on(m, pages::team::change_role)).takes(Takes::Form(&["role"])).scope(Scope::Members),
    Route::post("/team/members/{id}/remove", MANAGES, Gives::Redirect, "Removes a member, whose address is typed", |m| on(m, pages::team::remove)).takes(Takes::Form(&["email"])).scope(Scope::Members),
    Route::post("/team/members/{id}/owner", OWNS, Gives::Redirect, "Hands the ownership over to a member, whose address is typed", |m| on(m, pages::team::hand_over)).takes(Takes::Form(&["email"])).recent(),
    Route::post("/team/leave", READS, Gives::Redirect, "Leaves the tenant, whose name is typed", |m| on(m, pages::team::leave)).takes(Takes::Form(&["name"])),
    Route::get("/tenants", READS, Gives::Page, "The tenants that you belong to", |m| on(m, pages::tenants::show)).suspended_too(),
    Route::post("/tenants/{id}/switch", READS, Gives::Redirect, "Lets the session act for another tenant", |m| on(m, pages::tenants::switch)).takes(Takes::Form(&[])).suspended_too(),
    Route::post("/tenants/{id}/erase", OWNS, Gives::Redirect, "Has the tenant erased in thirty days; its name is typed", |m| on(m, pages::tenants::erase)).takes(Takes::Form(&["name"])).recent(),
    Route::post("/tenants/{id}/keep", OWNS, Gives::Redirect, "Keeps a tenant that was to be erased", |m| on(m, pages::tenants::keep)).takes(Takes::Form(&[])),
    Route::get("/billing", READS, Gives::Page, "What the tenant has, what it costs, and what of it is used", |m| on(m, pages::billing::show)),
    Route::get("/billing/return", READS, Gives::Page, "Coming back from Stripe; Stripe is asked anew", |m| on(m, pages::billing::come_back)),
    Route::post("/billing/checkout", MANAGES, Gives::Page, "Leads to a page at Stripe on which a plan is taken out", |m| on(m, pages::billing::checkout)).takes(Takes::Form(&["plan"])),
    Route::post("/billing/portal", MANAGES, Gives::Page, "Leads to a page at Stripe with invoices and ways to pay", |m| on(m, pages::billing::portal)).takes(Takes::Form(&[])),
    Route::get("/invitation", OPEN, Gives::Page, "An invitation into a tenant, by the link that was mailed", |m| on(m, pages::invitation::show)),
    Route::post("/invitation", OPEN, Gives::Redirect, "Joins the tenant", |m| on(m, pages::invitation::accept)).takes(Takes::Form(&["link"])),
    Route::get("/sessions", PERSON, Gives::Page, "Where you are signed in", |m| on(m, pages::sessions::show)),
    Route::post("/sessions/{id}/end", PERSON, Gives::Redirect, "Ends one of your sessions", |m| on(m, pages::sessions::end)).takes(Takes::Form(&[])),
    Route::post("/sessions/end-others", PERSON, Gives::Redirect, "Ends all of your sessions but this one", |m| on(m, pages::sessions::end_others)).takes(Takes::Form(&[])),
    Route::get("/agents", READS, Gives::Redirect, "The dashboard", |m| on(m, pages::entry::agents)),
    Route::post("/agents", RUNS, Gives::Redirect, "Creates an agent", |m| on(m, pages::dashboard::create)).takes(Takes::Form(&["name"])).scope(Scope::Agents),
    Route::get("/agents/{id}", READS, Gives::Page, "One agent: state, machine, timeline, conversation, logs", |m| on(m, pages::agent::show)),
    Route::post("/agents/{id}/stop", RUNS, Gives::Redirect, "Lets the agent rest", |m| on(m, pages::acts::stop)).takes(Takes::Form(&[])).scope(Scope::Agents),
    Route::post("/agents/{id}/start", RUNS, Gives::Redirect, "Wants the agent to answer", |m| on(m, pages::acts::start)).takes(Takes::Form(&[])).scope(Scope::Agents),
    Route::post("/agents/{id}/restart", RUNS, Gives::Redirect, "Restarts the agent's gateway", |m| on(m, pages::acts::restart)).takes(Takes::Form(&[])).scope(Scope::Agents),
    Route::post("/agents/{id}/proof", RUNS, Gives::Redirect, "Asks for a proof", |m| on(m, pages::acts::prove)).takes(Takes::Form(&[])).scope(Scope::Agents),
    Route::post("/agents/{id}/retry", RUNS, Gives::Redirect, "Tries again after a failure", |m| on(m, pages::acts::retry)).takes(Takes::Form(&[])).scope(Scope::Agents),
    Route::post("/agents/{id}/turns", RUNS, Gives::Redirect, "Says something to the agent", |m| on(m, pages::talk::say)).takes(Takes::Form(&["text", "live"])).scope(Scope::Talk),
    Route::post("/agents/{id}/logs", RUNS, Gives::Redirect, "Asks for the machine's last log lines", |m| on(m, pages::talk::logs)).takes(Takes::Form(&["live"])).scope(Scope::Talk),
    Route::post("/agents/{id}/delete", MANAGES, Gives::Redirect, "Destroys the agent and its machine", |m| on(m, pages::acts::delete)).takes(Takes::Form(&["name"])).scope(Scope::Agents).recent(),
    Route::get("/credentials", READS, Gives::Page, "The tenant's keys to models", |m| on(m, pages::credentials::show)),
    Route::post("/credentials", RUNS, Gives::Redirect, "Sets a credential of the tenant or of one agent", |m| on(m, pages::credentials::set)).takes(Takes::Form(&["kind", "agent", "name", "base_url", "value"])),
    Route::post("/credentials/{id}/test", RUNS, Gives::Redirect, "Asks the vendor whether the credential is still good", |m| on(m, pages::credentials::test)).takes(Takes::Form(&[])),
    Route::post("/credentials/{id}/remove", RUNS, Gives::Redirect, "Removes a credential", |m| on(m, pages::credentials::remove)).takes(Takes::Form(&[])),
    Route::get("/agents/{id}/credentials", READS, Gives::Page, "An agent's bots and variables, and which of them are in force", |m| on(m, pages::credentials::of_agent)),
    Route::post("/agents/{id}/rotate", MANAGES, Gives::Redirect, "Has its machine's gateway token and machine key replaced; its name is typed", |m| on(m, pages::rotation::rotate)).takes(Takes::Form(&["name"])).scope(Scope::Agents),
    Route::post("/agents/{id}/pairings", RUNS, Gives::Page, "Looks who waits to be let in at the agent's channels", |m| on(m, pages::credentials::look)).takes(Takes::Form(&[])).within(75),
    Route::post("/agents/{id}/pairings/approve", RUNS, Gives::Redirect, "Lets somebody in who waits", |m| on(m, pages::credentials::approve)).takes(Takes::Form(&["channel", "request"])).within(75),
    Route::get("/audit", MANAGES, Gives::Page, "Who did what in the tenant, newest first", |m| on(m, pages::audit::show)),
    // The operator's pages.
    Route::get("/admin", OPERATES, Gives::Page, "Open alerts, and how much there is of everything", |m| on(m, pages::admin::overview::show)).scope(Scope::Operate),
    Route::get("/admin/alerts", OPERATES, Gives::Page, "Alerts, newest first", |m| on(m, pages::admin::alerts::show)).scope(Scope::Operate),
    Route::get("/admin/alerts/{id}", OPERATES, Gives::Page, "One alert with its deliveries", |m| on(m, pages::admin::alert::show)).scope(Scope::Operate),
    Route::post("/admin/alerts/{id}/acknowledge", OPERATES, Gives::Redirect, "Says that you know: it does not fire again", |m| on(m, pages::admin::alert::acknowledge)).takes(Takes::Form(&[])).scope(Scope::Operate),
    Route::post("/admin/alerts/{id}/take-back", OPERATES, Gives::Redirect, "Takes that back: it fires again when it is due", |m| on(m, pages::admin::alert::take_back)).takes(Takes::Form(&[])).scope(Scope::Operate),
    Route::get("/factor", READS, Gives::Page, "An operator's second factor", |m| on(m, pages::factor::show)),
    Route::post("/factor/begin", READS, Gives::Page, "Draws an authenticator's secret and shows it once", |m| on(m, pages::factor::begin)).takes(Takes::Form(&["next"])),
    Route::post("/factor", READS, Gives::Redirect, "Gives a code: it holds for twelve hours in this browser", |m| on(m, pages::factor::give)).takes(Takes::Form(&["code", "next"])),
    Route::get("/admin/tenants", OPERATES, Gives::Page, "Tenants, newest first, without their names", |m| on(m, pages::admin::tenants::show)).scope(Scope::Operate),
    Route::get("/admin/tenants/{id}", OPERATES, Gives::Page, "One tenant; asks for a reason before its data is read", |m| on(m, pages::admin::tenant::show)).scope(Scope::Operate),
    Route::post("/admin/tenants/{id}", OPERATES, Gives::Page, "Shows a tenant's data; the reason stands in the tenant's audit", |m| on(m, pages::admin::tenant::read)).takes(Takes::Form(&["reason"])).scope(Scope::Operate),
    Route::post("/admin/tenants/{id}/suspend", OPERATES, Gives::Redirect, "Takes a tenant out of service; its people read the reason", |m| on(m, pages::admin::suspension::tenant)).takes(Takes::Form(&["reason"])).scope(Scope::Operate).recent(),
    Route::post("/admin/tenants/{id}/restore", OPERATES, Gives::Redirect, "Takes a tenant back into service", |m| on(m, pages::admin::suspension::restore_tenant)).takes(Takes::Form(&[])).scope(Scope::Operate),
    Route::get("/admin/users", OPERATES, Gives::Page, "People, newest first, without their addresses; one by their address", |m| on(m, pages::admin::users::show)).scope(Scope::Operate),
    Route::post("/admin/users/{id}/suspend", OPERATES, Gives::Redirect, "Lets somebody do nothing; they read the reason", |m| on(m, pages::admin::suspension::user)).takes(Takes::Form(&["reason"])).scope(Scope::Operate).recent(),
    Route::post("/admin/users/{id}/restore", OPERATES, Gives::Redirect, "Lets somebody in again", |m| on(m, pages::admin::suspension::restore_user)).takes(Takes::Form(&[])).scope(Scope::Operate),
    Route::get("/admin/audit", OPERATES, Gives::Page, "What operators did, newest first", |m| on(m, pages::admin::audit::show)).scope(Scope::Operate),
    Route::get("/admin/machines", OPERATES, Gives::Page, "Machines, newest first", |m| on(m, pages::admin::machines::show)).scope(Scope::Operate),
    Route::get("/admin/flows", OPERATES, Gives::Page, "Flows, newest first, each with what it waits for", |m| on(m, pages::admin::flows::show)).scope(Scope::Operate),
    Route::get("/admin/flows/{id}", OPERATES, Gives::Page, "What one flow waits for", |m| on(m, pages::admin::flow::show)).scope(Scope::Operate),
    Route::get("/admin/schedules", OPERATES, Gives::Page, "When jobs run by themselves, and their last runs", |m| on(m, pages::admin::schedules::show)).scope(Scope::Operate),
    Route::post("/admin/schedules/{job}", OPERATES, Gives::Redirect, "Changes when a job runs by itself", |m| on(m, pages::admin::schedules::change)).takes(Takes::Form(&["cron", "enabled", "catch_up"])).scope(Scope::Operate),
    Route::post("/admin/schedules/{job}/runs", OPERATES, Gives::Redirect, "Runs a job now, or joins the run under way", |m| on(m, pages::admin::schedules::run)).takes(Takes::Form(&[])).scope(Scope::Operate),
    Route::get("/admin/pool", OPERATES, Gives::Page, "Spare machines, and what each waits for", |m| on(m, pages::admin::pool::show)).scope(Scope::Operate),
    Route::post("/admin/pool/refill", OPERATES, Gives::Redirect, "Counts the spares and makes those that are missing", |m| on(m, pages::admin::pool::refill)).takes(Takes::Form(&[])).scope(Scope::Operate),
    Route::get("/admin/subscriptions", OPERATES, Gives::Page, "Tenants by what they pay, newest first", |m| on(m, pages::admin::subscriptions::show)).scope(Scope::Operate),
    Route::get("/admin/revenue", OPERATES, Gives::Page, "What a month brings and costs, of all tenants and of each; who begins to pay and who leaves", |m| on(m, pages::admin::revenue::show)).scope(Scope::Operate),
    Route::get("/admin/events", OPERATES, Gives::Page, "What Stripe told, newest first, and what came of it", |m| on(m, pages::admin::events::show)).scope(Scope::Operate),
    Route::get("/admin/events/{id}", OPERATES, Gives::Page, "One event; of its body nothing is shown that could be a person's or a secret", |m| on(m, pages::admin::event::show)).scope(Scope::Operate),
    Route::post("/admin/events/{id}/read", OPERATES, Gives::Redirect, "Has an event understood once more", |m| on(m, pages::admin::event::read)).takes(Takes::Form(&[])).scope(Scope::Operate),
    Route::get("/admin/differences", OPERATES, Gives::Page, "What was otherwise here than at Stripe, newest first", |m| on(m, pages::admin::differences::show)).scope(Scope::Operate),
    Route::get("/admin/plans", OPERATES, Gives::Page, "What can be bought, and how much of everything it holds", |m| on(m, pages::admin::plans::show)).scope(Scope::Operate),
    Route::post("/admin/plans", OPERATES, Gives::Redirect, "Changes a plan; who has it keeps its price", |m| on(m, pages::admin::plans::change)).takes(Takes::Form(&["plan", "title", "price", "cents", "currency", "trial_days", "agents", "daily_model", "cpus", "memory_mib", "machine_cents"])).scope(Scope::Operate).recent(),
    Route::post("/admin/tenants/{id}/gift", OPERATES, Gives::Redirect, "Lets a tenant off paying, as on a plan, for some days or for good", |m| on(m, pages::admin::gifts::give)).takes(Takes::Form(&["plan", "days"])).scope(Scope::Operate).recent(),
    Route::post("/admin/tenants/{id}/gift/end", OPERATES, Gives::Redirect, "Has a tenant pay again", |m| on(m, pages::admin::gifts::end)).takes(Takes::Form(&[])).scope(Scope::Operate).recent(),
    Route::get("/admin/invites", OPERATES, Gives::Page, "Invites, newest first", |m| on(m, pages::admin::invites::show)).scope(Scope::Operate),
    Route::post("/admin/invites", OPERATES, Gives::Page, "Makes invites and shows their codes, once", |m| on(m, pages::admin::invites::make)).takes(Takes::Form(&["codes", "uses", "days", "note", "plan", "gift_days"])).scope(Scope::Operate),
    Route::post("/admin/invites/{id}/revoke", OPERATES, Gives::Redirect, "Takes an invite back", |m| on(m, pages::admin::invites::revoke)).takes(Takes::Form(&[])).scope(Scope::Operate),
    Route::get("/admin/letters", OPERATES, Gives::Page, "Every mail to people, with made-up facts", |m| on(m, pages::admin::letters::show)).scope(Scope::Operate),
    Route::get("/admin/letters/{letter}", OPERATES, Gives::Text, "One of them as a mail program shows it", |m| on(m, pages::admin::letters::dressed)).scope(Scope::Operate),
    Route::get("/admin/waitlist", OPERATES, Gives::Page, "Who asked to be let in", |m| on(m, pages::admin::waitlist::show)).scope(Scope::Operate),
    Route::post("/admin/waitlist/{id}/invite", OPERATES, Gives::Redirect, "Invites somebody who waits: the mail carries the code", |m| on(m, pages::admin::waitlist::invite)).takes(Takes::Form(&[])).scope(Scope::Operate),
    // The API.
    Route::post("/api/v1/invites/validate", OPEN, Gives::Json(200, "InviteVerdict"), "Whether somebody could sign up with this code now", |m| on(m, api::invites::validate)).takes(Takes::Json("InviteCode")),
    Route::post("/api/v1/waitlist", OPEN, Gives::Json(202, "Waitlisted"), "Puts an address on the waitlist; the answer does not tell whether it was there already", |m| on(m, api::waitlist::join)).takes(Takes::Json("NewWaiting")),
    Route::get("/api/v1/sessions", PERSON, Gives::Json(200, "Sessions"), "Where you are signed in", |m| on(m, api::sessions::list)),
    Route::delete("/api/v1/sessions/{id}", PERSON, Gives::Status(204), "Ends one of your sessions, everywhere within a second", |m| on(m, api::sessions::end)),
    Route::get("/api/v1/me", READS, Gives::Json(200, "Me"), "Who is calling", |m| on(m, api::me::show)),
    Route::delete("/api/v1/me", PERSON, Gives::Json(200, "ErasedAccount"), "Erases your own account; a tenant that is yours alone is erased after thirty days. 409 while others would be left without an owner", |m| on(m, api::me::erase)).recent(),
    Route::get("/api/v1/model", READS, Gives::Json(200, "Model"), "Which model answers the tenant's agents, and what of today's budget is used", |m| on(m, api::model::show)),
    Route::get("/api/v1/agents", READS, Gives::Json(200, "Agents"), "The tenant's agents, oldest first; `after` and `limit` page through them", |m| on(m, api::agents::list)),
    Route::post("/api/v1/agents", RUNS, Gives::Json(201, "Agent"), "Creates an agent; an Idempotency-Key makes repeating safe", |m| on(m, api::agents::create)).takes(Takes::Json("NewAgent")).scope(Scope::Agents),
    Route::get("/api/v1/agents/{id}", READS, Gives::Json(200, "Agent"), "One agent", |m| on(m, api::agents::show)),
    Route::delete("/api/v1/agents/{id}", MANAGES, AGENT, "Destroys the agent and its machine; 404 once it is gone", |m| on(m, api::agents::remove)).scope(Scope::Agents).recent(),
    Route::post("/api/v1/agents/{id}/stop", RUNS, AGENT, "Lets the agent rest", |m| on(m, api::agents::stop)).scope(Scope::Agents),
    Route::post("/api/v1/agents/{id}/start", RUNS, AGENT, "Wants the agent to answer", |m| on(m, api::agents::start)).scope(Scope::Agents),
    Route::post("/api/v1/agents/{id}/restart", RUNS, AGENT, "Restarts the agent's gateway", |m| on(m, api::agents::restart)).scope(Scope::Agents),
    Route::post("/api/v1/agents/{id}/retry", RUNS, AGENT, "Tries again after a failure", |m| on(m, api::agents::retry)).scope(Scope::Agents),
    Route::post("/api/v1/agents/{id}/proofs", RUNS, AGENT, "Asks for a proof: a real turn through the agent's gateway", |m| on(m, api::agents::prove)).scope(Scope::Agents),
    Route::post("/api/v1/agents/{id}/rotate", MANAGES, AGENT, "Has its machine's gateway token and machine key replaced, at its next start where it is stopped", |m| on(m, api::agents::rotate)).scope(Scope::Agents),
    Route::post("/api/v1/agents/{id}/turns", RUNS, Gives::Json(200, "Turn"), "Says something to the agent and waits for the answer, at most `wait` seconds (60); 202 with a Location when it takes longer", |m| on(m, api::turns::say)).takes(Takes::Json("NewTurn")).within(75).scope(Scope::Talk),
    Route::get("/api/v1/agents/{id}/turns/{turn}", READS, Gives::Json(200, "Turn"), "One turn, kept ten minutes", |m| on(m, api::turns::show)),
    Route::get("/api/v1/agents/{id}/logs", RUNS, Gives::Json(200, "Logs"), "The machine's last log lines, secrets redacted", |m| on(m, api::turns::logs)).within(45).scope(Scope::Talk),
    Route::get("/api/v1/agents/{id}/pairings", RUNS, Gives::Json(200, "Pairings"), "Who waits to be let in at the agent's channels, as its machine says", |m| on(m, api::pairings::list)).within(75).scope(Scope::Talk),
    Route::post("/api/v1/agents/{id}/pairings", RUNS, Gives::Status(204), "Lets somebody in who waits: from then on the agent hears them", |m| on(m, api::pairings::approve)).takes(Takes::Json("NewApproval")).within(75),
    Route::get("/api/v1/agents/{id}/events", READS, Gives::Events, "What happens to the agent, as it happens; replay by Last-Event-ID or `after`", |m| on(m, api::events::stream)),
    Route::get("/api/v1/tenants", READS, Gives::Json(200, "Tenants"), "The tenants that the caller belongs to", |m| on(m, api::members::tenants)).suspended_too(),
    Route::delete("/api/v1/tenants/{id}", OWNS, Gives::Json(202, "Erasure"), "Has the tenant erased in thirty days, with everything that belongs to it", |m| on(m, api::tenants::erase)).recent(),
    Route::post("/api/v1/tenants/{id}/keep", OWNS, Gives::Status(204), "Keeps a tenant that was to be erased", |m| on(m, api::tenants::keep)),
    Route::get("/api/v1/export", OWNS, Gives::Archive, "Everything of the tenant as a tar archive of JSON Lines; docs/EXPORT.md says what is where", |m| on(m, api::export::stream)).scope(Scope::All).recent(),
    Route::get("/api/v1/members", READS, Gives::Json(200, "Members"), "Who belongs to the tenant, and who is invited", |m| on(m, api::members::list)),
    Route::post("/api/v1/members", MANAGES, Gives::Json(202, "Invited"), "Invites somebody by mail", |m| on(m, api::members::invite)).takes(Takes::Json("NewMember")).scope(Scope::Members),
    Route::delete("/api/v1/members/{id}", MANAGES, Gives::Status(204), "Removes a member; their sessions and tokens here end", |m| on(m, api::members::remove)).scope(Scope::Members),
    Route::post("/api/v1/members/{id}/role", MANAGES, Gives::Status(204), "Changes a member's role, up to the caller's own", |m| on(m, api::members::change_role)).takes(Takes::Json("NewRole")).scope(Scope::Members),
    Route::post("/api/v1/members/{id}/owner", OWNS, Gives::Status(204), "Hands the ownership over: the member becomes an owner, the caller an admin", |m| on(m, api::members::hand_over)).recent(),
    Route::post("/api/v1/members/leave", READS, Gives::Status(204), "Leaves the tenant", |m| on(m, api::members::leave)),
    Route::delete("/api/v1/invitations/{id}", MANAGES, Gives::Status(204), "Takes an invitation back", |m| on(m, api::members::take_back)).scope(Scope::Members),
    Route::get("/api/v1/tokens", READS, Gives::Json(200, "Tokens"), "The caller's personal tokens in this tenant", |m| on(m, api::tokens::list)),
    Route::post("/api/v1/tokens", READS, Gives::Json(201, "IssuedToken"), "Issues a personal token, no wider than the caller; it is in the answer and nowhere else", |m| on(m, api::tokens::issue)).takes(Takes::Json("NewToken")).scope(Scope::Tokens),
    Route::delete("/api/v1/tokens/{id}", READS, Gives::Status(204), "Revokes a personal token of the caller's", |m| on(m, api::tokens::revoke)).scope(Scope::Tokens),
    Route::get("/api/v1/credentials", READS, Gives::Json(200, "Credentials"), "What the tenant gave Berth to use, without the values", |m| on(m, api::credentials::list)),
    Route::post("/api/v1/credentials", RUNS, Gives::Json(201, "Credential"), "Sets a credential after its vendor was asked, or puts it in the place of the one before; an agent's is brought to its machine", |m| on(m, api::credentials::set)).takes(Takes::Json("NewCredential")),
    Route::delete("/api/v1/credentials/{id}", RUNS, Gives::Status(204), "Removes a credential, from its agent's machine too", |m| on(m, api::credentials::remove)),
    Route::post("/api/v1/credentials/{id}/test", RUNS, Gives::Json(200, "Credential"), "Asks the vendor whether the credential is still good", |m| on(m, api::credentials::test)),
    Route::get("/api/v1/billing", READS, Gives::Json(200, "Billing"), "How the tenant stands, its plan, and what can be taken out", |m| on(m, api::billing::show)),
    Route::post("/api/v1/billing/checkout", MANAGES, Gives::Json(200, "PageAtStripe"), "Opens a page at Stripe on which a plan is taken out; asked twice, it is one", |m| on(m, api::billing::checkout)).takes(Takes::Json("WantedPlan")),
    Route::post("/api/v1/billing/portal", MANAGES, Gives::Json(200, "PageAtStripe"), "Opens a page at Stripe with invoices and ways to pay", |m| on(m, api::billing::portal)),
    Route::get("/api/v1/audit", MANAGES, Gives::Json(200, "AuditEvents"), "Who did what in the tenant, newest first; `after` and `limit` page through it", |m| on(m, api::audit::list)),
    Route::get("/api/v1/audit/export", MANAGES, Gives::Lines, "The tenant's whole audit chain as JSON Lines; docs/AUDIT.md says how to verify it", |m| on(m, api::audit::export)),
    // The operator's API.
    Route::get("/api/admin/v1/stats", OPERATES, Gives::Json(200, "Stats"), "How much there is of everything", |m| on(m, api::admin::stats::show)).scope(Scope::Operate),
    Route::get("/api/admin/v1/alerts", OPERATES, Gives::Json(200, "Alerts"), "Alerts, newest first; `open` chooses open or closed ones", |m| on(m, api::admin::alerts::list)).scope(Scope::Operate),
    Route::get("/api/admin/v1/alerts/{id}", OPERATES, Gives::Json(200, "Alert"), "One alert with its deliveries", |m| on(m, api::admin::alerts::show)).scope(Scope::Operate),
    Route::post("/api/admin/v1/alerts/{id}/acknowledge", OPERATES, Gives::Json(200, "Alert"), "Says that you know: it does not fire again", |m| on(m, api::admin::alerts::acknowledge)).scope(Scope::Operate),
    Route::delete("/api/admin/v1/alerts/{id}/acknowledge", OPERATES, Gives::Json(200, "Alert"), "Takes that back: it fires again when it is due", |m| on(m, api::admin::alerts::take_back)).scope(Scope::Operate),
    Route::get("/api/admin/v1/tenants", OPERATES, Gives::Json(200, "OperatedTenants"), "Tenants, newest first, without their names", |m| on(m, api::admin::tenants::list)).scope(Scope::Operate),
    Route::post("/api/admin/v1/tenants/{id}/read", OPERATES, Gives::Json(200, "TenantData"), "A tenant's people, its agents, and fingerprints and ages of its credentials; the reason stands in the tenant's audit", |m| on(m, api::admin::tenants::read)).takes(Takes::Json("ReasonToRead")).scope(Scope::Operate),
    Route::post("/api/admin/v1/tenants/{id}/suspension", OPERATES, Gives::Status(204), "Takes a tenant out of service: its people and its agents' model keys are refused, its agents stop; its people read the reason", |m| on(m, api::admin::suspension::tenant)).takes(Takes::Json("ReasonToRead")).scope(Scope::Operate).recent(),
    Route::delete("/api/admin/v1/tenants/{id}/suspension", OPERATES, Gives::Status(204), "Takes a tenant back into service; its agents stay stopped until somebody starts them", |m| on(m, api::admin::suspension::restore_tenant)).scope(Scope::Operate),
    Route::get("/api/admin/v1/subscriptions", OPERATES, Gives::Json(200, "Subscriptions"), "Tenants by what they pay, newest first; `standing` chooses", |m| on(m, api::admin::subscriptions::list)).scope(Scope::Operate),
    Route::get("/api/admin/v1/revenue", OPERATES, Gives::Json(200, "Revenue"), "What a month of all tenants brings and costs, by currency; who began to pay and who left; what became of payments that failed", |m| on(m, api::admin::revenue::show)).scope(Scope::Operate),
    Route::get("/api/admin/v1/revenue/tenants", OPERATES, Gives::Json(200, "TenantMonths"), "What a month of each tenant brings and costs, newest first; `which` chooses `losing` or `unknown`", |m| on(m, api::admin::revenue::list)).scope(Scope::Operate),
    Route::get("/api/admin/v1/events", OPERATES, Gives::Json(200, "StripeEvents"), "What Stripe told, newest first, and what came of it", |m| on(m, api::admin::events::list)).scope(Scope::Operate),
    Route::get("/api/admin/v1/events/{id}", OPERATES, Gives::Json(200, "ShownEvent"), "One event; of its body nothing is shown that could be a person's or a secret", |m| on(m, api::admin::events::show)).scope(Scope::Operate),
    Route::post("/api/admin/v1/events/{id}/read", OPERATES, Gives::Json(202, "ShownEvent"), "Has an event understood once more; asking twice is asking once", |m| on(m, api::admin::events::read)).scope(Scope::Operate),
    Route::get("/api/admin/v1/billing/differences", OPERATES, Gives::Json(200, "Differences"), "What was otherwise here than at Stripe, newest first, and when that was looked at", |m| on(m, api::admin::differences::list)).scope(Scope::Operate),
    Route::get("/api/admin/v1/plans", OPERATES, Gives::Json(200, "Plans"), "What can be bought, and how much of everything it holds", |m| on(m, api::admin::plans::list)).scope(Scope::Operate),
    Route::post("/api/admin/v1/plans", OPERATES, Gives::Json(200, "Plans"), "Puts a plan in the place of the one of its name; who has it keeps its price", |m| on(m, api::admin::plans::change)).takes(Takes::Json("ChangedPlan")).scope(Scope::Operate).recent(),
    Route::post("/api/admin/v1/tenants/{id}/gift", OPERATES, Gives::Status(204), "Lets a tenant off paying, as on a plan, for some days or for good", |m| on(m, api::admin::plans::give)).takes(Takes::Json("Gift")).scope(Scope::Operate).recent(),
    Route::delete("/api/admin/v1/tenants/{id}/gift", OPERATES, Gives::Status(204), "Has a tenant pay again", |m| on(m, api::admin::plans::end_gift)).scope(Scope::Operate).recent(),
    Route::get("/api/admin/v1/users", OPERATES, Gives::Json(200, "OperatedUsers"), "People, newest first, without their addresses; `email` finds one by the whole address", |m| on(m, api::admin::users::list)).scope(Scope::Operate),
    Route::post("/api/admin/v1/users/{id}/suspension", OPERATES, Gives::Status(204), "Lets somebody do nothing, whatever they show; they read the reason", |m| on(m, api::admin::suspension::user)).takes(Takes::Json("ReasonToRead")).scope(Scope::Operate).recent(),
    Route::delete("/api/admin/v1/users/{id}/suspension", OPERATES, Gives::Status(204), "Lets somebody in again", |m| on(m, api::admin::suspension::restore_user)).scope(Scope::Operate),
    Route::get("/api/admin/v1/audit", OPERATES, Gives::Json(200, "AuditEvents"), "What operators did, newest first; `after` and `limit` page through it", |m| on(m, api::admin::audit::list)).scope(Scope::Operate),
    Route::get("/api/admin/v1/machines", OPERATES, Gives::Json(200, "Machines"), "Machines, newest first", |m| on(m, api::admin::machines::list)).scope(Scope::Operate),
    Route::get("/api/admin/v1/flows", OPERATES, Gives::Json(200, "Flows"), "Flows, newest first, each with what it waits for", |m| on(m, api::admin::flows::list)).scope(Scope::Operate),
    Route::get("/api/admin/v1/flows/{id}", OPERATES, Gives::Json(200, "Flow"), "One flow; 404 once it has ended", |m| on(m, api::admin::flows::show)).scope(Scope::Operate),
    Route::get("/api/admin/v1/schedules", OPERATES, Gives::Json(200, "Schedules"), "When jobs run by themselves, each with its last run", |m| on(m, api::admin::schedules::list)).scope(Scope::Operate),
    Route::post("/api/admin/v1/schedules/{job}", OPERATES, Gives::Json(200, "Schedule"), "Changes when a job runs by itself; what is left out stays", |m| on(m, api::admin::schedules::change)).takes(Takes::Json("ScheduleChange")).scope(Scope::Operate),
    Route::get("/api/admin/v1/schedules/{job}/runs", OPERATES, Gives::Json(200, "Runs"), "The runs of a job, newest first, kept thirty days", |m| on(m, api::admin::schedules::runs)).scope(Scope::Operate),
    Route::post("/api/admin/v1/schedules/{job}/runs", OPERATES, Gives::Json(202, "Run"), "Runs a job now; answers with the run under way if there is one", |m| on(m, api::admin::schedules::run)).scope(Scope::Operate),
    Route::get("/api/admin/v1/pool", OPERATES, Gives::Json(200, "Pool"), "How many spares there are and were taken; each spare, newest first, with what it waits for", |m| on(m, api::admin::pool::show)).scope(Scope::Operate),
    Route::get("/api/admin/v1/invites", OPERATES, Gives::Json(200, "Invites"), "Invites, newest first; `open` chooses those that can be used", |m| on(m, api::admin::invites::list)).scope(Scope::Operate),
    Route::post("/api/admin/v1/invites", OPERATES, Gives::Json(201, "NewInvites"), "Makes invites; their codes are in this answer and nowhere else", |m| on(m, api::admin::invites::make)).takes(Takes::Json("InviteWish")).scope(Scope::Operate),
    Route::delete("/api/admin/v1/invites/{id}", OPERATES, Gives::Status(204), "Takes an invite back", |m| on(m, api::admin::invites::revoke)).scope(Scope::Operate),
    Route::get("/api/admin/v1/waitlist", OPERATES, Gives::Json(200, "Waitlist"), "Who asked to be let in, in their order; `waiting=false`: who was invited", |m| on(m, api::admin::waitlist::list)).scope(Scope::Operate),
    Route::post("/api/admin/v1/waitlist/{id}/invite", OPERATES, Gives::Status(204), "Invites somebody who waits: the mail carries the code", |m| on(m, api::admin::waitlist::invite)).scope(Scope::Operate),
    // Cron, machines, the model.
    Route::get("/api/cron/billing", Needs::Cron, Gives::Json(200, "JobRun"), "Compares payments with what stands at Stripe and answers with counts", |m| on(m, api::cron::billing)).within(75),
    Route::post("/api/cron/billing", Needs::Cron, Gives::Json(200, "JobRun"), "Compares payments with what stands at Stripe and answers with counts", |m| on(m, api::cron::billing)).within(75),
    Route::get("/api/cron/health", Needs::Cron, Gives::Json(200, "JobRun"), "Looks at every machine and answers with counts", |m| on(m, api::cron::health)).within(75),
    Route::post("/api/cron/health", Needs::Cron, Gives::Json(200, "JobRun"), "Looks at every machine and answers with counts", |m| on(m, api::cron::health)).within(75),
    Route::get("/api/cron/pool", Needs::Cron, Gives::Json(200, "JobRun"), "Makes the spare machines that are missing and answers with counts", |m| on(m, api::cron::pool)).within(75),
    Route::post("/api/cron/pool", Needs::Cron, Gives::Json(200, "JobRun"), "Makes the spare machines that are missing and answers with counts", |m| on(m, api::cron::pool)).within(75),
    Route::get("/api/cron/retention", Needs::Cron, Gives::Json(200, "JobRun"), "Forgets what is kept for a while only and answers with counts", |m| on(m, api::cron::retention)).within(75),
    Route::post("/api/cron/retention", Needs::Cron, Gives::Json(200, "JobRun"), "Forgets what is kept for a while only and answers with counts", |m| on(m, api::cron::retention)).within(75),
    Route::post("/api/internal/machine/events", Needs::Machine, Gives::Status(204), "A machine tells what happened to it", |m| on(m, api::machine::event)).takes(Takes::Json("MachineEvent")).for_machines(),
    Route::post("/webhooks/stripe", Needs::Stripe, Gives::Status(204), "Stripe tells that something happened: kept as it came, understood later", |m| on(m, webhooks::stripe)).takes(Takes::Signed).uncounted(),
    Route::post("/llm/v1/messages", Needs::ModelKey, Gives::Json(200, "Anything"), "The agent's model in the shape of Anthropic's Messages API: Berth's built-in proof model, a vendor's with the tenant's own key, or one within the tenant's daily budget", |m| on(m, llm::messages)).takes(Takes::Messages).within(330).for_machines(),
    Route::post("/llm/v1/messages/count_tokens", Needs::ModelKey, Gives::Json(200, "Anything"), "An estimate of a request's tokens", |m| on(m, llm::count_tokens)).takes(Takes::Messages).for_machines(),
    Route::post("/llm/v1/chat/completions", Needs::ModelKey, Gives::Json(200, "Anything"), "The agent's model in the shape of OpenAI's Chat Completions, with the tenant's own key: the model is VENDOR/MODEL, and the vendor openai, openrouter or compatible", |m| on(m, llm::completions)).takes(Takes::Chat).within(330).for_machines(),
];

/// The router of one listener: everything on the public one, the machine routes alone on the other.
pub fn router(web: Web, door: Door) -> Router {
    let mut router = Router::new();
    for route in ROUTES.iter().filter(|route| door == Door::Public || route.door == Door::Machines) {
        let guarded = (route.mount)(route.filter()).route_layer(from_fn_with_state((web.clone(), route), admit));
        router = router.route(route.path, guarded);
    }
    let squeeze = CompressionLayer::new().compress_when(DefaultPredicate::new().and(SizeAbove::new(1024)));
    router
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async {
            let detail = "This address exists, but not for this method. The Allow header names those it takes.";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
        })
        .layer(from_fn_with_state(web.clone(), edge::attend))
        .layer(squeeze)
        .with_state(web)
}

/// Around each handler: origin, how often, guard, size, time.
async fn admit(State((web, route)): State<(Web, &'static Route)>, mut request: Request, next: Next) -> Response {
    let jar = Jar::default();
    request.extensions_mut().insert(jar.clone());
    let mut response = if let Err(problem) = check(&web, route, &mut request).await {
        problem.into_response()
    } else {
        request.extensions_mut().insert(BytesMax(route.bytes_max()));
        within(Duration::from_secs(route.seconds), next.run(request)).await
    };
    jar.empty_into(response.headers_mut());
    response
}

/// The answer, unless it takes too long; the reading of a slow body counts.
async fn within(longest: Duration, answer: impl Future<Output = Response>) -> Response {
    tokio::time::timeout(longest, answer).await.unwrap_or_else(|_| {
        let detail = "The request took too long: either its body arrived too slowly or the work is not done yet.";
        Problem { retry_after_seconds: Some(5), ..Problem::unavailable("took-too-long", detail) }.into_response()
    })
}

async fn check(web: &Web, route: &Route, request: &mut Request) -> Result<(), Problem> {
    guard::same_site(web, request.method(), request.headers())?;
    let act = if route.verb == Verb::Get { Act::Reads } else { Act::Changes };
    if let Some(source) = request.extensions().get().copied().filter(|_| route.counts) {
        web.site.pace.take(Counted::Source(source), act)?;
    }
    let account = guard::admit(web, route.asks(), request).await?;
    if let Some(account) = account.filter(|_| route.counts) {
        web.site.pace.take(Counted::Account(account), act)?;
    }
    let length =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > route.bytes_max()) {
        return Err(Problem::too_large(route.bytes_max()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Form;
    use axum::{body::Body, extract::FromRequest as _};
    use futures::stream;

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up() {
        let drip = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Some((Ok::<_, std::io::Error>("a"), ()))
        });
        let mut request = Request::new(Body::from_stream(drip));
        request.extensions_mut().insert(BytesMax(64 * 1024));
        let form = http::HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(header::CONTENT_TYPE, form);
        let read = async {
            Form::from_request(request, &())
                .await
                .map_or_else(Problem::into_response, |_| StatusCode::OK.into_response())
        };
        assert_eq!(within(Duration::from_millis(60), read).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
