//! Seals and opens secrets, hashes the tokens that Berth issues.
//!
//! Start with [`Keyring`] (seal, open), [`DataKey`] (one for each tenant), [`Place`] (what a
//! sealed value is bound to) and [`Token`] (shown once, stored as [`TokenHash`]). [`SessionKeys`] signs what a
//! browser shows with each request. The envelope's bytes
//! are specified in `docs/decisions/0005-envelope.md`. [`Imported`] reads two forms of others, once. A [`Fingerprint`]
//! tells two values of one tenant apart, and nothing else about them.
//! [`stripe::check`] tells whether Stripe sent a webhook.
//!
//! Invariants: the only crate that knows a cipher. A value that is no envelope
//! is an error, never passed through. Plaintext lives in [`Secret`] alone, which
//! has no `Display`, `Serialize`, `Clone` or `PartialEq`. Nothing here does
//! input or output.

mod digest;
mod envelope;
mod fingerprint;
mod imported;
mod key;
mod keyring;
mod place;
mod secret;
mod session;
pub mod stripe;
mod token;
mod totp;
#[cfg(test)]
mod vectors;
mod webhook;

pub use digest::{Digest, digest, same};
pub use envelope::{KeyId, NotAnEnvelope, Sealed};
pub use fingerprint::{Fingerprint, NotAFingerprint};
pub use imported::{BadImport, BadRounds, Imported, NotOpened, Rounds};
pub use key::{BadKey, DataKey, MasterKey, OpenError};
pub use keyring::{KeyedHashes, Keyring};
pub use place::{Owner, Place};
pub use secret::Secret;
pub use session::{Pass, SessionKey, SessionKeys};
pub use token::{Token, TokenHash, TokenKind};
pub use totp::{STEP_SECONDS, fresh_totp, totp_code, totp_step, totp_text};
pub use webhook::{BadWebhookSecret, WebhookSecret};
