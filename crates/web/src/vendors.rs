//! Vendors at which people sign in, and the two calls to them that a person waits on.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use clients::oidc::{BadOidc, Identity, Inbound, Oidc, OidcError, OidcSettings, Outbound};
use domain::operators::AdminEmails;
use store::sign_ins::SignIn as Came;
use url::Url;
use vault::{Secret, SessionKeys};

use app::sign_in::Attempt;

/// How people sign in here, beside tokens and links from the server's shell.
#[derive(Default)]
pub struct SignIn {
    /// Vendors, in the order of their buttons.
    pub vendors: Vec<Vendor>,
    /// Signs what browsers show.
    pub keys: SessionKeys,
    /// Whether letters leave the house: only then is a link offered by mail.
    pub mails: bool,
    /// Whose verified address makes them an operator, once.
    pub admins: AdminEmails,
}

/// One vendor.
pub struct Vendor {
    /// Its word in addresses.
    pub slug: &'static str,
    /// What its button says: `Sign in with …`.
    pub title: String,
    oidc: Oidc,
}

/// How Berth is known at a vendor.
pub struct VendorSettings {
    /// Its word in addresses.
    pub slug: &'static str,
    /// What its button says.
    pub title: String,
    /// As the vendor writes it in its tokens.
    pub issuer: Url,
    /// Berth's name there.
    pub client_id: String,
    /// Berth's password there.
    pub client_secret: Option<Secret>,
}

impl SignIn {
    /// The vendor of an address.
    #[must_use]
    pub fn vendor(&self, slug: &str) -> Option<&Vendor> {
        self.vendors.iter().find(|vendor| vendor.slug == slug)
    }
}

impl Vendor {
    /// A vendor to whom browsers go from `public_url`.
    ///
    /// # Errors
    /// [`BadOidc`]
    pub fn new(settings: VendorSettings, public_url: &Url) -> Result<Self, BadOidc> {
        let VendorSettings { slug, title, issuer, client_id, client_secret } = settings;
        let mut redirect = public_url.clone();
        let base = public_url.path().trim_end_matches('/');
        redirect.set_path(&format!("{base}/auth/{slug}/callback"));
        let oidc = Oidc::new(OidcSettings { issuer, client_id, client_secret, redirect })?;
        Ok(Self { slug, title, oidc })
    }

    /// Where a browser goes with this attempt.
    pub(crate) async fn address(&self, attempt: &Attempt, again: bool) -> Result<Url, OidcError> {
        let challenge = URL_SAFE_NO_PAD.encode(attempt.challenge());
        self.oidc.address(Outbound { state: &attempt.state, nonce: &attempt.nonce, challenge: &challenge, again }).await
    }

    /// Who it was, by the code that a browser brought.
    pub(crate) async fn identify(
        &self,
        (came, attempt): (&Came, &Attempt),
        code: &str,
        issuer: Option<&str>,
    ) -> Result<Identity, OidcError> {
        let back = Inbound {
            code,
            verifier: &attempt.verifier,
            nonce: &attempt.nonce,
            issuer,
            now: came.now,
            again_since: came.again.map(|_| came.began_at),
        };
        self.oidc.identify(back).await
    }
}
