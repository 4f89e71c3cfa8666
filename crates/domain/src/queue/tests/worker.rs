//! A worker, one small move at a time, so that anything can happen between two moves.

use super::{
    super::{Claim, Millis, Settle, Sight, backoff},
    Planted,
    dice::Dice,
    world::{MINUTE, REST, SECOND, Step, World, Write},
};

pub(super) const LEASE: Millis = 15 * SECOND;

/// One worker of one process.
#[derive(Debug, Default)]
pub(super) struct Worker {
    pub(super) doing: Doing,
    /// Stopped as by SIGSTOP: it neither works nor renews.
    pub(super) paused_until: Option<Millis>,
    /// Whether something happened since its claim that may rightly cost it the lease.
    pub(super) disturbed: bool,
}

/// What it is at.
#[derive(Debug, Default)]
pub(super) enum Doing {
    #[default]
    Nothing,
    /// It saw that the flow is due.
    Found(Sight),
    /// It holds a lease; the effect takes so many moves more.
    Acting { claim: Claim<Step>, renewed_at: Millis, left: u32 },
    /// The effect is over; nothing is written down.
    Done { claim: Claim<Step>, renewed_at: Millis, left_behind: Left },
}

/// What a step leaves behind.
#[derive(Debug)]
pub(super) struct Left {
    next: Next,
    heard: bool,
    writes: Vec<Write>,
}

#[derive(Debug)]
enum Next {
    Go(Step),
    Wait(Step, Millis),
    Again,
    End,
}

/// How the outside behaves for one effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outside {
    Well,
    /// Nothing was done.
    Away,
    /// It was done, and nobody learns of it.
    AnswerLost,
}

impl Worker {
    pub(super) const fn claim(&self) -> Option<&Claim<Step>> {
        match &self.doing {
            Doing::Nothing | Doing::Found(_) => None,
            Doing::Acting { claim, .. } | Doing::Done { claim, .. } => Some(claim),
        }
    }

    /// Where in a step it is, for the record of what was reached.
    pub(super) const fn phase(&self) -> &'static str {
        match self.doing {
            Doing::Nothing => "idle",
            Doing::Found(_) => "found",
            Doing::Acting { .. } => "acting",
            Doing::Done { .. } => "done",
        }
    }

    /// Keeps the lease, if it is time. `Err`: a worker whom nothing disturbed lost it.
    pub(super) fn renew(&mut self, world: &mut World) -> Result<(), String> {
        let now = world.now;
        let disturbed = self.disturbed;
        let (Doing::Acting { claim, renewed_at, .. } | Doing::Done { claim, renewed_at, .. }) = &mut self.doing else {
            return Ok(());
        };
        if now < *renewed_at + LEASE / 3 || world.has(Planted::NotRenewed) {
            return Ok(());
        }
        *renewed_at = now;
        if world.queue.renew(claim, LEASE, now) {
            return Ok(());
        }
        let flow = claim.flow;
        self.doing = Doing::Nothing;
        if disturbed { Ok(()) } else { Err(format!("a healthy worker lost the lease of flow {flow}")) }
    }

    /// One move. `outside`: how an effect of this move would go.
    pub(super) fn act(
        &mut self,
        world: &mut World,
        dice: &mut Dice,
        outside: Outside,
        token: u64,
    ) -> Result<(), String> {
        match std::mem::take(&mut self.doing) {
            Doing::Nothing => {
                let mut due = world.queue.due(world.now);
                if !due.is_empty() {
                    self.doing = Doing::Found(due.swap_remove(dice.below(due.len())));
                }
                Ok(())
            }
            Doing::Found(seen) => {
                if let Some(claim) = world.claim(seen, token, LEASE) {
                    self.disturbed = false;
                    let left = if dice.one_in(4) { 6 } else { 0 };
                    self.doing = Doing::Acting { claim, renewed_at: world.now, left: dice.below_u32(3) + left };
                }
                Ok(())
            }
            Doing::Acting { claim, renewed_at, left: left @ 1.. } => {
                self.doing = Doing::Acting { claim, renewed_at, left: left - 1 };
                Ok(())
            }
            Doing::Acting { claim, renewed_at, .. } => {
                let left_behind = take(world, dice, &claim, outside);
                self.doing = Doing::Done { claim, renewed_at, left_behind };
                Ok(())
            }
            Doing::Done { claim, left_behind, .. } => self.settle(world, &claim, &left_behind),
        }
    }

    fn settle(&self, world: &mut World, claim: &Claim<Step>, left: &Left) -> Result<(), String> {
        let to = |step: Step, pause| Settle {
            step,
            pause,
            moved: step.name() != claim.step.name(),
            deadline: step.deadline(),
            failed: false,
            heard: left.heard,
        };
        let kept = match left.next {
            Next::Go(step) => world.settle(claim, &to(step, 0), &left.writes)?,
            Next::Wait(step, pause) => world.settle(claim, &to(step, pause), &left.writes)?,
            Next::Again => {
                let capped = backoff(claim.attempt);
                let endless = SECOND << u32::try_from(claim.attempt - 1).unwrap_or(0).min(30);
                let pause = if world.has(Planted::NoCeiling) { endless } else { capped };
                let again = Settle { failed: true, ..to(claim.step, pause) };
                world.settle(claim, &again, &left.writes)?
            }
            Next::End => world.finish(claim, &left.writes)?,
        };
        if kept || self.disturbed {
            return Ok(());
        }
        Err(format!("a healthy worker could not write down flow {}", claim.flow))
    }
}

