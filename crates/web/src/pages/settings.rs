//! `/settings`: who you are, and the tokens with which programs sign in.

use std::sync::Arc;

use app::tokens::{TokenError, Wish};
use askama::Template;
use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use domain::{id, people::Caller, scopes::Scope};
use http::StatusCode;
use store::tokens::TokenRow;

use crate::{
    api::agents::sentence,
    body::{At, Form},
    guard::Member,
    pages::{
        self,
        frame::Frame,
        words::{Moment, ago},
    },
    problem::Problem,
    state::{Site, Web},
};

/// The lives that the form offers, in days.
const LIVES: [u32; 4] = [7, 30, 90, 365];

/// The page.
#[derive(Template)]
#[template(path = "settings.html")]
pub struct SettingsPage {
    frame: Frame,
    email: String,
    tenant: String,
    role: &'static str,
    operator: bool,
    user_id: String,
    tenant_id: String,
    base: String,
    tokens: Vec<TokenLine>,
    /// A token that was just issued: shown here, once.
    fresh: Option<String>,
    typed: Typed,
    fault: Option<String>,
    erase_fault: Option<String>,
}

/// One token of the list.
struct TokenLine {
    id: String,
    name: String,
    scopes: String,
    used: String,
    expires: Moment,
    is_expired: bool,
}

/// The form, as it was filled in.
struct Typed {
    name: String,
    lives: Vec<(u32, bool)>,
    scopes: Vec<Choice>,
}

struct Choice {
    word: &'static str,
    told: &'static str,
    is_chosen: bool,
}

impl SettingsPage {
    /// `base` is where people reach Berth.
    #[must_use]
    pub fn new(caller: &Caller, base: &str, tokens: Vec<TokenRow>, now: DateTime<Utc>) -> Self {
        Self {
            frame: Frame::of(caller, "settings", "Settings"),
            email: caller.email.as_str().to_owned(),
            tenant: caller.tenant_name.clone(),
            role: caller.role.name(),
            operator: caller.is_operator,
            user_id: caller.user.to_string(),
            tenant_id: caller.tenant.to_string(),
            base: base.to_owned(),
            tokens: tokens.into_iter().map(|row| TokenLine::new(row, now)).collect(),
            fresh: None,
            typed: Typed::new("", 90, &[Scope::Read.name()], caller.is_operator),
            fault: None,
            erase_fault: None,
        }
    }

    /// Why the account was not erased.
    #[must_use]
    pub fn not_erased(self, fault: String) -> Self {
        Self { erase_fault: Some(fault), ..self }
    }

    /// Shows a token that was just issued.
    #[must_use]
    pub fn showing(self, token: &str) -> Self {
        Self { fresh: Some(token.to_owned()), ..self }
    }

    /// The form as it was filled in, with what is wrong with it.
    #[must_use]
    pub fn refused(self, wish: &Wish<'_>, fault: String) -> Self {
        let typed = Typed::new(wish.name, wish.days, &wish.scopes, self.operator);
        Self { typed, fault: Some(fault), ..self }
    }
}

impl TokenLine {
    fn new(row: TokenRow, now: DateTime<Utc>) -> Self {
        Self {
            id: row.id.to_string(),
            name: row.name,
            scopes: row.scopes.words().collect::<Vec<_>>().join(", "),
            used: row.last_used_at.map_or_else(|| "never".to_owned(), |at| ago(at, now)),
            expires: Moment::new(row.expires_at, now),
            is_expired: row.is_expired,
        }
    }
}

impl Typed {
    fn new(name: &str, days: u32, scopes: &[&str], operator: bool) -> Self {
        let offered = Scope::EVERY.into_iter().filter(|scope| operator || *scope != Scope::Operate);
        let choice =
            |scope: Scope| Choice { word: scope.name(), told: scope.told(), is_chosen: scopes.contains(&scope.name()) };
        Self {
            name: name.chars().take(80).collect(),
            lives: LIVES.into_iter().map(|life| (life, life == days)).collect(),
            scopes: offered.map(choice).collect(),
        }
    }
}

pub(crate) async fn show(State(web): State<Web>, member: Member) -> Result<Response, Problem> {
    pages::page(StatusCode::OK, &read(&web, member.caller()).await?)
}

/// Answers with the page itself: the token is in it, once, and in no address.
pub(crate) async fn issue(State(web): State<Web>, member: Member, form: Form) -> Result<Response, Problem> {
    let by = member.caller();
    let days = form.field("days").parse().unwrap_or_default();
    let wish = Wish { name: form.field("name"), scopes: form.all("scope"), days };
    let mut tx = web.db.system().await?;
    match app::tokens::issue(&mut tx, &*web.dice.0, &wish, by).await {
        Ok((_, token)) => {
            tx.commit().await?;
            pages::page(StatusCode::OK, &read(&web, by).await?.showing(token.expose()))
        }
        Err(error @ (TokenError::TooWide | TokenError::NotFound | TokenError::Store(_))) => Err(error.into()),
        Err(
            error @ (TokenError::Name
            | TokenError::Days
            | TokenError::Scopes
            | TokenError::Factor
            | TokenError::TooMany),
        ) => {
            drop(tx);
            let is_full = matches!(error, TokenError::TooMany);
            let status = if is_full { StatusCode::CONFLICT } else { StatusCode::UNPROCESSABLE_ENTITY };
            pages::page(status, &read(&web, by).await?.refused(&wish, sentence(&error)))
        }
    }
}

pub(crate) async fn revoke(State(web): State<Web>, member: Member, At(id): At<id::Token>) -> Result<Response, Problem> {
    let mut tx = web.db.system().await?;
    app::tokens::revoke(&mut tx, id, member.caller()).await?;
    tx.commit().await?;
    Ok(pages::see_other("/settings#tokens"))
}

/// The page as it is now.
pub(crate) async fn read(web: &Web, by: &Caller) -> Result<SettingsPage, Problem> {
    let site: &Arc<Site> = &web.site;
    let mut tx = web.db.system().await?;
    let tokens = store::tokens::list(&mut tx, by.user, by.tenant).await?;
    Ok(SettingsPage::new(by, &site.address(""), tokens, web.dice.now()))
}
