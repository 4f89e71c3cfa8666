//! The instances of the daemon: what is changed about them is changed here, and written into the ledger here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use tokio_util::sync::DropGuard;

use super::{
    Shared,
    disk::Disk,
    guest::Guest,
    ledger::{Effect, now},
    machine,
    operations::Ended,
};

/// A machine as a test sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its name at the provider.
    pub name: String,
    /// Whether it has power.
    pub running: bool,
}

/// One instance.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) config: Map<String, Value>,
    pub(super) devices: Map<String, Value>,
    pub(super) created_at: DateTime<Utc>,
    /// 1970 until it is started for the first time.
    pub(super) last_used_at: DateTime<Utc>,
    pub(super) power: Option<Power>,
    pub(super) files: BTreeMap<String, Vec<u8>>,
    disk: Arc<Disk>,
}

/// A machine under power; dropping it cuts the power.
#[derive(Debug)]
pub(super) struct Power {
    /// None where the files make no machine that could answer.
    pub(super) guest: Option<Arc<Guest>>,
    pub(super) _off: DropGuard,
}

impl Instance {
    pub(super) fn new(config: Map<String, Value>, devices: Map<String, Value>) -> Self {
        Self {
            config,
            devices,
            created_at: now(),
            last_used_at: DateTime::UNIX_EPOCH,
            power: None,
            files: BTreeMap::new(),
            disk: Arc::default(),
        }
    }

    /// The address that is reserved for it.
    pub(super) fn address(&self) -> Option<std::net::Ipv4Addr> {
        self.devices.get("eth0")?.get("ipv4.address")?.as_str()?.parse().ok()
    }
}

/// All of them, and what is under way.
#[derive(Debug, Default)]
pub(super) struct Instances(Mutex<All>);

#[derive(Debug, Default)]
pub(super) struct All {
    pub(super) there: BTreeMap<String, Instance>,
    /// Names with an operation under way: a second one is refused.
    busy: BTreeSet<String>,
}

impl All {
    /// Keeps other operations on this name out. `false`: one is at work.
    pub(super) fn occupy(&mut self, name: &str) -> bool {
        self.busy.insert(name.to_owned())
    }
}

impl Instances {
    pub(super) fn all(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        let all = self.all();
        all.there.iter().map(|(name, one)| Seen { name: name.clone(), running: one.power.is_some() }).collect()
    }

    pub(super) fn guest(&self, name: &str) -> Option<Arc<Guest>> {
        self.all().there.get(name)?.power.as_ref()?.guest.clone()
    }
}

/// What an operation does, half of its time before and half of it after the effect.
pub(super) async fn work(shared: Arc<Shared>, name: String, how: Work) -> Ended {
    let delays = shared.options.delays;
    let half = match how {
        Work::Create(_) | Work::Delete => delays.make / 2,
        Work::Start | Work::Stop => delays.power / 2,
    };
    tokio::time::sleep(half).await;
    let ended = match how {
        Work::Create(instance) => create(&shared, &name, *instance),
        Work::Start => start(&shared, &name),
        Work::Stop => stop(&shared, &name),
        Work::Delete => delete(&shared, &name),
    };
    tokio::time::sleep(half).await;
    shared.instances.all().busy.remove(&name);
    ended
}

/// What is to be done to an instance.
#[derive(Debug)]
pub(super) enum Work {
    Create(Box<Instance>),
    Start,
    Stop,
    Delete,
}

fn create(shared: &Shared, name: &str, instance: Instance) -> Ended {
    let mut all = shared.instances.all();
    if all.there.contains_key(name) {
        return Err(format!("Instance {name:?} already exists"));
    }
    all.there.insert(name.to_owned(), instance);
    shared.ledger.write(name, Effect::Create);
    Ok(())
}

fn start(shared: &Arc<Shared>, name: &str) -> Ended {
    let (files, address, disk) = {
        let all = shared.instances.all();
        let instance = all.there.get(name).ok_or("Instance not found")?;
        if instance.power.is_some() {
            return Err("The instance is already running".to_owned());
        }
        let address = instance.address().ok_or("it has no address")?;
        if all.there.iter().any(|(other, one)| other != name && one.address() == Some(address)) {
            return Err(format!(
                "Failed to start device \"eth0\": IP address {address:?} is in use by another instance"
            ));
        }
        (instance.files.clone(), address, Arc::clone(&instance.disk))
    };
    let power = machine::power_on(shared, name, &files, address, disk);
    let mut all = shared.instances.all();
    let instance = all.there.get_mut(name).ok_or("Instance not found")?;
    instance.power = Some(power);
    instance.last_used_at = now();
    shared.ledger.write(name, Effect::Start);
    Ok(())
}

fn stop(shared: &Shared, name: &str) -> Ended {
    let mut all = shared.instances.all();
    let instance = all.there.get_mut(name).ok_or("Instance not found")?;
    if instance.power.take().is_none() {
        return Err("The instance is already stopped".to_owned());
    }
    shared.ledger.write(name, Effect::Stop);
    Ok(())
}

fn delete(shared: &Shared, name: &str) -> Ended {
    let mut all = shared.instances.all();
    if all.there.remove(name).is_none() {
        return Err("Instance not found".to_owned());
    }
    shared.ledger.write(name, Effect::Delete);
    Ok(())
}
