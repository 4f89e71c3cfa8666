//! The world of one run: a database, a provider of machines, and an oracle that remembers what must come of it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{Claim, Millis, Queue, Settle, Sight},
    Planted,
};

pub(super) const SECOND: Millis = 1000;
pub(super) const MINUTE: Millis = 60 * SECOND;
pub(super) const REST: Millis = 60 * MINUTE;

/// A life in small: the same shape as an agent's, with the same pauses and deadlines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Reserve,
    Create { machine: u32 },
    Await { machine: u32 },
    Prove { machine: u32 },
    Live { machine: u32 },
    Failed { machine: Option<u32> },
    Remove { machine: Option<u32> },
}

impl Step {
    pub(super) const NAMES: [&'static str; 7] = ["reserve", "create", "await", "prove", "live", "failed", "remove"];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Create { .. } => "create",
            Self::Await { .. } => "await",
            Self::Prove { .. } => "prove",
            Self::Live { .. } => "live",
            Self::Failed { .. } => "failed",
            Self::Remove { .. } => "remove",
        }
    }

    pub(super) const fn machine(self) -> Option<u32> {
        match self {
            Self::Reserve => None,
            Self::Create { machine } | Self::Await { machine } | Self::Prove { machine } | Self::Live { machine } => {
                Some(machine)
            }
            Self::Failed { machine } | Self::Remove { machine } => machine,
        }
    }

    pub(super) const fn deadline(self) -> Option<Millis> {
        match self {
            Self::Reserve => Some(2 * MINUTE),
            Self::Create { .. } => Some(5 * MINUTE),
            Self::Await { .. } | Self::Prove { .. } => Some(3 * MINUTE),
            Self::Remove { .. } => Some(15 * MINUTE),
            Self::Live { .. } | Self::Failed { .. } => None,
        }
    }
}

/// A machine's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MachineRow {
    pub(super) agent: u64,
    pub(super) state: MachineState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MachineState {
    Reserved,
    Made,
    Gone,
}

/// A write that is committed together with the settle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    Reserve(u32),
    Made(u32),
    Gone(u32),
    ForgetAgent,
}

/// A machine at the provider. The second number tells copies of one name apart: there must be none.
type Machines = BTreeMap<(u32, u32), Millis>;

pub(super) struct World {
    pub(super) now: Millis,
    /// The latest time that the clock ever showed.
    pub(super) latest: Millis,
    pub(super) queue: Queue<Step>,
    pub(super) rows: BTreeMap<u32, MachineRow>,
    pub(super) agents: BTreeSet<u64>,
    pub(super) machines: Machines,
    pub(super) planted: Option<Planted>,
    oracle: Oracle,
}

