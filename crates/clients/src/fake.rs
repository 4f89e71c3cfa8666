//! A [`Provider`] in memory, with a ledger of every call and failures on order.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::machine::{Isolation, MachineName};

use crate::provider::{Limits, Plan, Provider, ProviderError, Sighting};

/// A verb of [`Provider`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// [`Provider::ensure`].
    Ensure,
    /// [`Provider::look`].
    Look,
    /// [`Provider::start`].
    Start,
    /// [`Provider::stop`].
    Stop,
    /// [`Provider::resize`].
    Resize,
    /// [`Provider::remove`].
    Remove,
    /// [`Provider::list`].
    List,
    /// [`Provider::home_address`].
    HomeAddress,
}

/// When an ordered failure strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strike {
    /// Nothing was done.
    Before,
    /// It was done, and the caller does not learn of it.
    After,
}

/// One call, with what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Which verb.
    pub verb: Verb,
    /// Which machine, where the verb has one.
    pub name: Option<MachineName>,
    /// The failure it was answered with, if any.
    pub failed: Option<ProviderError>,
}

/// A file as it lies in a fake machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeFile {
    /// Permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// What is in it.
    pub content: Vec<u8>,
}

struct Machine {
    sighting: Sighting,
    files: BTreeMap<String, FakeFile>,
    limits: Limits,
}

struct State {
    isolation: Isolation,
    home: IpAddr,
    images: Option<Vec<String>>,
    machines: BTreeMap<MachineName, Machine>,
    orders: HashMap<Verb, VecDeque<(Strike, ProviderError)>>,
    ledger: Vec<Call>,
    made: u32,
    boots: u32,
}

/// The fake. Clones share one state. Machines get 10.0.0.2 and up; home is 10.0.0.1.
#[derive(Clone)]
pub struct FakeProvider(Arc<Mutex<State>>);

impl Default for FakeProvider {
    fn default() -> Self {
        Self::new(Isolation::Container)
    }
}

impl FakeProvider {
    /// An empty provider that has every image.
    #[must_use]
    pub fn new(isolation: Isolation) -> Self {
        Self(Arc::new(Mutex::new(State {
            isolation,
            home: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
            images: None,
            machines: BTreeMap::new(),
            orders: HashMap::new(),
            ledger: Vec::new(),
            made: 0,
            boots: 0,
        })))
    }

    /// From now on only these images are there.
    pub fn set_images(&self, aliases: &[&str]) {
        self.state().images = Some(aliases.iter().map(ToString::to_string).collect());
    }

    /// The next `times` calls of this verb fail like this.
    pub fn fail_next(&self, verb: Verb, strike: Strike, times: usize, error: &ProviderError) {
        let mut state = self.state();
        state.orders.entry(verb).or_default().extend(std::iter::repeat_n((strike, error.clone()), times));
    }

    /// Takes back every failure that was ordered and has not struck.
    pub fn fail_no_more(&self) {
        self.state().orders.clear();
    }

    /// Every call so far, oldest first.
    #[must_use]
    pub fn ledger(&self) -> Vec<Call> {
        self.state().ledger.clone()
    }

    /// How often this verb was called.
    #[must_use]
    pub fn count(&self, verb: Verb) -> usize {
        self.state().ledger.iter().filter(|call| call.verb == verb).count()
    }

    /// How many machines were ever made.
    #[must_use]
    pub fn made(&self) -> u32 {
        self.state().made
    }

    /// How often a machine was started.
    #[must_use]
    pub fn boots(&self) -> u32 {
        self.state().boots
    }

    /// The machines there are, without writing the ledger.
    #[must_use]
    pub fn machines(&self) -> Vec<Sighting> {
        self.state().machines.values().map(|machine| machine.sighting.clone()).collect()
    }

    /// A file in a machine.
    #[must_use]
    pub fn file(&self, name: &MachineName, path: &str) -> Option<FakeFile> {
        self.state().machines.get(name)?.files.get(path).cloned()
    }

    /// What a machine may use.
    #[must_use]
    pub fn limits(&self, name: &MachineName) -> Option<Limits> {
        Some(self.state().machines.get(name)?.limits)
    }

    /// A machine disappears behind our back.
    pub fn vanish(&self, name: &MachineName) {
        self.state().machines.remove(name);
    }

    /// A machine loses its power behind our back.
    pub fn lose_power(&self, name: &MachineName) {
        if let Some(machine) = self.state().machines.get_mut(name) {
            machine.sighting.running = false;
        }
    }

