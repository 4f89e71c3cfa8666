//! Making a machine: from nothing, or from whatever an earlier try has left.

use std::{
    collections::HashSet,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use domain::machine::MachineName;
use http::Method;
use serde_json::{Value, json};

use super::{
    Flavour, Incus, Power, refused,
    socket::{Call, Trouble},
    wire::{self, Alias, Instance},
};
use crate::provider::{FILE_BYTES_MAX, Limits, PlacedFile, Plan, ProviderError, Sighting};

/// Longest making of an instance; the first from an image unpacks it (4 s here, 15 s on a slow pool).
const CREATE_MAX: Duration = Duration::from_mins(3);

/// Longest change of a machine's size: memory that is in use is written out first.
const RESIZE_MAX: Duration = Duration::from_secs(30);

/// How often [`ensure`] looks again. Four are used by the worst mishaps together: waiting for another's work,
/// removing a ruin, moving to another address, starting.
const ROUNDS_MAX: u32 = 8;

/// Finds the machine, or brings it one step nearer and looks again, until it runs.
pub(super) async fn ensure(incus: &Incus, plan: &Plan) -> Result<Sighting, ProviderError> {
    check(plan)?;
    let mut ruins = 0;
    for _ in 0..ROUNDS_MAX {
        match incus.our_instance(&plan.name).await? {
            Some(instance) if instance.is_running()? => return instance.sighting(plan.name.clone()),
            Some(instance) if instance.was_started() => {
                if !incus.settle(&plan.name, CREATE_MAX).await? {
                    incus.power(&plan.name, Power::On).await?;
                }
            }
            Some(instance) => {
                // Still being made by a call that was given up, or by another worker.
                if incus.settle(&plan.name, CREATE_MAX).await? {
                    continue;
                }
                match first_start(incus, plan, &instance).await {
                    Ok(()) => {}
                    // Left behind by a daemon that was killed while it made it. It never ran, so nothing is lost.
                    Err(FirstStart::Ruin(error)) => {
                        tracing::warn!(machine = %plan.name, %error, "removing a machine that was never started and takes no files");
                        ruins += 1;
                        if ruins > 1 {
                            return Err(error);
                        }
                        incus.socket.operate(Call::delete(path(&plan.name)), CREATE_MAX).await?;
                    }
                    Err(FirstStart::Failed(error)) => return Err(error),
                }
            }
            None => {
                if !incus.settle(&plan.name, CREATE_MAX).await? {
                    create(incus, plan).await?;
                }
            }
        }
    }
    Err(ProviderError::Unavailable { why: format!("{} did not come to rest", plan.name) })
}

/// Sets what it may use. The daemon puts that in force on a running one at once.
pub(super) async fn resize(incus: &Incus, name: &MachineName, limits: &Limits) -> Result<(), ProviderError> {
    check_limits(limits)?;
    if incus.our_instance(name).await?.is_none() {
        return Err(refused(format!("there is no machine {name}")));
    }
    let body = json!({"config": power(limits)});
    Ok(incus.socket.operate(Call::json(Method::PATCH, path(name), &body), RESIZE_MAX).await?)
}

/// Processors and memory, as the daemon writes them.
fn power(limits: &Limits) -> Value {
    json!({"limits.cpu": limits.cpus.to_string(), "limits.memory": limits.memory_bytes.to_string()})
}

enum FirstStart {
    /// It cannot take its files.
    Ruin(ProviderError),
    Failed(ProviderError),
}

impl From<ProviderError> for FirstStart {
    fn from(error: ProviderError) -> Self {
        Self::Failed(error)
    }
}

/// Puts the files in and starts it.
async fn first_start(incus: &Incus, plan: &Plan, instance: &Instance) -> Result<(), FirstStart> {
    let leases = incus.leases().await?;
    let shared = |address: IpAddr| leases.iter().any(|l| l.address == address && l.hostname != plan.name.as_str());
    if instance.address().is_none_or(shared) {
        // Two workers chose at the same time. The daemon lets both have it, and then starts neither.
        move_away(incus, plan).await?;
    }
    let begun = std::time::Instant::now();
    for file in &plan.files {
        match put(incus, &plan.name, file).await {
            Ok(()) => {}
            Err(trouble @ (Trouble::Said { .. } | Trouble::Failed { .. })) => {
                let missing = trouble.is_absence();
                return Err(FirstStart::Ruin(match ProviderError::from(trouble) {
                    ProviderError::Busy => return Err(FirstStart::Failed(ProviderError::Busy)),
                    _ if missing => refused(format!("the image has no folder for {}", file.path)),
                    error => error,
                }));
            }
            Err(trouble) => return Err(FirstStart::Failed(trouble.into())),
        }
    }
    let took_ms = begun.elapsed().as_millis();
    tracing::debug!(machine = %plan.name, files = plan.files.len(), took_ms, "files put in");
    Ok(incus.power(&plan.name, Power::On).await?)
}

/// Makes the instance. "It is there already" is success: the next look says whose it is.
async fn create(incus: &Incus, plan: &Plan) -> Result<(), ProviderError> {
    let begun = std::time::Instant::now();
    let flavour = incus.flavour().await?;
    let image: Alias = match incus.socket.ask(Call::get(format!("/1.0/images/aliases/{}", plan.image))).await {
        Ok(image) => image,
        Err(trouble) if trouble.is_absence() => return Err(ProviderError::ImageMissing { alias: plan.image.clone() }),
        Err(trouble) => return Err(trouble.into()),
    };
    if image.kind != "container" {
        let why =
            format!("{} is an image for a {}, which takes no files before its first start", plan.image, image.kind);
        return Err(refused(why));
    }
    let promise = promise(incus, plan).await?;
    let address = promise.address;
    let body = json!({
        "name": plan.name.as_str(),
        "type": "container",
        "source": {"type": "image", "fingerprint": image.target},
        // No profile: what a machine may do is written here and nowhere else.
        "profiles": [],
        "config": config(incus, plan, flavour),
        "devices": {
            "root": {"type": "disk", "path": "/", "pool": incus.settings.pool, "size": plan.limits.disk_bytes.to_string()},
            wire::NIC: nic(incus, address),
        },
    });
    let outcome = incus.socket.operate(Call::json(Method::POST, "/1.0/instances", &body), CREATE_MAX).await;
    let took_ms = begun.elapsed().as_millis();
    tracing::debug!(machine = %plan.name, %address, ok = outcome.is_ok(), took_ms, "machine made");
    match outcome {
        Err(trouble) if trouble.mentions("already exists") => Ok(()),
        // Between our look and now someone replaced or removed the image.
        Err(trouble) if trouble.is_absence() => Err(ProviderError::ImageMissing { alias: plan.image.clone() }),
        outcome => Ok(outcome?),
    }
}

/// Gives it another address. It was never started, so nobody knows the old one.
async fn move_away(incus: &Incus, plan: &Plan) -> Result<(), ProviderError> {
    let promise = promise(incus, plan).await?;
    let address = promise.address;
    tracing::info!(machine = %plan.name, %address, "its address was taken, moved to another");
    let body = json!({"devices": {wire::NIC: nic(incus, address)}});
    Ok(incus.socket.operate(Call::json(Method::PATCH, path(&plan.name), &body), CREATE_MAX).await?)
}

/// An address that no other call of this process may choose while this lives.
struct Promise<'a> {
    address: IpAddr,
    all: &'a Mutex<HashSet<IpAddr>>,
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.address);
    }
}

