//! A vendor of identities for tests: OpenID Connect over HTTP, with a knob for each forgery.
//!
//! Its fidelity is held by two vendors that nobody here wrote (`crates/web/tests/it/peers.rs`).

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// How Berth is known there.
pub const CLIENT: &str = "berth";
/// Its password there; with characters that have to be encoded.
pub const CLIENT_SECRET: &str = "s3cret/+ %marker";

/// A token that is about to be signed; a forger changes it.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Its head.
    pub head: Header,
    /// What it says.
    pub claims: Value,
    /// Which of the issuer's keys signs it.
    pub key: usize,
    /// What is sent in place of what is signed.
    pub instead: Option<String>,
}

type Forger = Arc<dyn Fn(&mut Draft) + Send + Sync>;

struct State {
    keys: Vec<[u8; 32]>,
    published: Vec<usize>,
    more_keys: Vec<Value>,
    people: HashMap<String, Value>,
    signed_in: Option<String>,
    codes: HashMap<String, (String, String, String)>,
    forger: Option<Forger>,
    calls: HashMap<String, usize>,
    document: Value,
    now: i64,
    count: u64,
}

/// A running issuer. Clones are the same one.
#[derive(Clone)]
pub struct FakeIssuer {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
}

impl FakeIssuer {
    /// Starts one on a port of its own, with one key.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let state = State {
            keys: vec![[1; 32], [2; 32]],
            published: vec![0],
            more_keys: Vec::new(),
            people: HashMap::new(),
            signed_in: None,
            codes: HashMap::new(),
            forger: None,
            calls: HashMap::new(),
            document: json!({}),
            now: i64::try_from(since.as_secs()).unwrap_or_default(),
            count: 0,
        };
        let issuer = Self { state: Arc::new(Mutex::new(state)), address };
        let server = issuer.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                let service = service_fn(move |request| server.clone().answer(request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        issuer
    }

    /// Its issuer, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on whoever comes is this person, who has these claims.
    pub fn sign_in_as(&self, subject: &str, claims: Value) {
        let mut state = self.state();
        state.people.insert(subject.to_owned(), claims);
        state.signed_in = Some(subject.to_owned());
    }

    /// From now on tokens are forged like this.
    pub fn forge(&self, forger: impl Fn(&mut Draft) + Send + Sync + 'static) {
        self.state().forger = Some(Arc::new(forger));
    }

    /// From now on tokens are honest.
    pub fn stop_forging(&self) {
        self.state().forger = None;
    }

    /// Publishes these of its two keys, and these besides.
    pub fn publish(&self, keys: &[usize], more: Vec<Value>) {
        let mut state = self.state();
        state.published = keys.to_vec();
        state.more_keys = more;
    }

    /// Says this of itself, in place of what is true.
    pub fn claim(&self, field: &str, value: Value) {
        if let Some(document) = self.state().document.as_object_mut() {
            document.insert(field.to_owned(), value);
        }
    }

    /// How often this path was asked for.
    #[must_use]
    pub fn calls(&self, path: &str) -> usize {
        self.state().calls.get(path).copied().unwrap_or_default()
    }

    /// The public half of a key as published.
    ///
    /// # Panics
    /// When the key cannot be used.
    #[must_use]
    pub fn public_key(&self, key: usize) -> Value {
        let secret = self.state().keys.get(key).copied().unwrap_or_default();
        public(key, &secret)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a browser does there: signs in as whom was said, and comes back with a code and the state.
    ///
    /// # Panics
    /// When the address is none that Berth sends browsers to.
    #[must_use]
    pub fn visit(&self, address: &str) -> Callback {
        let address: url::Url = address.parse().expect("an address");
        let query: HashMap<String, String> = address.query_pairs().into_owned().collect();
        let said = |name: &str| query.get(name).cloned().unwrap_or_default();
        assert_eq!((said("response_type"), said("client_id")), ("code".to_owned(), CLIENT.to_owned()));
        assert_eq!(said("code_challenge_method"), "S256");
        let mut state = self.state();
        state.count += 1;
        let code = format!("code-{}", state.count);
        let subject = state.signed_in.clone().expect("somebody comes");
        state.codes.insert(code.clone(), (said("nonce"), said("code_challenge"), subject));
        Callback { code, state: said("state"), query }
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let path = request.uri().path().to_owned();
        *self.state().calls.entry(path.clone()).or_default() += 1;
        let bearer = header(&request, "authorization");
        let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let answer = match path.as_str() {
            "/.well-known/openid-configuration" => Some(self.document()),
            "/jwks" => Some(self.jwks()),
            "/token" => self.token(&body, &bearer),
            "/me" => self.user_info(&bearer),
            _ => None,
        };
        let (status, value) = answer.map_or((400, json!({ "error": "invalid_grant" })), |value| (200, value));
        let body = Full::new(Bytes::from(value.to_string()));
        let answer = Response::builder().status(status).header("content-type", "application/json").body(body);
        Ok(answer.unwrap_or_default())
    }

    fn document(&self) -> Value {
        let base = self.url();
        let mut document = json!({
            "issuer": base, "authorization_endpoint": format!("{base}/auth"), "token_endpoint": format!("{base}/token"),
            "jwks_uri": format!("{base}/jwks"), "userinfo_endpoint": format!("{base}/me"),
            "code_challenge_methods_supported": ["S256"],
        });
        if let (Some(document), Some(said)) = (document.as_object_mut(), self.state().document.as_object()) {
            document.extend(said.clone());
        }
        document
    }

    fn jwks(&self) -> Value {
        let state = self.state();
        let ours = state.published.iter().filter_map(|key| Some(public(*key, state.keys.get(*key)?)));
        json!({ "keys": ours.chain(state.more_keys.iter().cloned()).collect::<Vec<_>>() })
    }

    /// Takes a code once, from who knows the password and the verifier.
    fn token(&self, body: &[u8], authorization: &str) -> Option<Value> {
        let form: HashMap<String, String> = url::form_urlencoded::parse(body).into_owned().collect();
        let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encoded(CLIENT), encoded(CLIENT_SECRET));
        let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
        if authorization != basic {
            return None;
        }
        let mut state = self.state();
        let (nonce, challenge, subject) = state.codes.remove(form.get("code")?)?;
        let verifier = vault::digest(form.get("code_verifier")?.as_bytes());
        if URL_SAFE_NO_PAD.encode(verifier.bytes()) != challenge {
            return None;
        }
        let now = state.now;
        let mut claims = json!({
            "iss": self.url(), "sub": subject, "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": nonce,
        });
        if let (Some(claims), Some(person)) = (claims.as_object_mut(), state.people.get(&subject)?.as_object()) {
            claims.extend(person.clone());
        }
        let head = Header { kid: Some("key-0".to_owned()), ..Header::new(Algorithm::EdDSA) };
        let mut draft = Draft { head, claims, key: 0, instead: None };
        let forger = state.forger.clone();
        drop(state);
        if let Some(forger) = forger {
            forger(&mut draft);
        }
        let token = draft.instead.clone().or_else(|| self.sign(&draft))?;
        Some(json!({ "id_token": token, "access_token": subject, "token_type": "Bearer", "expires_in": 300 }))
    }

    /// Signs a draft with the issuer's key.
    #[must_use]
    pub fn sign(&self, draft: &Draft) -> Option<String> {
        let secret = self.state().keys.get(draft.key).copied()?;
        jsonwebtoken::encode(&draft.head, &draft.claims, &private(&secret)).ok()
    }

    fn user_info(&self, authorization: &str) -> Option<Value> {
        let subject = authorization.strip_prefix("Bearer ")?;
        let mut info = json!({ "sub": subject });
        if let (Some(info), Some(claims)) =
            (info.as_object_mut(), self.state().people.get(&format!("{subject}@info"))?.as_object())
        {
            info.extend(claims.clone());
        }
        Some(info)
    }

    /// What the user info says of a person, beside their token.
    pub fn inform(&self, subject: &str, claims: Value) {
        self.state().people.insert(format!("{subject}@info"), claims);
    }
}

/// What a browser comes back with.
#[derive(Debug, Clone)]
pub struct Callback {
    /// To be exchanged.
    pub code: String,
    /// As it went out.
    pub state: String,
    /// Everything that went out.
    pub query: HashMap<String, String>,
}

fn header(request: &Request<Incoming>, name: &str) -> String {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// PKCS #8 (RFC 8410, 7): a fixed head and the 32 bytes.
fn private(secret: &[u8; 32]) -> EncodingKey {
    let head = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    EncodingKey::from_ed_der(&[&head[..], secret].concat())
}

fn public(key: usize, secret: &[u8; 32]) -> Value {
    let mut jwk = Jwk::from_encoding_key(&private(secret), Algorithm::EdDSA).expect("an Ed25519 key");
    jwk.common.key_id = Some(format!("key-{key}"));
    serde_json::to_value(jwk).unwrap_or_default()
}
