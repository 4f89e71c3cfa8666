//! `/factor`: an operator's second factor, set up once and given every twelve hours.

use app::operators::{FactorError, Given};
use askama::Template;
use axum::{extract::State, response::Response};
use domain::{
    own_path::OwnPath,
    people::{Caller, Shown},
};
use http::StatusCode;
use store::operators::Standing;

use crate::{
    api::agents::sentence,
    body::{Form, Query},
    guard::Member,
    pages::{self, frame::Frame},
    problem::Problem,
    state::Web,
};

/// The page.
#[derive(Template)]
#[template(path = "factor.html")]
pub(crate) struct FactorPage {
    frame: Frame,
    is_enrolled: bool,
    is_fresh: bool,
    /// The secret of an authenticator that is being set up: shown once.
    secret: Option<String>,
    address: String,
    /// Recovery codes: shown once.
    codes: Vec<String>,
    left: Option<i64>,
    next: String,
    fault: Option<String>,
}

impl FactorPage {
    pub(crate) fn new(by: &Caller, standing: Standing, next: &str) -> Self {
        Self {
            frame: Frame::of(by, "operate", "Second factor"),
            is_enrolled: standing.is_enrolled,
            is_fresh: standing.is_fresh,
            secret: None,
            address: String::new(),
            codes: Vec::new(),
            left: None,
            next: next.to_owned(),
            fault: None,
        }
    }

    /// Shows a fresh secret, to be typed or tapped into an authenticator.
    pub(crate) fn setting_up(self, by: &Caller, secret: &str) -> Self {
        let account: String = url::form_urlencoded::byte_serialize(by.email.as_str().as_bytes()).collect();
        let address = format!("otpauth://totp/Berth:{account}?secret={secret}&issuer=Berth");
        Self { secret: Some(secret.to_owned()), address, ..self }
    }

    /// Shows recovery codes.
    pub(crate) fn enrolled(self, codes: Vec<String>) -> Self {
        Self { codes, is_enrolled: true, is_fresh: true, ..self }
    }

    /// Says how many recovery codes are left.
    pub(crate) fn recovered(self, left: i64) -> Self {
        Self { left: Some(left), is_fresh: true, ..self }
    }

    /// With what was wrong.
    pub(crate) fn refused(self, fault: String) -> Self {
        Self { fault: Some(fault), ..self }
    }
}

pub(crate) async fn show(State(web): State<Web>, member: Member, query: Query) -> Result<Response, Problem> {
    let next = way_on(query.get("next").unwrap_or_default());
    pages::page(StatusCode::OK, &read(&web, member.caller(), next.as_str()).await?)
}

/// Draws a secret and shows it in the answer itself.
pub(crate) async fn begin(State(web): State<Web>, member: Member, form: Form) -> Result<Response, Problem> {
    let (by, next) = (member.caller(), way_on(form.field("next")));
    let page = read(&web, by, next.as_str()).await?;
    let mut tx = web.db.system().await?;
    match app::operators::begin_factor(&mut tx, (&web.ring, &*web.dice.0), by).await {
        Ok(secret) => {
            tx.commit().await?;
            pages::page(StatusCode::OK, &page.setting_up(by, &secret))
        }
        Err(error @ FactorError::Enrolled) => pages::page(StatusCode::CONFLICT, &page.refused(sentence(&error))),
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn give(State(web): State<Web>, member: Member, form: Form) -> Result<Response, Problem> {
    let (by, next) = (member.caller(), way_on(form.field("next")));
    let mut tx = web.db.system().await?;
    let given = app::operators::give_code(&mut tx, (&web.ring, &*web.dice.0), form.field("code"), by).await;
    match given {
        Ok(given) => {
            tx.commit().await?;
            match given {
                Given::Fresh => Ok(pages::see_other(next.as_str())),
                Given::Enrolled(codes) => {
                    let codes = codes.iter().map(|code| code.as_str().to_owned()).collect();
                    pages::page(StatusCode::OK, &read(&web, by, next.as_str()).await?.enrolled(codes))
                }
                Given::Recovered(left) => {
                    pages::page(StatusCode::OK, &read(&web, by, next.as_str()).await?.recovered(left))
                }
            }
        }
        Err(error @ FactorError::Wrong) => {
            tx.commit().await?; // a wrong code counts
            pages::page(StatusCode::FORBIDDEN, &read(&web, by, next.as_str()).await?.refused(sentence(&error)))
        }
        Err(error @ FactorError::TooMany) => {
            drop(tx);
            pages::page(StatusCode::TOO_MANY_REQUESTS, &read(&web, by, next.as_str()).await?.refused(sentence(&error)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Where a page sends an operator who has to give a factor first.
pub(crate) fn address(path: &str) -> String {
    let next: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
    format!("/factor?next={next}")
}

/// A path of this site; the operator's overview where none is named.
fn way_on(next: &str) -> OwnPath {
    OwnPath::of(if next.is_empty() { "/admin" } else { next })
}

async fn read(web: &Web, by: &Caller, next: &str) -> Result<FactorPage, Problem> {
    if !by.is_operator {
        return Err(Problem::not_found());
    }
    let Shown::Session { id, .. } = by.shown else { return Err(FactorError::NoSession.into()) };
    let mut tx = web.db.system().await?;
    let standing = store::operators::standing(&mut tx, by.user, id).await?;
    Ok(FactorPage::new(by, standing, next))
}

impl From<FactorError> for Problem {
    fn from(error: FactorError) -> Self {
        let words = sentence(&error);
        match error {
            FactorError::Forbidden => Self::not_found(),
            FactorError::Wrong => Self::not_allowed(words),
            FactorError::NoSession => Self::conflict("no-session", words),
            FactorError::Enrolled => Self::conflict("enrolled", words),
            FactorError::NotEnrolled => Self::conflict("not-enrolled", words),
            FactorError::TooMany => Self {
                retry_after_seconds: Some(300),
                ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-codes", words)
            },
            FactorError::Sealed(error) => error.into(),
            FactorError::Store(error) => error.into(),
        }
    }
}
