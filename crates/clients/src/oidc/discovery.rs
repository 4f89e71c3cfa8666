//! What a vendor publishes of itself (OpenID Connect Discovery 1.0), checked once and kept for an hour.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use super::{OidcError, is_loopback};

/// How long what was fetched is good.
const GOOD_FOR: Duration = Duration::from_hours(1);
/// Between two looks for something that was not there: a stranger's token must not make us ask at will.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Where things are at a vendor.
#[derive(Debug, Clone)]
pub struct Discovered {
    /// Where browsers go.
    pub authorization_endpoint: Url,
    /// Where codes are exchanged.
    pub token_endpoint: Url,
    /// Where its keys are.
    pub jwks_uri: Url,
    /// Where more is said about somebody.
    pub userinfo_endpoint: Option<Url>,
    /// Whether Berth shows its password in a header there, as is usual.
    pub takes_basic: bool,
}

/// The document, as far as it is of use.
#[derive(Debug, Deserialize)]
pub struct Document {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    userinfo_endpoint: Option<Url>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    code_challenge_methods_supported: Option<Vec<String>>,
}

impl Discovered {
    /// Takes a document that speaks for this issuer, with addresses that nobody can read along.
    ///
    /// # Errors
    /// [`OidcError::Away`]
    pub fn check(document: Document, issuer: &str, is_local: bool) -> Result<Self, OidcError> {
        let refuse = |why| {
            tracing::warn!(why, "a sign-in vendor's document cannot be used");
            Err(OidcError::Away("discovery"))
        };
        if document.issuer != issuer {
            return refuse("it speaks for another issuer");
        }
        let Document { authorization_endpoint, token_endpoint, jwks_uri, userinfo_endpoint, .. } = document;
        let all = [Some(&authorization_endpoint), Some(&token_endpoint), Some(&jwks_uri), userinfo_endpoint.as_ref()];
        let safe = |url: &Url| url.scheme() == "https" || (is_local && url.scheme() == "http" && is_loopback(url));
        if !all.into_iter().flatten().all(safe) {
            return refuse("it names an address without TLS");
        }
        let challenges = document.code_challenge_methods_supported;
        if challenges.is_some_and(|methods| !methods.iter().any(|method| method == "S256")) {
            return refuse("it does not take S256 challenges");
        }
        let methods = document.token_endpoint_auth_methods_supported;
        let takes_basic = methods.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"));
        Ok(Self { authorization_endpoint, token_endpoint, jwks_uri, userinfo_endpoint, takes_basic })
    }
}

/// Something of a vendor's that is kept for a while; one fetch at a time.
pub(super) struct Kept<T>(Mutex<Option<(Arc<T>, Instant)>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Kept<T> {
    /// What is kept, or what `fetch` brings, which is not begun otherwise. While the vendor is away, an old one is better than none.
    pub(super) async fn get(
        &self,
        fetch: impl Future<Output = Result<T, OidcError>> + Send,
    ) -> Result<Arc<T>, OidcError> {
        self.younger_than(GOOD_FOR, fetch).await
    }

    /// A fresh one, unless it was fetched only just.
    pub(super) async fn again(
        &self,
        fetch: impl Future<Output = Result<T, OidcError>> + Send,
    ) -> Result<Arc<T>, OidcError> {
        self.younger_than(AGAIN_AFTER, fetch).await
    }

    async fn younger_than(
        &self,
        age: Duration,
        fetch: impl Future<Output = Result<T, OidcError>> + Send,
    ) -> Result<Arc<T>, OidcError> {
        let mut kept = self.0.lock().await;
        if let Some((value, since)) = &*kept
            && since.elapsed() < age
        {
            return Ok(Arc::clone(value));
        }
        match fetch.await {
            Ok(value) => {
                let value = Arc::new(value);
                *kept = Some((Arc::clone(&value), Instant::now()));
                Ok(value)
            }
            Err(error) => match &mut *kept {
                Some((value, since)) => {
                    let value = Arc::clone(value);
                    // Not asked again at every sign-in while it is away.
                    *since = Instant::now().checked_sub(GOOD_FOR.saturating_sub(AGAIN_AFTER)).unwrap_or(*since);
                    Ok(value)
                }
                None => Err(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use serde_json::{Value, json};

    use super::*;

    fn check(change: impl FnOnce(&mut Value)) -> Result<Discovered, OidcError> {
        let mut document = json!({
            "issuer": "https://id.example", "authorization_endpoint": "https://id.example/auth",
            "token_endpoint": "https://id.example/token", "jwks_uri": "https://id.example/keys",
            "userinfo_endpoint": "https://id.example/me", "code_challenge_methods_supported": ["S256"],
        });
        change(&mut document);
        Discovered::check(serde_json::from_value(document).unwrap(), "https://id.example", false)
    }

    #[test]
    fn a_document_of_somebody_else_or_without_tls_is_refused() {
        assert!(check(|_| {}).is_ok_and(|found| found.takes_basic));
        assert!(check(|d| d["issuer"] = json!("https://id.example/")).is_err());
        assert!(check(|d| d["issuer"] = json!("https://evil.example")).is_err());
        for field in ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"] {
            assert!(check(|d| d[field] = json!("http://id.example/x")).is_err(), "{field}");
            assert!(check(|d| d[field] = json!("http://127.0.0.1/x")).is_err(), "{field}");
        }
        assert!(check(|d| d["code_challenge_methods_supported"] = json!(["plain"])).is_err());
        let post = json!(["client_secret_post"]);
        assert!(check(|d| d["token_endpoint_auth_methods_supported"] = post).is_ok_and(|found| !found.takes_basic));
    }

    #[tokio::test]
    async fn an_old_answer_is_better_than_none_and_a_stranger_cannot_make_us_ask() {
        let (kept, asked) = (Kept::default(), AtomicU32::new(0));
        let well = || async { Ok(asked.fetch_add(1, Ordering::Relaxed)) };
        assert_eq!(*kept.get(well()).await.unwrap(), 0);
        assert_eq!(*kept.again(well()).await.unwrap(), 0, "fetched only just");
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        kept.0.lock().await.as_mut().unwrap().1 = Instant::now().checked_sub(GOOD_FOR).unwrap();
        let away = async { Err(OidcError::Away("x")) };
        assert_eq!(*kept.get(away).await.unwrap(), 0);
    }
}
