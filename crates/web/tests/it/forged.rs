//! Tokens that are no good: what they say, what stands in their head, how they are signed.

use http::StatusCode;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use testkit::issuer::{CLIENT_SECRET, Draft, FakeIssuer};

use crate::vendor::Door;

fn resign(draft: &mut Draft, key: &EncodingKey) {
    draft.instead = Some(jsonwebtoken::encode(&draft.head, &draft.claims, key).unwrap());
}

fn set(draft: &mut Draft, field: &str, value: Value) {
    draft.claims.as_object_mut().unwrap().insert(field.to_owned(), value);
}

/// Sent as it is: head, claims and signature in base64url.
fn raw(draft: &Draft, head: &str, signature: &str) -> String {
    let coded = |text: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text);
    format!("{}.{}.{signature}", coded(head.as_bytes()), coded(draft.claims.to_string().as_bytes()))
}

type Forgery = (&'static str, Box<dyn Fn(&mut Draft) + Send + Sync>);

fn named(what: &'static str, forge: impl Fn(&mut Draft) + Send + Sync + 'static) -> Forgery {
    (what, Box::new(forge))
}

/// What a token says.
fn claims() -> Vec<Forgery> {
    let claim = |what, field: &'static str, value: fn(i64) -> Value| {
        named(what, move |draft| {
            let now = draft.claims["iat"].as_i64().unwrap();
            set(draft, field, value(now));
        })
    };
    let without =
        |what, field: &'static str| named(what, move |draft| drop(draft.claims.as_object_mut().unwrap().remove(field)));
    vec![
        claim("another audience", "aud", |_| json!("somebody-else")),
        claim("an audience like ours", "aud", |_| json!("berth ")),
        claim("no audience in a list", "aud", |_| json!([])),
        claim("several audiences, nobody it was made for", "aud", |_| json!(["berth", "evil"])),
        claim("another it was made for", "azp", |_| json!("evil")),
        claim("another issuer", "iss", |_| json!("https://accounts.google.com")),
        claim("an issuer with a slash", "iss", |_| json!("http://127.0.0.1/")),
        claim("expired", "exp", |now| json!(now - 120)),
        claim("expired in milliseconds", "exp", |now| json!((now - 3600) / 1000)),
        claim("an end that is a word", "exp", |_| json!("never")),
        claim("made in the future", "iat", |now| json!(now + 600)),
        claim("made an hour ago", "iat", |now| json!(now - 3600)),
        claim("not good yet", "nbf", |now| json!(now + 600)),
        claim("another nonce", "nonce", |_| json!("another")),
        claim("an empty nonce", "nonce", |_| json!("")),
        claim("an empty subject", "sub", |_| json!("")),
        claim("a subject that is a number", "sub", |_| json!(7)),
        claim("a subject with a line break", "sub", |_| json!("ada-1\nroot")),
        claim("a subject without end", "sub", |_| json!("a".repeat(256))),
        without("no issuer", "iss"),
        without("no audience", "aud"),
        without("no end", "exp"),
        without("no beginning", "iat"),
        without("no nonce", "nonce"),
        without("no subject", "sub"),
    ]
}

