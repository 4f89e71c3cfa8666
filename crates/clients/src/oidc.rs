//! Signing in at a vendor by OpenID Connect: the authorization code flow with PKCE, state and nonce.
//!
//! [`Oidc`] is one vendor at which Berth is known. [`Oidc::address`] is where a
//! browser is sent; [`Oidc::identify`] exchanges the code that it comes back with
//! and says who it was. What the vendor publishes of itself ([`discovery`]) and its keys
//! ([`keys`]) are kept for an hour; the token is judged in [`token`].
//!
//! Invariants: every address is under TLS, but for an issuer on this host; no
//! redirect is followed; every answer is bounded in time and size; nothing that the
//! vendor said, and no secret, stands in an error.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use domain::names::Email;
use reqwest::{Client, RequestBuilder, Response};
use serde::{Deserialize, de::DeserializeOwned};
use url::{Url, form_urlencoded::byte_serialize};
use vault::Secret;

use crate::outgoing::{self, is_loopback};

pub mod discovery;
pub mod keys;
pub mod token;

use discovery::{Discovered, Kept};
use keys::Keys;

/// From a call's beginning to its answer's last byte.
const CALL_MAX: Duration = Duration::from_secs(8);
const CONNECT_MAX: Duration = Duration::from_secs(4);
/// Most bytes of an answer.
const ANSWER_MAX: usize = 256 << 10;

/// How Berth is known at a vendor.
pub struct OidcSettings {
    /// Exactly as the vendor writes it in its tokens.
    pub issuer: Url,
    /// Berth's name there.
    pub client_id: String,
    /// Berth's password there; a public client has none.
    pub client_secret: Option<Secret>,
    /// Where browsers come back to.
    pub redirect: Url,
}

/// One vendor.
pub struct Oidc {
    issuer: String,
    client_id: String,
    client_secret: Option<Secret>,
    redirect: String,
    http: Client,
    is_local: bool,
    discovered: Kept<Discovered>,
    keys: Kept<Keys>,
}

/// What a browser takes to the vendor.
#[derive(Debug, Clone, Copy)]
pub struct Outbound<'a> {
    /// Comes back with the browser.
    pub state: &'a str,
    /// Comes back in the token.
    pub nonce: &'a str,
    /// S256 of the verifier (RFC 7636, 4.2), in base64url.
    pub challenge: &'a str,
    /// The person shall show anew who they are, even if they are signed in there.
    pub again: bool,
}

/// What a browser brought back, with what was kept of its attempt.
#[derive(Debug, Clone, Copy)]
pub struct Inbound<'a> {
    /// To be exchanged.
    pub code: &'a str,
    /// Belongs to the challenge.
    pub verifier: &'a str,
    /// Must stand in the token.
    pub nonce: &'a str,
    /// The issuer in the answer's own words, where it said it (RFC 9207).
    pub issuer: Option<&'a str>,
    /// The database's time.
    pub now: DateTime<Utc>,
    /// When the attempt began, if the person was to show anew who they are.
    pub again_since: Option<DateTime<Utc>>,
}

/// Who it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who says so.
    pub issuer: String,
    /// Whom it knows by this; never used again for somebody else.
    pub subject: String,
    /// Their address, only if the vendor says that it is verified.
    pub verified_email: Option<Email>,
}

