//! How people sign in at this installation: parsed once, then made.

use domain::Entropy;
use domain::operators::AdminEmails;
use url::Url;
use vault::{Keyring, Secret, SessionKey, SessionKeys};
use web::{SignIn, Vendor, VendorSettings};

use crate::settings::{BadSetting, Values, bad};

/// The issuer in Google's tokens.
const GOOGLE: &str = "https://accounts.google.com";

/// Vendors, and what signs sessions.
pub struct SignInConfig {
    vendors: Vec<VendorSettings>,
    keys: Option<Vec<SessionKey>>,
    admins: AdminEmails,
}

impl SignInConfig {
    pub(crate) fn parse(values: &Values) -> Result<Self, BadSetting> {
        let vendors = [google(values)?, any(values)?];
        Ok(Self { vendors: vendors.into_iter().flatten().collect(), keys: keys(values)?, admins: admins(values)? })
    }

    /// Makes what the web uses. `mails`: letters leave this installation.
    ///
    /// # Errors
    /// A vendor's issuer cannot be used, or this system has no certificates to trust.
    pub fn build(
        self,
        public_url: &Url,
        mails: bool,
        (ring, entropy): (&Keyring, &dyn Entropy),
    ) -> anyhow::Result<SignIn> {
        let keys = self.keys.unwrap_or_else(|| derived(ring, entropy));
        let keys = SessionKeys::new(public_url.as_str().trim_end_matches('/'), &keys);
        let vendors = self.vendors.into_iter().map(|vendor| Vendor::new(vendor, public_url));
        let vendors = vendors.collect::<Result<_, _>>().map_err(|error| bad("BERTH_OIDC_ISSUER", error.to_string()))?;
        Ok(SignIn { vendors, keys, mails, admins: self.admins })
    }
}

fn google(values: &Values) -> Result<Option<VendorSettings>, BadSetting> {
    let (id, secret) = (values.get("GOOGLE_CLIENT_ID")?, values.get("GOOGLE_CLIENT_SECRET")?);
    match (id, secret) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(bad("GOOGLE_CLIENT_SECRET", "is not set, and GOOGLE_CLIENT_ID is")),
        (None, Some(_)) => Err(bad("GOOGLE_CLIENT_ID", "is not set, and GOOGLE_CLIENT_SECRET is")),
        (Some(id), Some(secret)) => Ok(Some(VendorSettings {
            slug: "google",
            title: "Google".to_owned(),
            issuer: GOOGLE.parse().map_err(|_| bad("GOOGLE_CLIENT_ID", "cannot be used"))?,
            client_id: id.trim().to_owned(),
            client_secret: Some(Secret::from(secret.trim().to_owned())),
        })),
    }
}

fn any(values: &Values) -> Result<Option<VendorSettings>, BadSetting> {
    let issuer: Option<Url> = values.parse("BERTH_OIDC_ISSUER", "an https address")?;
    let id = values.get("BERTH_OIDC_CLIENT_ID")?;
    let secret = values.get("BERTH_OIDC_CLIENT_SECRET")?;
    let Some(issuer) = issuer else {
        return match (id, secret) {
            (None, None) => Ok(None),
            _ => Err(bad("BERTH_OIDC_ISSUER", "is not set, and a client for it is")),
        };
    };
    let id = id.ok_or_else(|| bad("BERTH_OIDC_CLIENT_ID", "is not set, and BERTH_OIDC_ISSUER is"))?;
    let title = values.need("BERTH_OIDC_NAME")?;
    if title.chars().count() > 40 || title.chars().any(char::is_control) {
        return Err(bad("BERTH_OIDC_NAME", "must be one line of at most 40 characters"));
    }
    Ok(Some(VendorSettings {
        slug: "oidc",
        title: title.to_string(),
        issuer,
        client_id: id.trim().to_owned(),
        client_secret: secret.map(|secret| Secret::from(secret.trim().to_owned())),
    }))
}

fn admins(values: &Values) -> Result<AdminEmails, BadSetting> {
    let name = "ADMIN_EMAILS";
    let text = values.get(name)?.unwrap_or_default();
    AdminEmails::parse(&text)
        .map_err(|_| bad(name, "holds something that is no e-mail address; put commas between them"))
}

