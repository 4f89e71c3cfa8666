//! What a signed-in browser shows with each request: a JWT (RFC 7519) that says which session, for a short while.
//!
//! One algorithm, HS256; one `typ`; issuer, audience and key id are checked.
//! What the person may do is not in it: that is looked up, so that it can change.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Duration, Utc};
use domain::{SessionId, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::digest::digest;

const TYPE: &str = "berth-session+jwt";
const AUDIENCE: &str = "berth session";
/// Longer ones are not looked at.
const LENGTH_MAX: usize = 1024;

/// What a pass says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// Which session.
    pub session: SessionId,
    /// Whose.
    pub user: UserId,
    /// From when.
    pub from: DateTime<Utc>,
    /// Until when, at most [`Pass::LONGEST`] later.
    pub until: DateTime<Utc>,
}

/// A secret of at least 32 bytes that signs passes.
pub struct SessionKey(Zeroizing<Vec<u8>>);

/// All of them: the first one signs, every one is accepted. Without any, nothing is signed and nothing accepted.
#[derive(Default)]
pub struct SessionKeys {
    issuer: String,
    keys: Vec<(String, EncodingKey, DecodingKey)>,
    rules: Validation,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    aud: String,
    sub: UserId,
    sid: SessionId,
    iat: i64,
    nbf: i64,
    exp: i64,
}

impl Pass {
    /// No pass is good for longer.
    pub const LONGEST: Duration = Duration::minutes(15);
}

impl SessionKey {
    /// Takes a secret. `None`: it has fewer than 32 bytes, or they are all the same.
    #[must_use]
    pub fn new(secret: &[u8]) -> Option<Self> {
        let plain = secret.iter().all(|byte| Some(byte) == secret.first());
        (secret.len() >= 32 && !plain).then(|| Self(Zeroizing::new(secret.to_vec())))
    }

    /// Reads `openssl rand -base64 32`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::new(&Zeroizing::new(STANDARD.decode(text).ok()?))
    }
}

impl SessionKeys {
    /// `issuer` is where people reach Berth: a pass of one installation is none at another.
    #[must_use]
    pub fn new(issuer: &str, keys: &[SessionKey]) -> Self {
        let key = |SessionKey(secret): &SessionKey| {
            let id: String = digest(&[b"berth session key id", secret.as_slice()].concat()).to_string();
            let id = id.get(..16).unwrap_or_default().to_owned();
            (id, EncodingKey::from_secret(secret), DecodingKey::from_secret(secret))
        };
        let mut rules = Validation::new(Algorithm::HS256);
        rules.validate_exp = false; // by the caller's clock, which is the database's
        rules.set_issuer(&[issuer]);
        rules.set_audience(&[AUDIENCE]);
        rules.set_required_spec_claims(&["iss", "aud", "sub", "exp", "nbf"]);
        Self { issuer: issuer.to_owned(), keys: keys.iter().map(key).collect(), rules }
    }

    /// Signs a pass. Empty without a key.
    #[must_use]
    pub fn sign(&self, pass: &Pass) -> String {
        let Some((id, key, _)) = self.keys.first() else { return String::new() };
        let header = Header { typ: Some(TYPE.to_owned()), kid: Some(id.clone()), ..Header::new(Algorithm::HS256) };
        let until = pass.until.min(pass.from + Pass::LONGEST);
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: AUDIENCE.to_owned(),
            sub: pass.user,
            sid: pass.session,
            iat: pass.from.timestamp(),
            nbf: pass.from.timestamp(),
            exp: until.timestamp(),
        };
        jsonwebtoken::encode(&header, &claims, key).unwrap_or_default()
    }

    /// What a text says that a browser showed, if one of our keys signed it. Whether it is still good is for the
    /// caller to judge, who knows the time.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<Pass> {
        if text.len() > LENGTH_MAX {
            return None;
        }
        let header = jsonwebtoken::decode_header(text).ok()?;
        if header.alg != Algorithm::HS256 || header.typ.as_deref() != Some(TYPE) || header.crit.is_some() {
            return None;
        }
        let (_, _, key) = self.keys.iter().find(|(id, ..)| header.kid.as_deref() == Some(id))?;
        let claims: Claims = jsonwebtoken::decode(text, key, &self.rules).ok()?.claims;
        let (from, until) = (DateTime::from_timestamp(claims.nbf, 0)?, DateTime::from_timestamp(claims.exp, 0)?);
        (until - from <= Pass::LONGEST).then_some(Pass { session: claims.sid, user: claims.sub, from, until })
    }
}