/// Finds a free address.
async fn promise<'a>(incus: &'a Incus, plan: &Plan) -> Result<Promise<'a>, ProviderError> {
    let subnet = incus.subnet().await?;
    let mut taken: HashSet<IpAddr> = incus.leases().await?.into_iter().map(|lease| lease.address).collect();
    let all = &incus.promised;
    let mut promised = all.lock().unwrap_or_else(PoisonError::into_inner);
    taken.extend(promised.iter());
    let address = subnet.choose(plan.machine, &taken);
    let address = address.ok_or_else(|| refused(format!("the network {} is full", incus.settings.network)))?.into();
    promised.insert(address);
    Ok(Promise { address, all })
}

fn config(incus: &Incus, plan: &Plan, flavour: Flavour) -> Value {
    // The socket through which a guest can talk to the daemon has two names.
    let guest_socket = match flavour {
        Flavour::Lxd => "security.devlxd",
        Flavour::Incus => "security.guestapi",
    };
    let mut config = power(&plan.limits);
    let rest = json!({
        wire::LABEL_INSTALLATION: incus.settings.installation.to_string(),
        wire::LABEL_MACHINE: plan.machine.to_string(),
        wire::LABEL_IMAGE: plan.image,
        "security.privileged": "false",
        "security.nesting": "false",
        guest_socket: "false",
    });
    if let (Value::Object(config), Value::Object(rest)) = (&mut config, rest) {
        config.extend(rest);
    }
    config
}