/// Why nobody was identified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// It does not answer, or answers something else than what was asked.
    #[error("the vendor's {0} does not answer as it should")]
    Away(&'static str),
    /// It did not take the code.
    #[error("the vendor did not take the code")]
    Code,
    /// Its token is not to be trusted.
    #[error("the vendor's token was refused: {0}")]
    Token(&'static str),
}

impl OidcError {
    /// Whether the vendor is at fault or away, rather than what the browser brought.
    #[must_use]
    pub const fn is_away(self) -> bool {
        matches!(self, Self::Away(_))
    }
}

/// Why a vendor cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadOidc {
    /// Plain http, or no address of a host.
    #[error("must be an https address without query or fragment; http is accepted on this host only")]
    Issuer,
    /// TLS or the resolver could not be set up.
    #[error("the client for the sign-in vendor could not be made")]
    Client(#[source] reqwest::Error),
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: Option<String>,
}

#[derive(Deserialize)]
struct UserInfo {
    sub: String,
    email: Option<String>,
    email_verified: Option<token::Flag>,
}

impl Oidc {
    /// A client for this vendor. Nothing is asked of it yet.
    ///
    /// # Errors
    /// [`BadOidc`]
    pub fn new(settings: OidcSettings) -> Result<Self, BadOidc> {
        let OidcSettings { issuer, client_id, client_secret, redirect } = settings;
        let is_local = is_loopback(&issuer);
        let fits = issuer.scheme() == "https" || (issuer.scheme() == "http" && is_local);
        if !fits || issuer.query().is_some() || issuer.fragment().is_some() || !issuer.username().is_empty() {
            return Err(BadOidc::Issuer);
        }
        let builder = outgoing::builder(CONNECT_MAX).https_only(!is_local).timeout(CALL_MAX);
        let http = builder.build().map_err(BadOidc::Client)?;
        // A URL of a host alone prints with a slash that issuers do not have.
        let bare = issuer.path() == "/";
        let issuer = if bare { issuer.as_str().trim_end_matches('/') } else { issuer.as_str() }.to_owned();
        let redirect = redirect.to_string();
        let (discovered, keys) = (Kept::default(), Kept::default());
        Ok(Self { issuer, client_id, client_secret, redirect, http, is_local, discovered, keys })
    }

    /// Where a browser is sent to sign in.
    ///
    /// # Errors
    /// [`OidcError::Away`]
    pub async fn address(&self, out: Outbound<'_>) -> Result<Url, OidcError> {
        let mut address = self.discovered().await?.authorization_endpoint.clone();
        {
            let mut query = address.query_pairs_mut();
            query
                .append_pair("response_type", "code")
                .append_pair("client_id", &self.client_id)
                .append_pair("redirect_uri", &self.redirect)
                .append_pair("scope", "openid email")
                .append_pair("state", out.state)
                .append_pair("nonce", out.nonce)
                .append_pair("code_challenge", out.challenge)
                .append_pair("code_challenge_method", "S256");
            if out.again {
                query.append_pair("prompt", "login").append_pair("max_age", "0");
            }
        }
        Ok(address)
    }

    /// Exchanges the code and says who it was.
    ///
    /// # Errors
    /// [`OidcError`]
    pub async fn identify(&self, back: Inbound<'_>) -> Result<Identity, OidcError> {
        // A vendor that names itself names this one: another's code is not brought here.
        if back.issuer.is_some_and(|issuer| issuer != self.issuer) {
            return Err(OidcError::Token("the answer comes from another issuer"));
        }
        let discovered = self.discovered().await?;
        let tokens = self.exchange(&discovered, back).await?;
        let head = token::Head::read(&tokens.id_token)?;
        let key = self.key(&discovered, &head).await?;
        let expected = token::Expected {
            issuer: &self.issuer,
            client_id: &self.client_id,
            nonce: back.nonce,
            now: back.now,
            again_since: back.again_since,
        };
        let claims = token::judge(&tokens.id_token, &head, &key, &expected)?;
        let mut email = claims.verified_email();
        if claims.email.is_none()
            && let (Some(at), Some(access)) = (&discovered.userinfo_endpoint, &tokens.access_token)
        {
            email = self.ask_for_email(at, access, &claims.sub).await?;
        }
        Ok(Identity { issuer: self.issuer.clone(), subject: claims.sub, verified_email: email })
    }

    async fn exchange(&self, discovered: &Discovered, back: Inbound<'_>) -> Result<Tokens, OidcError> {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", back.code),
            ("code_verifier", back.verifier),
            ("redirect_uri", self.redirect.as_str()),
        ];
        let secret = self.client_secret.as_ref().and_then(Secret::expose_text);
        let mut request = self.http.post(discovered.token_endpoint.clone()).header("accept", "application/json");
        match secret {
            // RFC 6749, 2.3.1: both halves are form-encoded before they are joined.
            Some(secret) if discovered.takes_basic => {
                let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
                request = request.basic_auth(encoded(&self.client_id), Some(encoded(secret)));
            }
            Some(secret) => form.extend([("client_id", self.client_id.as_str()), ("client_secret", secret)]),
            None => form.push(("client_id", self.client_id.as_str())),
        }
        let response = send(request.form(&form), "token endpoint").await?;
        if response.status().is_client_error() {
            tracing::debug!(status = response.status().as_u16(), "a sign-in code was not taken");
            return Err(OidcError::Code);
        }
        read(response, "token endpoint").await
    }

    async fn ask_for_email(&self, at: &Url, access: &str, subject: &str) -> Result<Option<Email>, OidcError> {
        let request = self.http.get(at.clone()).bearer_auth(access).header("accept", "application/json");
        let info: UserInfo = read(send(request, "user info").await?, "user info").await?;
        // OpenID Connect Core 5.3.2: otherwise it may be about somebody else.
        if info.sub != subject {
            return Err(OidcError::Token("the user info is about somebody else"));
        }
        Ok(token::verified(info.email.as_deref(), info.email_verified))
    }

    async fn discovered(&self) -> Result<Arc<Discovered>, OidcError> {
        let fetch = async {
            let at = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
            let document = read(send(self.http.get(at), "discovery").await?, "discovery").await?;
            Discovered::check(document, &self.issuer, self.is_local)
        };
        self.discovered.get(fetch).await
    }

    /// The key that a token says it was signed with. One that is not known is looked for once more: keys change.
    async fn key(&self, discovered: &Discovered, head: &token::Head) -> Result<keys::Key, OidcError> {
        if let Some(key) = self.keys.get(self.fetch_keys(discovered)).await?.find(head) {
            return Ok(key);
        }
        let fresh = self.keys.again(self.fetch_keys(discovered)).await?;
        fresh.find(head).ok_or(OidcError::Token("no key of the vendor fits it"))
    }

    async fn fetch_keys(&self, discovered: &Discovered) -> Result<Keys, OidcError> {
        let response = send(self.http.get(discovered.jwks_uri.clone()), "key set").await?;
        Ok(Keys::of(&read(response, "key set").await?))
    }
}

async fn send(request: RequestBuilder, what: &'static str) -> Result<Response, OidcError> {
    request.send().await.map_err(|error| {
        tracing::debug!(what, connect = error.is_connect(), timeout = error.is_timeout(), "a sign-in vendor is away");
        OidcError::Away(what)
    })
}

/// Reads JSON of an answer that is well, up to [`ANSWER_MAX`] bytes.
async fn read<T: DeserializeOwned>(response: Response, what: &'static str) -> Result<T, OidcError> {
    if response.status() != http::StatusCode::OK {
        tracing::debug!(what, status = response.status().as_u16(), "a sign-in vendor did not answer well");
        return Err(OidcError::Away(what));
    }
    let heard = outgoing::read(response, ANSWER_MAX).await.map_err(|_| OidcError::Away(what))?;
    if !heard.is_whole {
        return Err(OidcError::Away(what));
    }
    serde_json::from_slice(&heard.body).map_err(|_| OidcError::Away(what))
}
