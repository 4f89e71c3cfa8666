//! One run: a seed decides who moves next and what goes wrong; then it gets calm, and everything has to end well.

use std::collections::BTreeMap;

use super::{
    super::Millis,
    Planted,
    dice::Dice,
    worker::{Doing, LEASE, Outside, Worker},
    world::{MINUTE, SECOND, Step, World},
};

const WORKERS: usize = 3;
const AGENTS_MAX: u64 = 4;
const EVENTS: usize = 320;

/// What was reached, and how often.
pub(super) type Reached = BTreeMap<String, u64>;

/// A run that broke a promise.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) seed: u64,
    pub(super) what: String,
    pub(super) schedule: Vec<String>,
}

struct Run {
    world: World,
    dice: Dice,
    workers: Vec<Worker>,
    tokens: u64,
    jumps: u32,
    rough: bool,
    database_back_at: Millis,
    provider_back_at: Millis,
    reached: Reached,
    schedule: Option<Vec<String>>,
}

/// Runs a seed. A run that breaks a promise is run again, to tell how.
pub(super) fn run(seed: u64, planted: Option<Planted>) -> Result<Reached, Broken> {
    if let (Ok(()), run) = once(seed, planted, false) {
        return Ok(run.reached);
    }
    let (outcome, told) = once(seed, planted, true);
    Err(Broken { seed, what: outcome.err().unwrap_or_default(), schedule: told.schedule.unwrap_or_default() })
}

/// What a seed does, event by event.
pub(super) fn tell(seed: u64, planted: Option<Planted>) -> Vec<String> {
    let (outcome, run) = once(seed, planted, true);
    let mut schedule = run.schedule.unwrap_or_default();
    schedule.push(format!("{outcome:?}"));
    schedule
}

fn once(seed: u64, planted: Option<Planted>, tells: bool) -> (Result<(), String>, Run) {
    let mut run = Run {
        world: World::new(planted),
        dice: Dice::new(seed),
        workers: (0..WORKERS).map(|_| Worker::default()).collect(),
        tokens: 0,
        jumps: 0,
        rough: seed.is_multiple_of(2),
        database_back_at: 0,
        provider_back_at: 0,
        reached: Reached::new(),
        schedule: tells.then(Vec::new),
    };
    let outcome = run.all();
    (outcome, run)
}

impl Run {
    fn all(&mut self) -> Result<(), String> {
        for _ in 0..EVENTS {
            self.event()?;
            self.world.judge()?;
        }
        self.say(|| "from here on nothing goes wrong by itself".to_owned());
        self.calm()?;
        for agent in self.world.agents.clone() {
            self.world.queue.ask_removal(agent, self.world.now);
        }
        self.until(30 * MINUTE, |world| world.queue.rows().is_empty(), "a removal does not end")?;
        if !self.world.machines.is_empty() {
            self.reach("ghost:".to_owned());
        }
        self.world.judge_empty()
    }

    fn event(&mut self) -> Result<(), String> {
        // Some seeds are rough and some are almost calm: far steps are reached in those.
        match self.dice.below(if self.rough { 40 } else { 160 }) {
            0..=21 | 40.. => self.worker_moves(),
            22..=25 => {
                let pass = i64::from(self.dice.below_u32(6000));
                self.pass(pass)
            }
            26 => self.sleep_until_due(),
            27..=29 => {
                self.somebody_asks();
                Ok(())
            }
            30 => {
                self.ask_removal();
                Ok(())
            }
            31 | 32 => {
                self.crash();
                Ok(())
            }
            33 | 34 => {
                self.pause();
                Ok(())
            }
            35 => {
                self.clock_jumps();
                Ok(())
            }
            36 => {
                self.database_away();
                Ok(())
            }
            37 => {
                self.provider_away();
                Ok(())
            }
            _ => {
                self.new_agent();
                Ok(())
            }
        }
    }

    fn worker_moves(&mut self) -> Result<(), String> {
        let index = self.dice.below(WORKERS);
        self.moves(index, true)?;
        let took = i64::from(self.dice.below_u32(800));
        self.pass(took)
    }