/// The network device: a fixed address, and no talk to other machines nor in their name.
fn nic(incus: &Incus, address: IpAddr) -> Value {
    json!({
        "type": "nic",
        "name": wire::NIC,
        "network": incus.settings.network,
        "ipv4.address": address.to_string(),
        "security.port_isolation": "true",
        "security.mac_filtering": "true",
        "security.ipv4_filtering": "true",
    })
}

/// Puts one file in. Its bytes stay in memory that is wiped.
async fn put(incus: &Incus, name: &MachineName, file: &PlacedFile) -> Result<(), Trouble> {
    let mut headers = Vec::new();
    // The two daemons call the same headers by their own name.
    for [uid, gid, mode, kind, write] in [
        ["x-lxd-uid", "x-lxd-gid", "x-lxd-mode", "x-lxd-type", "x-lxd-write"],
        ["x-incus-uid", "x-incus-gid", "x-incus-mode", "x-incus-type", "x-incus-write"],
    ] {
        headers.push((uid, file.uid.to_string()));
        headers.push((gid, file.gid.to_string()));
        headers.push((mode, format!("{:04o}", file.mode)));
        headers.push((kind, "file".to_owned()));
        headers.push((write, "overwrite".to_owned()));
    }
    let call = Call::bytes(
        format!("{}/files?path={}", path(name), file.path),
        headers,
        Bytes::from_owner(file.content.clone()),
    );
    incus.socket.ask::<Value>(call).await.map(drop)
}

fn path(name: &MachineName) -> String {
    format!("/1.0/instances/{name}")
}

/// Refuses what the daemon would misunderstand or we would regret.
fn check(plan: &Plan) -> Result<(), ProviderError> {
    if plan.name != MachineName::of(plan.machine) {
        return Err(refused("a plan whose name is not that of its machine".into()));
    }
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if plan.image.is_empty() || !plan.image.bytes().all(is_word) {
        return Err(refused("an image alias is made of a-z A-Z 0-9 - . _".into()));
    }
    check_limits(&plan.limits)?;
    for file in &plan.files {
        let is_absolute = file.path.starts_with('/') && file.path.bytes().all(|b| is_word(b) || b == b'/');
        if !is_absolute || file.path.split('/').any(|part| part == ".." || part == ".") {
            return Err(refused(format!("{:?} is no plain absolute path", file.path)));
        }
        if file.content.len() > FILE_BYTES_MAX {
            return Err(refused(format!("{} is larger than {FILE_BYTES_MAX} bytes", file.path)));
        }
    }
    Ok(())
}

fn check_limits(limits: &Limits) -> Result<(), ProviderError> {
    if limits.cpus == 0 || limits.memory_bytes == 0 || limits.disk_bytes == 0 {
        return Err(refused("a machine without processor, memory or disk".into()));
    }
    Ok(())
}
