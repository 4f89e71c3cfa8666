//! The machine's own key, under which everything that it keeps is sealed.
//!
//! It is one file that only root can read. While it is being changed there are two: the new key is laid beside the
//! old one, everything is sealed anew under it, and then it takes the old one's name. Until that last step both keys
//! open, so whoever dies at any point leaves a machine that starts.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{
    MachineId,
    protocol::{Refusal, Rekeyed, SecretText, delivered},
};
use vault::{MasterKey, OpenError, Place, Sealed, Secret};
use zeroize::Zeroizing;

use crate::{entropy::SystemEntropy, folder::Folder, machine::Machine, paths::Paths, sealed::Store};

/// What is put behind the file's name for a key that is on its way.
const COMING: &str = ".next";
const BYTES_MAX: u64 = 64;

/// A key as it lies in its file.
type Bytes = Zeroizing<[u8; 32]>;

/// A place between two steps of a change, for tests that die there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// The new key lies beside the old one.
    Laid,
    /// The configuration that the gateway starts from is sealed anew.
    CurrentSealed,
    /// And the one that was begun.
    NextSealed,
    /// The new key has the old one's name.
    Taken,
}

impl Point {
    /// In the order in which they come.
    pub const ALL: [Self; 4] = [Self::Laid, Self::CurrentSealed, Self::NextSealed, Self::Taken];
}

/// The machine's key; while it is being changed, both.
pub struct MachineKeys {
    seals: MasterKey,
    opens_too: Option<MasterKey>,
}

impl MachineKeys {
    /// Seals under the key that is to stay.
    #[must_use]
    pub fn seal(&self, place: &Place<'_>, secret: &Secret) -> Sealed {
        self.seals.seal(&SystemEntropy, place, secret)
    }

    /// Opens what either key sealed.
    pub fn open(&self, place: &Place<'_>, sealed: &Sealed) -> Result<Secret, OpenError> {
        match (self.seals.open(place, sealed), &self.opens_too) {
            (Err(OpenError::UnknownKey(_)), Some(other)) => other.open(place, sealed),
            (opened, _) => opened,
        }
    }
}

/// Reads the key, and the one that is on its way if there is one.
pub fn keys(paths: &Paths) -> Result<MachineKeys> {
    let (folder, name) = place(paths)?;
    let key = master(&read(&folder, &name)?.context("there is no machine key")?);
    let coming = read(&folder, &format!("{name}{COMING}"))?;
    Ok(match coming {
        Some(coming) => MachineKeys { seals: master(&coming), opens_too: Some(key) },
        None => MachineKeys { seals: key, opens_too: None },
    })
}

/// Carries out `rekey`.
pub async fn rekey(machine: &Machine, fence: u64, key: &SecretText) -> Result<Rekeyed, Refusal> {
    let malformed = || Refusal::Malformed { why: "the machine key is not 32 bytes in base64".to_owned() };
    // The ring's own rules: 32 bytes, and no placeholder.
    let id = MasterKey::parse(key.expose()).map_err(|_| malformed())?.id().to_string();
    let bytes = Zeroizing::new(STANDARD.decode(key.expose().trim()).map_err(|_| malformed())?);
    let bytes: Bytes = Zeroizing::new(bytes.as_slice().try_into().map_err(|_| malformed())?);
    let _lock = machine.lock().await.map_err(|error| machine.broken(&error))?;
    let applied = begun(machine).map_err(|error| machine.broken(&error))?;
    if fence < applied {
        return Err(Refusal::Fenced { fence, applied });
    }
    let changed = change(&machine.paths, machine.config.machine, &bytes, &mut |_| {});
    let changed = changed.and_then(|()| opened_with(&machine.paths, machine.config.machine, &id));
    let done = changed.map_err(|error| machine.broken(&error))?;
    tracing::info!(key = done.key, "the machine key was changed");
    Ok(done)
}

/// The fence of the configuration begun last. What does not open says nothing; the change itself refuses then.
fn begun(machine: &Machine) -> Result<u64> {
    let store = machine.store()?;
    let bundles = store.current().ok().flatten().into_iter().chain(store.next());
    Ok(bundles.map(|bundle| bundle.fence).max().unwrap_or_default())
}