impl std::fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SessionKeys({} keys)", self.keys.len())
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use uuid::Uuid;

    use super::*;

    fn keys(issuer: &str, seeds: &[u8]) -> SessionKeys {
        let key = |seed: &u8| SessionKey::new(&(0..32).map(|n| n ^ seed).collect::<Vec<u8>>());
        SessionKeys::new(issuer, &seeds.iter().filter_map(key).collect::<Vec<_>>())
    }

    fn pass() -> Pass {
        let from = DateTime::from_timestamp(1_795_000_000, 0).unwrap_or_default();
        let (session, user) = (SessionId::from_uuid(Uuid::from_u128(1)), UserId::from_uuid(Uuid::from_u128(2)));
        Pass { session, user, from, until: from + Duration::minutes(10) }
    }

    #[test]
    fn a_pass_is_read_under_every_key_and_nowhere_else() {
        let text = keys("https://berth.example", &[1]).sign(&pass());
        assert_eq!(keys("https://berth.example", &[2, 1]).read(&text), Some(pass()), "while keys are changed");
        assert_eq!(keys("https://berth.example", &[2]).read(&text), None);
        assert_eq!(keys("https://other.example", &[1]).read(&text), None);
    }

    #[test]
    fn no_pass_is_good_for_longer_than_a_quarter_of_an_hour() {
        let ours = keys("https://berth.example", &[1]);
        let long = Pass { until: pass().from + Duration::days(7), ..pass() };
        assert_eq!(ours.read(&ours.sign(&long)).map(|pass| pass.until), Some(pass().from + Pass::LONGEST));
    }

    /// RFC 8725, chapter 2: each attack on a JWT that there is for one kind of token with one algorithm.
    #[test]
    fn what_was_tampered_with_is_no_pass() {
        let ours = keys("https://berth.example", &[1]);
        let good = ours.sign(&pass());
        let parts: Vec<&str> = good.split('.').collect();
        let [head, body, mac] = parts[..] else { panic!("three parts") };
        let said = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        let made = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let (header, claims) = (said(head), said(body));
        let key = EncodingKey::from_secret(&(0..32).map(|n| n ^ 1).collect::<Vec<u8>>());
        let resigned = |header: Header, claims: &str| {
            let claims: serde_json::Value = serde_json::from_str(claims).unwrap();
            jsonwebtoken::encode(&header, &claims, &key).unwrap()
        };
        let right = jsonwebtoken::decode_header(&good).unwrap();
        assert!(ours.read(&resigned(right.clone(), &claims)).is_some(), "the attacks below fail for their own reason");
        let attacks = [
            ("none", format!("{}.{body}.", made(&header.replace("HS256", "none")))),
            ("None", format!("{}.{body}.{mac}", made(&header.replace("HS256", "None")))),
            ("no signature", format!("{head}.{body}.")),
            ("no third part", format!("{head}.{body}")),
            ("a fourth part", format!("{good}.x")),
            ("another algorithm's name", format!("{}.{body}.{mac}", made(&header.replace("HS256", "RS256")))),
            (
                "another session",
                format!("{head}.{}.{mac}", made(&claims.replace("ses_", "ses_f").replacen("0001\"", "001\"", 1))),
            ),
            ("another time", format!("{head}.{}.{mac}", made(&claims.replace("1795", "1995")))),
            ("half a signature", format!("{head}.{body}.{}", &mac[..20])),
            ("no key id", resigned(Header { kid: None, ..right.clone() }, &claims)),
            ("an unknown key id", resigned(Header { kid: Some("x".into()), ..right.clone() }, &claims)),
            ("no type", resigned(Header { typ: None, ..right.clone() }, &claims)),
            ("another type", resigned(Header { typ: Some("JWT".into()), ..right.clone() }, &claims)),
            ("something critical", resigned(Header { crit: Some(vec!["b64".into()]), ..right.clone() }, &claims)),
            ("HS512", resigned(Header { alg: Algorithm::HS512, ..right.clone() }, &claims)),
            ("another audience", resigned(right.clone(), &claims.replace(AUDIENCE, "berth other"))),
            ("another issuer", resigned(right.clone(), &claims.replace("berth.example", "evil.example"))),
            ("no end", resigned(right.clone(), &claims.replace("\"exp\"", "\"ex\""))),
            ("good for a year", resigned(right.clone(), &claims.replace("\"exp\":1795", "\"exp\":1826"))),
            ("another noun's id", resigned(right.clone(), &claims.replace("ses_", "usr_"))),
            ("more claims", resigned(right, &claims.replacen('{', "{\"admin\":true,", 1))),
            ("spaces", format!(" {good}")),
            ("nothing", String::new()),
            ("dots", "..".to_owned()),
            ("too long", "a".repeat(LENGTH_MAX + 1)),
        ];
        for (what, text) in attacks {
            assert_ne!(text, good, "{what}: is no attack");
            assert_eq!(ours.read(&text), None, "{what}");
        }
    }

    #[test]
    fn a_short_or_plain_secret_signs_nothing() {
        for bad in [&b""[..], b"changeme", &[7; 31], &[7; 32], &[0; 64]] {
            assert!(SessionKey::new(bad).is_none());
        }
    }
}
