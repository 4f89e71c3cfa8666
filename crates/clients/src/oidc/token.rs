//! Judging an ID token (OpenID Connect Core 1.0, 3.1.3.7; RFC 8725).
//!
//! What is accepted is a list: four algorithms, one issuer, one audience, one
//! nonce, and times that fit. Everything else is refused, with a word for the log.

use chrono::{DateTime, TimeDelta, Utc};
use domain::names::Email;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;

use super::{OidcError, keys::Key};

/// What clocks may be apart.
const SKEW: TimeDelta = TimeDelta::seconds(60);
/// A token that was made longer ago was not made for this attempt.
const AGE_MAX: TimeDelta = TimeDelta::minutes(10);
/// Longer ones are not looked at.
const LENGTH_MAX: usize = 16 << 10;

/// The head of a token: unverified, used to find the key only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// One of the list.
    pub algorithm: Algorithm,
    /// Its word.
    pub word: String,
    /// Which key it says it was signed with.
    pub key_id: Option<String>,
}

/// What a token must say.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Who made it.
    pub issuer: &'a str,
    /// For whom.
    pub client_id: &'a str,
    /// For which attempt.
    pub nonce: &'a str,
    /// The database's time.
    pub now: DateTime<Utc>,
    /// The person showed who they are after this, if that was asked for.
    pub again_since: Option<DateTime<Utc>>,
}

/// What it says.
#[derive(Debug, Clone, Deserialize)]
pub struct Claims {
    iss: String,
    aud: Audience,
    azp: Option<String>,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
    nonce: Option<String>,
    auth_time: Option<i64>,
    /// Whom the issuer knows by this.
    pub sub: String,
    /// Their address, verified or not.
    pub email: Option<String>,
    email_verified: Option<Flag>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Some vendors write `"true"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Flag {
    /// As it should be.
    Truth(bool),
    /// As some do it.
    Word(String),
}

impl Head {
    /// Reads the head and refuses what cannot be trusted whatever the signature says.
    ///
    /// # Errors
    /// [`OidcError::Token`]
    pub fn read(text: &str) -> Result<Self, OidcError> {
        if text.len() > LENGTH_MAX || text.split('.').count() != 3 {
            return Err(OidcError::Token("it is no signed token"));
        }
        let head = jsonwebtoken::decode_header(text).map_err(|_| OidcError::Token("its head cannot be read"))?;
        if head.crit.is_some() {
            return Err(OidcError::Token("it says that something is critical"));
        }
        if head.typ.as_deref().is_some_and(|kind| !kind.eq_ignore_ascii_case("jwt")) {
            return Err(OidcError::Token("it is a token of another type"));
        }
        let word = match head.alg {
            Algorithm::RS256 => "RS256",
            Algorithm::PS256 => "PS256",
            Algorithm::ES256 => "ES256",
            Algorithm::EdDSA => "EdDSA",
            _ => return Err(OidcError::Token("its algorithm is not on the list")),
        };
        // A key that comes with the token (`jwk`, `jku`, `x5u`) is not looked at: ours come from the vendor.
        Ok(Self { algorithm: head.alg, word: word.to_owned(), key_id: head.kid })
    }
}

/// Checks signature and claims.
///
/// # Errors
/// [`OidcError::Token`] with what does not fit.
pub fn judge(text: &str, head: &Head, key: &Key, expected: &Expected<'_>) -> Result<Claims, OidcError> {
    if key.algorithm != head.algorithm {
        return Err(OidcError::Token("its key is for another algorithm"));
    }
    let mut rules = Validation::new(key.algorithm);
    // The times and the rest are judged below, by the database's clock.
    rules.validate_exp = false;
    rules.validate_aud = false;
    let read = jsonwebtoken::decode::<Claims>(text, &key.key, &rules);
    let claims = read.map_err(|_| OidcError::Token("its signature or its form does not hold"))?.claims;
    match fault(&claims, expected) {
        Some(why) => Err(OidcError::Token(why)),
        None => Ok(claims),
    }
}

fn fault(claims: &Claims, expected: &Expected<'_>) -> Option<&'static str> {
    let time = |seconds| DateTime::from_timestamp(seconds, 0);
    let now = expected.now;
    let (Some(until), Some(made)) = (time(claims.exp), time(claims.iat)) else { return Some("its times are none") };
    let for_us = match &claims.aud {
        Audience::One(one) => one == expected.client_id,
        // With several, whom it was made for has to be said.
        Audience::Several(all) => {
            all.iter().any(|one| one == expected.client_id) && (all.len() == 1 || claims.azp.is_some())
        }
    };
    let nonce = claims.nonce.as_deref().unwrap_or_default();
    match () {
        () if claims.iss != expected.issuer => Some("it is another issuer's"),
        () if !for_us => Some("it is for somebody else"),
        () if claims.azp.as_deref().is_some_and(|azp| azp != expected.client_id) => {
            Some("it was made for somebody else")
        }
        () if until + SKEW <= now => Some("it has expired"),
        () if made > now + SKEW => Some("it was made in the future"),
        () if made + AGE_MAX + SKEW < now => Some("it was made too long ago"),
        () if claims.nbf.is_some_and(|from| time(from).is_none_or(|from| from > now + SKEW)) => {
            Some("it is not good yet")
        }
        () if nonce.is_empty() || !vault::same(nonce.as_bytes(), expected.nonce.as_bytes()) => {
            Some("it belongs to another attempt")
        }
        () if claims.sub.is_empty() || claims.sub.len() > 255 || claims.sub.chars().any(char::is_control) => {
            Some("its subject cannot be used")
        }
        () => shown_again(claims.auth_time, expected),
    }
}

/// Where the vendor says when somebody showed who they are, it has to be after it was asked.
fn shown_again(auth_time: Option<i64>, expected: &Expected<'_>) -> Option<&'static str> {
    let (since, at) = (expected.again_since?, auth_time?);
    let early = DateTime::from_timestamp(at, 0).is_none_or(|at| at + SKEW < since);
    early.then_some("they did not show anew who they are")
}

impl Claims {
    /// The address, only if the vendor says that it is verified.
    #[must_use]
    pub fn verified_email(&self) -> Option<Email> {
        verified(self.email.as_deref(), self.email_verified.clone())
    }
}

/// An address that counts.
pub(super) fn verified(email: Option<&str>, flag: Option<Flag>) -> Option<Email> {
    let is_verified = match flag? {
        Flag::Truth(truth) => truth,
        Flag::Word(word) => word == "true",
    };
    Email::parse(email?).ok().filter(|_| is_verified)
}