    fn moves(&mut self, index: usize, faulty: bool) -> Result<(), String> {
        if self.workers[index].paused_until.is_some() {
            return Ok(());
        }
        let outside = self.outside(faulty);
        let phase = self.workers[index].phase();
        let step = self.workers[index].claim().map_or("-", |claim| claim.step.name());
        if self.world.now < self.database_back_at && phase != "acting" {
            // It can neither look nor write. What it did is done; the lease runs out.
            if phase == "done" {
                self.reach(format!("unwritten:{step}"));
            }
            self.workers[index].doing = Doing::Nothing;
            return Ok(());
        }
        let zombie = self.workers[index].claim().is_some_and(|claim| !self.world.owns(claim));
        if zombie {
            self.reach(format!("zombie:{phase}"));
        }
        if phase == "acting" && outside == Outside::AnswerLost {
            self.reach(format!("answer-lost:{step}"));
        }
        self.tokens += 1;
        self.say(|| format!("worker {index} ({phase} {step}) moves, outside {outside:?}"));
        let saw = match &self.workers[index].doing {
            Doing::Found(seen) => Some((seen.flow, seen.wakes, "woken-during:a claim")),
            Doing::Done { claim, .. } => Some((claim.flow, claim.wakes, "woken-during:a step")),
            Doing::Nothing | Doing::Acting { .. } => None,
        };
        if let Some((flow, wakes, during)) = saw
            && self.world.queue.rows().get(&flow).is_some_and(|row| row.wakes != wakes)
        {
            self.reach(during.to_owned());
        }
        let (world, dice, token) = (&mut self.world, &mut self.dice, self.tokens);
        self.workers[index].act(world, dice, outside, token)?;
        self.reach(format!("step:{step}"));
        Ok(())
    }

    fn outside(&mut self, faulty: bool) -> Outside {
        match () {
            () if self.world.now < self.provider_back_at => Outside::Away,
            () if faulty && self.dice.one_in(8) => Outside::AnswerLost,
            () if faulty && self.dice.one_in(12) => Outside::Away,
            () => Outside::Well,
        }
    }

    /// Time passes. Who works and is not stopped renews meanwhile, as the runner does beside the step.
    fn pass(&mut self, millis: Millis) -> Result<(), String> {
        let until = self.world.now + millis;
        while self.world.now < until {
            let now = (self.world.now + LEASE / 3).min(until);
            self.world.set_clock(now);
            self.wake_the_paused();
            self.renew()?;
        }
        Ok(())
    }

    fn renew(&mut self) -> Result<(), String> {
        let away = self.world.now < self.database_back_at;
        for worker in self.workers.iter_mut().filter(|worker| worker.paused_until.is_none()) {
            if away {
                worker.disturbed = true;
            } else {
                worker.renew(&mut self.world)?;
            }
        }
        Ok(())
    }

    /// Whoever comes back goes on where it was, and may move before it learns that its lease is gone.
    fn wake_the_paused(&mut self) {
        for worker in &mut self.workers {
            worker.paused_until = worker.paused_until.filter(|until| *until > self.world.now);
            if let (None, true, Doing::Acting { renewed_at, .. } | Doing::Done { renewed_at, .. }) =
                (worker.paused_until, worker.disturbed, &mut worker.doing)
            {
                *renewed_at = (*renewed_at).max(self.world.now - LEASE / 3 + 1);
            }
        }
    }

    fn sleep_until_due(&mut self) -> Result<(), String> {
        let due = self.world.queue.rows().values().map(|row| row.run_at).min();
        let wait = due.map_or(SECOND, |due| due - self.world.now).clamp(0, 2 * MINUTE);
        self.say(|| format!("{wait} ms pass"));
        self.pass(wait)
    }

    fn new_agent(&mut self) {
        let agent = self.world.agents.len() as u64 + self.tokens * 10;
        if self.world.agents.len() as u64 >= AGENTS_MAX || self.world.now < self.database_back_at {
            return;
        }
        self.say(|| format!("agent {agent} is asked for"));
        self.world.agents.insert(agent);
        let now = self.world.now;
        self.world.queue.start(agent, Step::Reserve, Step::Reserve.deadline(), now);
    }

    /// Once, twice, or to somebody who is gone.
    fn somebody_asks(&mut self) {
        if self.world.now < self.database_back_at {
            return;
        }
        let word = ["prove", "retry", "up"][self.dice.below(3)];
        let Some(agent) = self.some_agent() else {
            let heard = self.world.signal(u64::MAX, word);
            assert!(!heard, "nobody is there to hear it");
            self.reach("late signal:".to_owned());
            return;
        };
        self.say(|| format!("agent {agent} is asked to {word}"));
        for _ in 0..=self.dice.below(2) {
            if self.world.queue.rows().get(&agent).is_some_and(|row| row.signals.contains_key(word)) {
                self.reach("signal twice:".to_owned());
            }
            self.world.signal(agent, word);
        }
    }