/// What is remembered beside the database, to judge it by.
#[derive(Default)]
struct Oracle {
    /// Whose claim was the last of a flow.
    owner: BTreeMap<u64, u64>,
    /// Numbers of the last asking, and of the last that was heard.
    asked: BTreeMap<(u64, &'static str), i64>,
    heard: BTreeMap<(u64, &'static str), i64>,
    /// Machines made by a worker that had lost its lease: nothing can fence the outside. The sweep tells of them.
    ghosts: BTreeSet<u32>,
}

impl World {
    pub(super) fn new(planted: Option<Planted>) -> Self {
        let mut queue = Queue::new();
        if let Some(Planted::Queue(flaw)) = planted {
            queue.plant(flaw);
        }
        Self {
            now: 0,
            latest: 0,
            queue,
            rows: BTreeMap::new(),
            agents: BTreeSet::new(),
            machines: Machines::new(),
            planted,
            oracle: Oracle::default(),
        }
    }

    pub(super) fn has(&self, planted: Planted) -> bool {
        self.planted == Some(planted)
    }

    pub(super) fn set_clock(&mut self, now: Millis) {
        self.now = now;
        self.latest = self.latest.max(now);
    }

    pub(super) fn signal(&mut self, flow: u64, word: &'static str) -> bool {
        let asked = self.queue.signal(flow, word, self.now);
        if let Some(asked) = asked {
            self.oracle.asked.insert((flow, word), asked);
        }
        asked.is_some()
    }

    pub(super) fn claim(&mut self, seen: Sight, token: u64, lease: Millis) -> Option<Claim<Step>> {
        let claim = self.queue.claim(seen, token, lease, self.now)?;
        self.oracle.owner.insert(claim.flow, token);
        Some(claim)
    }

    pub(super) fn owns(&self, claim: &Claim<Step>) -> bool {
        self.oracle.owner.get(&claim.flow) == Some(&claim.token)
    }

    /// Settles and writes, in one transaction.
    pub(super) fn settle(&mut self, claim: &Claim<Step>, to: &Settle<Step>, writes: &[Write]) -> Result<bool, String> {
        let kept = self.queue.settle(claim, to, self.now);
        self.written(claim, kept, to.heard, writes)
    }

    /// Finishes and writes, in one transaction.
    pub(super) fn finish(&mut self, claim: &Claim<Step>, writes: &[Write]) -> Result<bool, String> {
        let kept = self.queue.finish(claim);
        self.written(claim, kept, true, writes)
    }

    fn written(&mut self, claim: &Claim<Step>, kept: bool, heard: bool, writes: &[Write]) -> Result<bool, String> {
        if !kept {
            return Ok(false);
        }
        if !self.owns(claim) {
            return Err(format!("flow {} was written by a worker that had lost its lease", claim.flow));
        }
        self.oracle.owner.remove(&claim.flow);
        if heard {
            // What was seen may be older than what another one heard before this one's lock.
            for (word, seq) in &claim.signals {
                let last = self.oracle.heard.entry((claim.flow, *word)).or_default();
                *last = (*last).max(*seq);
            }
        }
        for write in writes {
            match *write {
                Write::Reserve(machine) => {
                    let row = MachineRow { agent: claim.flow, state: MachineState::Reserved };
                    self.rows.insert(machine, row);
                }
                Write::Made(machine) => self.mark(machine, MachineState::Made),
                Write::Gone(machine) => self.mark(machine, MachineState::Gone),
                Write::ForgetAgent => {
                    self.agents.remove(&claim.flow);
                }
            }
        }
        Ok(true)
    }

    fn mark(&mut self, machine: u32, state: MachineState) {
        if let Some(row) = self.rows.get_mut(&machine).filter(|row| row.state != MachineState::Gone) {
            row.state = state;
        }
    }

    /// Finds the machine by its name, or makes it.
    pub(super) fn ensure(&mut self, machine: u32, by: &Claim<Step>) {
        let there = self.machines.keys().filter(|(name, _)| *name == machine).count();
        if there > 0 && !self.has(Planted::MakesAnew) {
            return;
        }
        if !self.owns(by) {
            self.oracle.ghosts.insert(machine);
        }
        let copy = u32::try_from(there).unwrap_or(u32::MAX);
        self.machines.insert((machine, copy), self.now);
    }

    /// Destroys the machine. Already gone is success.
    pub(super) fn remove(&mut self, machine: u32) {
        self.machines.retain(|(name, _), _| *name != machine);
    }

    /// Whether the machine's gateway answers: some never do.
    pub(super) fn is_ready(&self, machine: u32) -> bool {
        let made = self.machines.get(&(machine, 0));
        machine % 5 != 4 && made.is_some_and(|made| self.now >= made + 8 * SECOND)
    }

    /// What must hold after every event.
    pub(super) fn judge(&self) -> Result<(), String> {
        self.judge_machines()?;
        for (flow, row) in self.queue.rows() {
            let rests = row.step.deadline().is_none() && row.lease.is_none();
            let asked = row.removal_asked || !row.signals.is_empty();
            if rests && asked && row.run_at > self.latest {
                return Err(format!("flow {flow} sleeps over what was asked of it"));
            }
        }
        for ((flow, word), asked) in &self.oracle.asked {
            let Some(row) = self.queue.rows().get(flow) else { continue };
            let waits = row.signals.get(word) == Some(asked);
            let heard = self.oracle.heard.get(&(*flow, *word)).is_some_and(|heard| heard >= asked);
            if !waits && !heard {
                return Err(format!("flow {flow} never heard {word}"));
            }
        }
        Ok(())
    }

    fn judge_machines(&self) -> Result<(), String> {
        let mut of: BTreeMap<u64, u32> = BTreeMap::new();
        for (name, _) in self.machines.keys() {
            match self.rows.get(name) {
                Some(row) if row.state != MachineState::Gone => *of.entry(row.agent).or_default() += 1,
                _ if self.oracle.ghosts.contains(name) => {}
                _ => return Err(format!("machine {name} is leaked: no living row knows it")),
            }
        }
        if let Some((agent, count)) = of.iter().find(|(_, count)| **count > 1) {
            return Err(format!("agent {agent} has {count} machines"));
        }
        let made = self.rows.iter().filter(|(_, row)| row.state == MachineState::Made);
        for (name, row) in made {
            let leaving = self.queue.rows().get(&row.agent).is_some_and(|row| row.step.name() == "remove");
            if !leaving && !self.machines.contains_key(&(*name, 0)) {
                return Err(format!("machine {name} is lost: its row says that it was made"));
            }
        }
        Ok(())
    }

    /// Once nothing disturbs it any more, no step is past its deadline for longer than a worker needs to notice.
    pub(super) fn judge_late(&self) -> Result<(), String> {
        let late = self.queue.rows().iter().find(|(_, row)| {
            row.step.name() != "remove" && row.deadline_at.is_some_and(|deadline| deadline + 3 * MINUTE < self.now)
        });
        match late {
            Some((flow, row)) => Err(format!("flow {flow} is stuck at {} past its deadline", row.step.name())),
            None => Ok(()),
        }
    }

    /// Everything rests: nothing is due, nothing is held, and who was to go is gone.
    pub(super) fn is_at_rest(&self) -> bool {
        let rests = |step: Step| step.deadline().is_none();
        self.queue.rows().values().all(|row| {
            rests(row.step)
                && row.lease.is_none()
                && row.signals.is_empty()
                && !row.removal_asked
                && row.run_at > self.now
        })
    }

    /// Nothing is left but what the sweep tells of.
    pub(super) fn judge_empty(&self) -> Result<(), String> {
        if !self.agents.is_empty() || !self.queue.rows().is_empty() {
            return Err(format!("agents {:?} were removed and are still there", self.agents));
        }
        if let Some((name, _)) = self.rows.iter().find(|(_, row)| row.state != MachineState::Gone) {
            return Err(format!("the row of machine {name} outlives its agent"));
        }
        self.judge_machines()
    }
}