/// Runs a step's effect. The order is `flows::life`'s: removal, a missed deadline, then the step itself.
fn take(world: &mut World, dice: &mut Dice, claim: &Claim<Step>, outside: Outside) -> Left {
    let go = |step| Left { next: Next::Go(step), heard: false, writes: vec![] };
    let wait = |step, pause| Left { next: Next::Wait(step, pause), heard: false, writes: vec![] };
    let again = || Left { next: Next::Again, heard: false, writes: vec![] };
    if claim.removal_asked && claim.step.name() != "remove" && !world.has(Planted::RemovalIgnored) {
        return Left { heard: true, ..go(Step::Remove { machine: claim.step.machine() }) };
    }
    if claim.overdue && claim.step.name() != "remove" {
        return Left { heard: true, ..wait(Step::Failed { machine: claim.step.machine() }, REST) };
    }
    let asked = |word| claim.signals.contains_key(word);
    match claim.step {
        Step::Reserve => {
            let machine = dice.fresh();
            if world.has(Planted::EffectBeforeIdentity) {
                world.ensure(machine, claim);
            }
            Left { writes: vec![Write::Reserve(machine)], ..go(Step::Create { machine }) }
        }
        Step::Create { machine } => {
            if outside == Outside::Away {
                return again();
            }
            world.ensure(machine, claim);
            if outside == Outside::AnswerLost {
                return again();
            }
            Left { writes: vec![Write::Made(machine)], ..go(Step::Await { machine }) }
        }
        Step::Await { .. } | Step::Prove { .. } if outside != Outside::Well => again(),
        Step::Await { machine } if world.is_ready(machine) => go(Step::Prove { machine }),
        Step::Await { machine } => wait(Step::Await { machine }, 2 * SECOND),
        Step::Prove { machine } if dice.one_in(6) => wait(Step::Prove { machine }, 3 * SECOND),
        Step::Live { machine } if asked("prove") => Left { heard: true, ..go(Step::Prove { machine }) },
        Step::Prove { machine } | Step::Live { machine } => Left { heard: true, ..wait(Step::Live { machine }, REST) },
        Step::Failed { machine } if asked("retry") => {
            let step = machine.map_or(Step::Reserve, |machine| Step::Create { machine });
            Left { heard: true, ..go(step) }
        }
        Step::Failed { machine } => Left { heard: true, ..wait(Step::Failed { machine }, REST) },
        Step::Remove { machine } => remove(world, claim, machine, outside),
    }
}

fn remove(world: &mut World, claim: &Claim<Step>, machine: Option<u32>, outside: Outside) -> Left {
    let mut writes = vec![Write::ForgetAgent];
    if let Some(machine) = machine {
        if outside != Outside::Away {
            world.remove(machine);
        }
        if outside != Outside::Well && !world.has(Planted::GoneUnseen) {
            let pause = if claim.overdue { MINUTE } else { 3 * SECOND };
            return Left { next: Next::Wait(claim.step, pause), heard: false, writes: vec![] };
        }
        writes.push(Write::Gone(machine));
    }
    Left { next: Next::End, heard: true, writes }
}