    fn ask_removal(&mut self) {
        let Some(agent) = self.some_agent().filter(|_| self.world.now >= self.database_back_at) else { return };
        let step = self.world.queue.rows().get(&agent).map_or("-", |row| row.step.name());
        self.say(|| format!("agent {agent} at {step} is to go"));
        self.reach(format!("removal:{step}"));
        self.world.queue.ask_removal(agent, self.world.now);
    }

    fn some_agent(&mut self) -> Option<u64> {
        let agents: Vec<u64> = self.world.agents.iter().copied().collect();
        if agents.is_empty() { None } else { Some(agents[self.dice.below(agents.len())]) }
    }

    fn crash(&mut self) {
        let index = self.dice.below(WORKERS);
        let phase = self.workers[index].phase();
        let step = self.workers[index].claim().map_or("-", |claim| claim.step.name());
        self.say(|| format!("worker {index} dies ({phase} {step})"));
        self.reach(format!("crash:{phase}:{step}"));
        self.workers[index] = Worker::default();
    }

    fn pause(&mut self) {
        let index = self.dice.below(WORKERS);
        let until = self.world.now + i64::from(self.dice.below_u32(60_000));
        let phase = self.workers[index].phase();
        self.say(|| format!("worker {index} ({phase}) is stopped until {until}"));
        self.reach(format!("pause:{phase}"));
        self.workers[index].paused_until = Some(until);
        self.workers[index].disturbed = true;
    }

    fn clock_jumps(&mut self) {
        if self.jumps >= 3 {
            return;
        }
        self.jumps += 1;
        let jump = i64::from(self.dice.below_u32(900_000)) - 5 * MINUTE;
        self.say(|| format!("the clock jumps by {jump} ms"));
        self.reach(if jump < 0 { "clock:back".to_owned() } else { "clock:forward".to_owned() });
        self.workers.iter_mut().for_each(|worker| worker.disturbed = true);
        let now = (self.world.now + jump).max(0);
        self.world.set_clock(now);
    }

    fn database_away(&mut self) {
        self.database_back_at = self.world.now + i64::from(self.dice.below_u32(40_000));
        self.workers.iter_mut().for_each(|worker| worker.disturbed = true);
        self.say(|| "the database is away for a while".to_owned());
        self.reach("database:away".to_owned());
    }

    fn provider_away(&mut self) {
        self.provider_back_at =
            self.world.now + i64::from(self.dice.below_u32(if self.rough { 600_000 } else { 20_000 }));
        self.say(|| "the provider is away for a while".to_owned());
        self.reach("provider:away".to_owned());
    }

    /// The database is back and nobody is stopped or killed; the provider may stay away for a while.
    fn calm(&mut self) -> Result<(), String> {
        self.database_back_at = self.world.now;
        self.provider_back_at = self.world.now + if self.dice.one_in(2) { 20 * MINUTE } else { 0 };
        for worker in &mut self.workers {
            worker.paused_until = None;
        }
        self.until(60 * MINUTE, World::is_at_rest, "something does not come to rest")
    }

    /// Workers work, and time passes to what is due next, until it is so or `limit` has passed.
    fn until(&mut self, limit: Millis, so: impl Fn(&World) -> bool, otherwise: &str) -> Result<(), String> {
        // Where the clock was set back, leases and pauses end by the later time that it once showed.
        let began = self.world.latest;
        loop {
            for index in 0..WORKERS {
                self.moves(index, false)?;
                self.world.judge()?;
            }
            let busy = self.workers.iter().any(|worker| !matches!(worker.doing, Doing::Nothing));
            if busy || !self.world.queue.due(self.world.now).is_empty() {
                self.pass(SECOND)?;
            } else if so(&self.world) {
                return Ok(());
            } else {
                let free =
                    |row: &super::super::Row<Step>| row.lease.map_or(row.run_at, |l| row.run_at.max(l.until + 1));
                let next = self.world.queue.rows().values().map(free).min();
                self.pass(next.map_or(SECOND, |next| next - self.world.now).clamp(1, MINUTE))?;
            }
            if self.world.now > began + 4 * MINUTE {
                self.world.judge_late()?;
            }
            if self.world.now > began + limit {
                return Err(otherwise.to_owned());
            }
        }
    }

    fn reach(&mut self, what: String) {
        *self.reached.entry(what).or_default() += 1;
    }

    fn say(&mut self, what: impl FnOnce() -> String) {
        if let Some(schedule) = &mut self.schedule {
            schedule.push(format!("{:>9} ms  {}", self.world.now, what()));
        }
    }
}