/// From the house's key, so that all processes agree. A process without it signs for itself alone.
fn derived(ring: &Keyring, entropy: &dyn Entropy) -> Vec<SessionKey> {
    if let Ok(derived) = ring.keyed("session key", b"") {
        return derived.all().filter_map(|secret| SessionKey::new(secret.as_slice())).collect();
    }
    let mut random = zeroize::Zeroizing::new([0; 32]);
    entropy.fill(random.as_mut_slice());
    SessionKey::new(random.as_slice()).into_iter().collect()
}

fn keys(values: &Values) -> Result<Option<Vec<SessionKey>>, BadSetting> {
    let name = "BERTH_SESSION_KEY";
    let Some(text) = values.get(name)? else { return Ok(None) };
    let key = |text: &str| SessionKey::parse(text.trim());
    let keys: Option<Vec<SessionKey>> = text.split(',').map(key).collect();
    keys.map(Some).ok_or_else(|| bad(name, "must be at least 32 random bytes in base64 (`openssl rand -base64 32`)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<SignInConfig, BadSetting> {
        SignInConfig::parse(&Values::of(pairs))
    }

    fn build(config: SignInConfig) -> anyhow::Result<SignIn> {
        let with = (&Keyring::default(), &crate::entropy::System as &dyn Entropy);
        config.build(&"https://berth.example".parse().unwrap(), false, with)
    }

    #[test]
    fn without_settings_there_is_no_vendor_and_a_key() {
        let config = parse(&[]).unwrap();
        assert_eq!((config.vendors.len(), config.keys.is_none()), (0, true));
        assert_eq!(config.admins, AdminEmails::default(), "nobody is an operator by their address");
    }

    #[test]
    fn the_listed_addresses_reach_the_sign_in() {
        let config = parse(&[("ADMIN_EMAILS", " Ada@Example.org ,")]).unwrap();
        let admins = build(config).unwrap().admins;
        assert!(admins.list(&domain::names::Email::parse("ada@example.org").unwrap()));
    }

    #[test]
    fn google_and_one_more_come_back_to_their_own_addresses() {
        let config = parse(&[
            ("GOOGLE_CLIENT_ID", "id"),
            ("GOOGLE_CLIENT_SECRET", "hunter2"),
            ("BERTH_OIDC_ISSUER", "https://id.example"),
            ("BERTH_OIDC_CLIENT_ID", "berth"),
        ]);
        let sign_in = build(config.unwrap()).unwrap();
        let slugs: Vec<_> = sign_in.vendors.iter().map(|vendor| vendor.slug).collect();
        assert_eq!(slugs, ["google", "oidc"]);
    }

    #[test]
    fn half_a_vendor_and_a_weak_key_are_refused_without_their_value() {
        let cases: [(&[(&str, &str)], &str); 9] = [
            (&[("GOOGLE_CLIENT_ID", "hunter2")], "GOOGLE_CLIENT_SECRET"),
            (&[("GOOGLE_CLIENT_SECRET", "hunter2")], "GOOGLE_CLIENT_ID"),
            (&[("BERTH_OIDC_ISSUER", "https://hunter2.example")], "BERTH_OIDC_CLIENT_ID"),
            (&[("BERTH_OIDC_CLIENT_SECRET", "hunter2")], "BERTH_OIDC_ISSUER"),
            (&[("BERTH_OIDC_ISSUER", "hunter2"), ("BERTH_OIDC_CLIENT_ID", "berth")], "BERTH_OIDC_ISSUER"),
            (&[("ADMIN_EMAILS", "ada@example.org, hunter2")], "ADMIN_EMAILS"),
            (&[("BERTH_SESSION_KEY", "hunter2")], "BERTH_SESSION_KEY"),
            (&[("BERTH_SESSION_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")], "BERTH_SESSION_KEY"),
            (&[("BERTH_SESSION_KEY", "changeme")], "BERTH_SESSION_KEY"),
        ];
        for (pairs, name) in cases {
            let error = parse(pairs).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.starts_with(name) && !error.contains("hunter2"), "{name}: {error}");
        }
        let plain = parse(&[("BERTH_OIDC_ISSUER", "http://id.example"), ("BERTH_OIDC_CLIENT_ID", "berth")]).unwrap();
        assert!(build(plain).is_err(), "tokens over a plain line");
    }
}
