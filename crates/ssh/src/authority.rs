//! The SSH certificate authority: machines trust it, and it signs for minutes.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{Entropy, InstallationId, MachineId};
use russh::keys::{
    Certificate, PrivateKey, PublicKey,
    ssh_key::certificate::{Builder, CertType},
};
use zeroize::Zeroizing;

use crate::key::{self, BadKey};

/// How long after its making a certificate still opens a connection.
///
/// An open connection outlives it, so every connection is closed by us.
pub(crate) const VALID_FOR: TimeDelta = TimeDelta::minutes(5);

/// The key that machines trust to say who may sign in.
///
/// Its private half is sealed in the database and never leaves the control
/// plane; its public half is written into every machine before the first start.
pub struct Authority(PrivateKey);

impl Authority {
    /// A fresh Ed25519 authority.
    #[must_use]
    pub fn generate(entropy: &(impl Entropy + ?Sized)) -> Self {
        Self(key::fresh(entropy, "berth-ca"))
    }

    /// Reads what [`Authority::to_openssh`] wrote; an encrypted key or another kind of key is refused.
    pub fn from_openssh(text: &str) -> Result<Self, BadKey> {
        key::read(text).map(Self)
    }

    /// The private key, to be sealed at once.
    #[must_use]
    pub fn to_openssh(&self) -> Zeroizing<String> {
        key::write(&self.0)
    }

    /// One line for `TrustedUserCAKeys`, without a line end.
    #[must_use]
    pub fn public_line(&self) -> String {
        key::public_line(self.0.public_key())
    }

    /// A certificate for one sign-in to one machine.
    ///
    /// The principal is the machine's id; it holds from the epoch (a machine's
    /// clock may be behind) until five minutes after `now`; it has no
    /// extension, so no terminal and no forwarding even where a server would
    /// allow them.
    pub(crate) fn certify(
        &self,
        user: &PublicKey,
        machine: MachineId,
        installation: InstallationId,
        now: DateTime<Utc>,
        entropy: &(impl Entropy + ?Sized),
    ) -> Result<Certificate, russh::keys::ssh_key::Error> {
        let mut nonce = [0; Builder::RECOMMENDED_NONCE_SIZE];
        entropy.fill(&mut nonce);
        let until = (now + VALID_FOR).timestamp();
        let mut certificate = Builder::new(nonce, user.key_data().clone(), 0, until.try_into().unwrap_or(0))?;
        certificate.cert_type(CertType::User)?;
        certificate.key_id(format!("{installation} asks {machine}"))?;
        certificate.valid_principal(machine.to_string())?;
        certificate.sign(&self.0)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({}, ..)", key::fingerprint(self.0.public_key()))
    }
}