/// What stands in its head, or in place of it.
fn heads() -> Vec<Forgery> {
    let sent = |what, head: &'static str, signature: &'static str| {
        named(what, move |draft| draft.instead = Some(raw(draft, head, signature)))
    };
    let headed = |what, change: fn(&mut Header)| named(what, move |draft| change(&mut draft.head));
    let garbage = |what, text: String| named(what, move |draft| draft.instead = Some(text.clone()));
    let zeros: &'static str = Box::leak("A".repeat(86).into_boxed_str());
    vec![
        sent("alg none", r#"{"alg":"none"}"#, ""),
        sent("alg None", r#"{"alg":"None","kid":"key-0"}"#, ""),
        sent("alg nOnE with a signature", r#"{"alg":"nOnE","kid":"key-0"}"#, "AAAA"),
        sent("no algorithm", r#"{"kid":"key-0"}"#, "AAAA"),
        sent("no signature", r#"{"alg":"EdDSA","kid":"key-0"}"#, ""),
        sent("a signature of zeros", r#"{"alg":"EdDSA","kid":"key-0"}"#, zeros),
        sent("an EdDSA key under RS256", r#"{"alg":"RS256","kid":"key-0"}"#, "AAAA"),
        sent("an EdDSA key under ES256", r#"{"alg":"ES256","kid":"key-0"}"#, "AAAA"),
        headed("an unknown key", |head| head.kid = Some("key-9".into())),
        headed("a key's path for a name", |head| head.kid = Some("../../dev/null".into())),
        headed("something critical", |head| head.crit = Some(vec!["exp".into()])),
        headed("a token of another type", |head| head.typ = Some("at+jwt".into())),
        headed("a logout token", |head| head.typ = Some("logout+jwt".into())),
        garbage("nothing", String::new()),
        garbage("dots", "..".to_owned()),
        garbage("no base64", "!!.!!.!!".to_owned()),
        garbage("too long", format!("a.{}.c", "b".repeat(20_000))),
        garbage("an access token", "ada-1".to_owned()),
    ]
}

/// How it is signed.
fn signatures(issuer: &FakeIssuer) -> Vec<Forgery> {
    let public = issuer.public_key(0);
    let unpadded = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let bytes = base64::Engine::decode(&unpadded, public["x"].as_str().unwrap()).unwrap();
    let secret = |what, secret: Vec<u8>| {
        named(what, move |draft| {
            draft.head.alg = Algorithm::HS256;
            resign(draft, &EncodingKey::from_secret(&secret));
        })
    };
    let spoilt = |what, spoil: fn(&str) -> String| {
        let issuer = issuer.clone();
        named(what, move |draft| draft.instead = Some(spoil(&issuer.sign(draft).unwrap())))
    };
    let (jwk, swapping) = (serde_json::from_value(issuer.public_key(1)).unwrap(), issuer.clone());
    vec![
        secret("HS256 with the public key's text as its secret", public.to_string().into_bytes()),
        secret("HS256 with the public key's bytes as its secret", bytes),
        secret("HS256 with Berth's password as its secret", CLIENT_SECRET.as_bytes().to_vec()),
        secret("HS256 with nothing as its secret", Vec::new()),
        spoilt("half of it", |good| good.chars().take(100).collect()),
        spoilt("a padded signature", |good| format!("{good}==")),
        spoilt("five parts", |good| format!("{good}.x.y")),
        named("another key under this one's name", |draft| draft.key = 1),
        named("a key of its own in the head", move |draft| {
            (draft.key, draft.head.jwk) = (1, Some(Clone::clone(&jwk)));
        }),
        named("other claims under a good signature", move |draft| {
            let good = swapping.sign(draft).unwrap();
            set(draft, "sub", json!("root"));
            let signature = good.rsplit('.').next().unwrap().to_owned();
            draft.instead = Some(raw(draft, r#"{"typ":"JWT","alg":"EdDSA","kid":"key-0"}"#, &signature));
        }),
        // Secret keys, and keys for encryption, in the public set are nobody's to use.
        named("a secret key that was published", |draft| {
            (draft.head.alg, draft.head.kid) = (Algorithm::HS256, Some("key-7".into()));
            resign(draft, &EncodingKey::from_secret(&(0..32).collect::<Vec<u8>>()));
        }),
        named("a key for encryption", |draft| (draft.key, draft.head.kid) = (1, Some("key-8".into()))),
        named("no key's name where there are several", |draft| (draft.key, draft.head.kid) = (1, None)),
    ]
}

#[tokio::test]
async fn every_forged_token_is_refused() {
    let door = Door::new().await;
    let invite = door.invite(100).await;
    let oct =
        json!({ "kty": "oct", "kid": "key-7", "alg": "HS256", "k": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8" });
    let mut sealing = door.issuer.public_key(1);
    (sealing["use"], sealing["kid"]) = (json!("enc"), json!("key-8"));
    door.issuer.publish(&[0], vec![oct, sealing]);
    let all: Vec<Forgery> = claims().into_iter().chain(heads()).chain(signatures(&door.issuer)).collect();
    assert!(all.len() >= 50, "{}", all.len());
    let before = door.users().await;
    for (what, forger) in all {
        door.issuer.forge(forger);
        let answer = door.pass(&invite, "").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}: {}", answer.text);
        assert!(!answer.cookies().contains("berth_session"), "{what}");
    }
    assert_eq!(door.users().await, before);
    assert_eq!(door.house.world.database.count("select count(*) from sessions").await, 0);
    door.issuer.stop_forging();
    assert_eq!(door.pass(&invite, "").await.status, StatusCode::SEE_OTHER, "an honest one passes on the same way");
}
