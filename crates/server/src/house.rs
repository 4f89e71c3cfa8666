//! What a process needs of the database before it works: the house's key, which Berth this is, and its SSH authority.

use anyhow::Context as _;
use app::keys::Unusable;
use domain::{Entropy, InstallationId, entropy::mint};
use ssh::Authority;
use store::{Db, house::AuthorityRow};
use uuid::Uuid;
use vault::{Keyring, OpenError, Owner, Place, Secret};

/// What a process found.
pub(crate) struct House {
    /// Seals and opens; or neither, see [`Self::sealed`].
    pub(crate) ring: Keyring,
    /// Why this process neither seals nor opens. Then it serves what needs no secret, and does no work.
    pub(crate) sealed: Option<Unusable>,
    /// Which Berth this is.
    pub(crate) installation: InstallationId,
    /// Signs the certificates of our connections; only a process with a key has it.
    pub(crate) authority: Option<Authority>,
}

/// Reads all of it, making it at the very first start. Two processes at once agree.
pub(crate) async fn open(db: &Db, ring: Keyring, entropy: &dyn Entropy) -> anyhow::Result<House> {
    let mut tx = db.system().await?;
    let installation = store::house::installation(&mut tx, mint(entropy)).await?;
    let ring = match app::keys::unseal(&mut tx, ring, entropy).await? {
        Ok(ring) => ring,
        Err((ring, why)) => return Ok(House { ring, sealed: Some(why), installation, authority: None }),
    };
    let fresh = fresh_authority(&ring, entropy)?;
    let row = store::house::ssh_authority(&mut tx, &fresh).await?;
    tx.commit().await?;
    let key = ring.open(&place(row.id), &row.key).context(
        "the SSH authority does not open: is CREDENTIAL_ENCRYPTION_KEY the one this database was started with?",
    )?;
    let text = key.expose_text().context("the SSH authority is not text")?;
    Ok(House { ring, sealed: None, installation, authority: Some(Authority::from_openssh(text)?) })
}

fn fresh_authority(ring: &Keyring, entropy: &dyn Entropy) -> Result<AuthorityRow, OpenError> {
    let id = entropy.uuid();
    let authority = Authority::generate(entropy);
    let key = Secret::new(authority.to_openssh().as_bytes().to_vec());
    Ok(AuthorityRow { id, public_key: authority.public_line(), key: ring.seal(entropy, &place(id), &key)? })
}

fn place(row: Uuid) -> Place<'static> {
    Place { owner: Owner::House, table: "ssh_authorities", column: "key_sealed", row }
}