/// Changes the key; `at` is told of each point between two steps. The same change again finishes one that was cut
/// off; another one finishes that first.
pub fn change(paths: &Paths, machine: MachineId, key: &Bytes, at: &mut dyn FnMut(Point)) -> Result<()> {
    let (folder, name) = place(paths)?;
    let coming = format!("{name}{COMING}");
    if let Some(begun) = read(&folder, &coming)?
        && !vault::same(begun.as_slice(), key.as_slice())
    {
        seal_anew(paths, machine, &mut |_| {})?;
        folder.rename(&coming, &name).context("cannot keep the machine key that was begun")?;
    }
    let current = read(&folder, &name)?.context("there is no machine key")?;
    if vault::same(current.as_slice(), key.as_slice()) {
        return folder.remove(&coming).context("cannot remove the machine key beside the one in use");
    }
    // What does not open now would be lost with the old key, and nobody would know when.
    Store::open(paths, machine)?.current().context("what is kept here does not open, so its key is not changed")?;
    folder.replace(&coming, key.as_slice(), 0o400, None).context("cannot write the new machine key")?;
    at(Point::Laid);
    seal_anew(paths, machine, at)?;
    folder.rename(&coming, &name).context("cannot keep the new machine key")?;
    at(Point::Taken);
    Ok(())
}

/// Removes the key, and one that was on its way.
pub fn remove(paths: &Paths) -> Result<()> {
    // A folder that is not there holds no key.
    let Ok((folder, name)) = place(paths) else { return Ok(()) };
    for left in [format!(".{name}{COMING}.new"), format!("{name}{COMING}")] {
        folder.remove(&left)?;
    }
    Ok(folder.remove(&name)?)
}

fn seal_anew(paths: &Paths, machine: MachineId, at: &mut dyn FnMut(Point)) -> Result<()> {
    let store = Store::open(paths, machine)?;
    if let Some(current) = store.current()? {
        store.seal_current_anew(&current)?;
    }
    at(Point::CurrentSealed);
    match store.next() {
        Some(next) => store.begin(&next)?,
        None => store.drop_next()?,
    }
    at(Point::NextSealed);
    Ok(())
}

/// The proof: everything is read back from the disk, the key too, and there is no other key.
fn opened_with(paths: &Paths, machine: MachineId, id: &str) -> Result<Rekeyed> {
    let (folder, name) = place(paths)?;
    let key = read(&folder, &name)?.context("there is no machine key")?;
    let key = master(&key).id().to_string();
    if key != id || read(&folder, &format!("{name}{COMING}"))?.is_some() {
        bail!("the machine key is not the one that was sent");
    }
    let current = Store::open(paths, machine)?.current().context("what is kept here does not open any more")?;
    let digest = |bytes: &[u8]| vault::digest(bytes).to_string();
    let secrets_digest = current.map(|bundle| digest(&delivered(&bundle.secrets, &bundle.variables)));
    Ok(Rekeyed { key, secrets_digest })
}

fn place(paths: &Paths) -> Result<(Folder, String)> {
    let folder = paths.machine_key.parent().unwrap_or(Path::new("/"));
    let folder = Folder::open(folder).context("cannot open the folder of the machine key")?;
    let name = paths.machine_key.file_name().context("the machine key has no name")?;
    Ok((folder, name.to_string_lossy().into_owned()))
}

fn read(folder: &Folder, name: &str) -> Result<Option<Bytes>> {
    let Some(bytes) = folder.read(name, BYTES_MAX).context("cannot read the machine key")? else { return Ok(None) };
    let bytes = Zeroizing::new(bytes);
    let key: [u8; 32] = bytes.as_slice().try_into().ok().context("the machine key is not 32 bytes")?;
    Ok(Some(Zeroizing::new(key)))
}

fn master(bytes: &Bytes) -> MasterKey {
    MasterKey::from_bytes(**bytes)
}