    /// A machine gets another address behind our back.
    pub fn set_address(&self, name: &MachineName, address: IpAddr) {
        if let Some(machine) = self.state().machines.get_mut(name) {
            machine.sighting.address = Some(address);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the effect between the failures that were ordered, and writes the ledger.
    fn call<T>(
        &self,
        verb: Verb,
        name: Option<&MachineName>,
        effect: impl FnOnce(&mut State) -> Result<T, ProviderError>,
    ) -> Result<T, ProviderError> {
        let mut state = self.state();
        let order = state.orders.get_mut(&verb).and_then(VecDeque::pop_front);
        let outcome = match order {
            Some((Strike::Before, error)) => Err(error),
            Some((Strike::After, error)) => effect(&mut state).and(Err(error)),
            None => effect(&mut state),
        };
        state.ledger.push(Call { verb, name: name.cloned(), failed: outcome.as_ref().err().cloned() });
        outcome
    }
}

impl State {
    fn make(&mut self, plan: &Plan) -> Result<(), ProviderError> {
        if self.machines.contains_key(&plan.name) {
            return Ok(());
        }
        if self.images.as_ref().is_some_and(|images| !images.contains(&plan.image)) {
            return Err(ProviderError::ImageMissing { alias: plan.image.clone() });
        }
        self.made = self.made.saturating_add(1);
        let address = IpAddr::V4(Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 1).to_bits().saturating_add(self.made)));
        let sighting = Sighting {
            name: plan.name.clone(),
            machine: Some(plan.machine),
            running: false,
            address: Some(address),
            image: Some(plan.image.clone()),
            created_at: DateTime::<Utc>::UNIX_EPOCH,
        };
        let files = plan.files.iter().map(|file| {
            let placed = FakeFile { mode: file.mode, owner: (file.uid, file.gid), content: file.content.to_vec() };
            (file.path.clone(), placed)
        });
        self.machines.insert(plan.name.clone(), Machine { sighting, files: files.collect(), limits: plan.limits });
        Ok(())
    }

    fn power(&mut self, name: &MachineName, on: bool) -> Result<(), ProviderError> {
        let Some(machine) = self.machines.get_mut(name) else {
            return Err(ProviderError::Refused { why: format!("there is no machine {name}") });
        };
        if on && !machine.sighting.running {
            self.boots = self.boots.saturating_add(1);
        }
        machine.sighting.running = on;
        Ok(())
    }
}

#[async_trait]
impl Provider for FakeProvider {
    fn isolation(&self) -> Isolation {
        self.state().isolation
    }

    async fn ensure(&self, plan: &Plan) -> Result<Sighting, ProviderError> {
        self.call(Verb::Ensure, Some(&plan.name), |state| {
            state.make(plan)?;
            state.power(&plan.name, true)?;
            let machine = state.machines.get(&plan.name);
            machine.map(|machine| machine.sighting.clone()).ok_or(ProviderError::Busy)
        })
    }

    async fn look(&self, name: &MachineName) -> Result<Option<Sighting>, ProviderError> {
        self.call(Verb::Look, Some(name), |state| Ok(state.machines.get(name).map(|machine| machine.sighting.clone())))
    }

    async fn start(&self, name: &MachineName) -> Result<(), ProviderError> {
        self.call(Verb::Start, Some(name), |state| state.power(name, true))
    }

    async fn stop(&self, name: &MachineName, _grace: Duration) -> Result<(), ProviderError> {
        self.call(Verb::Stop, Some(name), |state| state.power(name, false))
    }

    async fn resize(&self, name: &MachineName, limits: &Limits) -> Result<(), ProviderError> {
        self.call(Verb::Resize, Some(name), |state| {
            let machine = state.machines.get_mut(name);
            let machine =
                machine.ok_or_else(|| ProviderError::Refused { why: format!("there is no machine {name}") })?;
            machine.limits = Limits { disk_bytes: machine.limits.disk_bytes, ..*limits };
            Ok(())
        })
    }

    async fn remove(&self, name: &MachineName) -> Result<(), ProviderError> {
        self.call(Verb::Remove, Some(name), |state| {
            state.machines.remove(name);
            Ok(())
        })
    }

    async fn list(&self) -> Result<Vec<Sighting>, ProviderError> {
        self.call(Verb::List, None, |state| {
            Ok(state.machines.values().map(|machine| machine.sighting.clone()).collect())
        })
    }

    async fn home_address(&self) -> Result<IpAddr, ProviderError> {
        self.call(Verb::HomeAddress, None, |state| Ok(state.home))
    }
}
