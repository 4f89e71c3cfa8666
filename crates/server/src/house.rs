//! What a process needs of the database before it works: which Berth this is, and its SSH authority.

use anyhow::Context as _;
use domain::{Entropy, InstallationId, entropy::mint};
use ssh::Authority;
use store::{Db, house::AuthorityRow};
use uuid::Uuid;
use vault::{Keyring, Owner, Place, Secret};

/// Reads both, making them at the very first start. Two processes at once agree.
pub(crate) async fn open(
    db: &Db,
    ring: &Keyring,
    entropy: &dyn Entropy,
) -> anyhow::Result<(InstallationId, Authority)> {
    let mut tx = db.system().await?;
    let installation = store::house::installation(&mut tx, mint(entropy)).await?;
    let fresh = fresh_authority(ring, entropy);
    let row = store::house::ssh_authority(&mut tx, &fresh).await?;
    tx.commit().await?;
    let key = ring.open(&place(row.id), &row.key).context(
        "the SSH authority does not open: is CREDENTIAL_ENCRYPTION_KEY the one this database was started with?",
    )?;
    let text = key.expose_text().context("the SSH authority is not text")?;
    Ok((installation, Authority::from_openssh(text)?))
}

fn fresh_authority(ring: &Keyring, entropy: &dyn Entropy) -> AuthorityRow {
    let id = entropy.uuid();
    let authority = Authority::generate(entropy);
    let key = Secret::new(authority.to_openssh().as_bytes().to_vec());
    AuthorityRow { id, public_key: authority.public_line(), key: ring.seal(entropy, &place(id), &key) }
}

fn place(row: Uuid) -> Place<'static> {
    Place { owner: Owner::House, table: "ssh_authorities", column: "key_sealed", row }
}
