//! The rules of the queue of flows, without a database: lease, fence, wake-ups.
//!
//! `store::flows` has the same rules in SQL, and that is what runs. This is
//! their meaning: [`Queue`] holds rows, time comes in as an argument, nothing is
//! done at once but what one statement does. One is done in two moves, because
//! Postgres does it so: a claim sees ([`Queue::due`]), then locks
//! ([`Queue::claim`]), and others commit in between. Two tests lean on it:
//! `crates/store/tests/it/queue.rs` holds it equal to Postgres, operation by
//! operation; the simulation beside this file runs workers on it, with every
//! fault that we know of, and plants bugs in it to see that they are found.
//!
//! Which of the due flows is claimed first is not said here: any is right.

use std::collections::BTreeMap;

/// Milliseconds since some instant, on the database's clock.
pub type Millis = i64;

/// The most that a failed step waits before it is tried again.
pub const BACKOFF_MAX: Millis = 60_000;

/// A flow's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<S> {
    /// Where it is.
    pub step: S,
    /// Since when.
    pub step_since: Millis,
    /// When it is due.
    pub run_at: Millis,
    /// Whose it is.
    pub lease: Option<Lease>,
    /// Claims of this step that did not move it on.
    pub attempt: i32,
    /// Grows with every wake-up.
    pub wakes: i64,
    /// When the step has to be over.
    pub deadline_at: Option<Millis>,
    /// Whether removal was asked for.
    pub removal_asked: bool,
    /// What was asked and not heard, with the number of the last asking.
    pub signals: BTreeMap<&'static str, i64>,
}

/// The right of one worker to run a flow's step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Until when nobody else takes it.
    pub until: Millis,
    /// Fences every later write.
    pub token: u64,
}

/// A due flow as the statement that claims it sees it when it begins: in what Postgres calls its snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// Which flow.
    pub flow: u64,
    wakes: i64,
    signals: BTreeMap<&'static str, i64>,
}

/// A flow under a lease. Its signals and wake-ups are those that were seen, all else is as it was when the row was locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim<S> {
    /// Which flow.
    pub flow: u64,
    /// Its step.
    pub step: S,
    /// This claim included.
    pub attempt: i32,
    /// Whether the step's deadline has passed.
    pub overdue: bool,
    /// Whether removal was asked for.
    pub removal_asked: bool,
    /// What was asked and not heard yet.
    pub signals: BTreeMap<&'static str, i64>,
    /// Fences every later write.
    pub token: u64,
    wakes: i64,
}

/// What a step left behind; the fields of `store::flows::Settle`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settle<S> {
    /// The step to run next.
    pub step: S,
    /// When, unless it is woken.
    pub pause: Millis,
    /// Whether it is another step than before.
    pub moved: bool,
    /// Of the new step.
    pub deadline: Option<Millis>,
    /// Whether this was a failed attempt.
    pub failed: bool,
    /// Whether the signals of the claim were heard.
    pub heard: bool,
}

/// A mistake that the simulation plants. Outside of this crate's tests there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Flaw {
    /// A row is claimed although somebody claimed it since it was found.
    NoSkipLocked,
    /// A claim counts the wake-ups up to its lock, and hears only those that it saw.
    UnseenWake,
    /// Settling does not look at the token.
    NoFence,
    /// Finishing does not look at the token.
    UnfencedFinish,
    /// Settling sleeps, whatever came since the claim.
    WakeUpLost,
    /// Settling forgets signals that came since the claim.
    SignalLost,
    /// A signal does not make the flow due.
    SleepySignal,
    /// Every settle begins the step's deadline anew.
    DeadlineReset,
}

/// Every row.
#[derive(Debug, Clone, Default)]
pub struct Queue<S> {
    rows: BTreeMap<u64, Row<S>>,
    asked: i64,
    #[cfg(test)]
    flaw: Option<Flaw>,
}

impl<S: Clone + PartialEq> Queue<S> {
    /// No rows.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            rows: BTreeMap::new(),
            asked: 0,
            #[cfg(test)]
            flaw: None,
        }
    }

    /// Every row, by flow.
    #[must_use]
    pub const fn rows(&self) -> &BTreeMap<u64, Row<S>> {
        &self.rows
    }

    /// Starts a flow, due at once. One that exists is left as it is.
    pub fn start(&mut self, flow: u64, step: S, deadline: Option<Millis>, now: Millis) {
        self.rows.entry(flow).or_insert_with(|| Row {
            step,
            step_since: now,
            run_at: now,
            lease: None,
            attempt: 0,
            wakes: 0,
            deadline_at: deadline.map(|deadline| now + deadline),
            removal_asked: false,
            signals: BTreeMap::new(),
        });
    }

    /// Asks something of a flow and wakes it. The number of this asking; `None`: there is no such flow, which is no error.
    pub fn signal(&mut self, flow: u64, word: &'static str, now: Millis) -> Option<i64> {
        let sleepy = self.has(Flaw::SleepySignal);
        let row = self.rows.get_mut(&flow)?;
        self.asked += 1;
        row.signals.insert(word, self.asked);
        row.wakes += 1;
        if !sleepy {
            row.run_at = row.run_at.min(now);
        }
        Some(self.asked)
    }

    /// Asks for removal and wakes the flow.
    pub fn ask_removal(&mut self, flow: u64, now: Millis) {
        if let Some(row) = self.rows.get_mut(&flow) {
            row.removal_asked = true;
            row.wakes += 1;
            row.run_at = row.run_at.min(now);
        }
    }

    /// The flows that may be claimed.
    #[must_use]
    pub fn due(&self, now: Millis) -> Vec<Sight> {
        let due = self.rows.iter().filter(|(_, row)| is_due(row, now));
        due.map(|(flow, row)| Sight { flow: *flow, wakes: row.wakes, signals: row.signals.clone() }).collect()
    }

    /// Takes a flow under a lease of this length, if it is due still. `token` must be fresh.
    pub fn claim(&mut self, seen: Sight, token: u64, lease: Millis, now: Millis) -> Option<Claim<S>> {
        let (unlocked, unseen) = (self.has(Flaw::NoSkipLocked), self.has(Flaw::UnseenWake));
        let row = self.rows.get_mut(&seen.flow).filter(|row| unlocked || is_due(row, now))?;
        row.lease = Some(Lease { until: now + lease, token });
        row.attempt += 1;
        Some(Claim {
            flow: seen.flow,
            step: row.step.clone(),
            attempt: row.attempt,
            overdue: row.deadline_at.is_some_and(|deadline| deadline < now),
            removal_asked: row.removal_asked,
            signals: seen.signals,
            token,
            wakes: if unseen { row.wakes } else { seen.wakes },
        })
    }

    /// Keeps the lease for another such length. `false`: it was lost.
    pub fn renew(&mut self, claim: &Claim<S>, lease: Millis, now: Millis) -> bool {
        match self.rows.get_mut(&claim.flow).and_then(|row| row.lease.as_mut()) {
            Some(held) if held.token == claim.token && held.until >= now => {
                held.until = now + lease;
                true
            }
            _ => false,
        }
    }

    /// Writes what a step left behind. `false`: the lease was lost, and nothing was written.
    pub fn settle(&mut self, claim: &Claim<S>, settle: &Settle<S>, now: Millis) -> bool {
        let (unfenced, sleeps) = (self.has(Flaw::NoFence), self.has(Flaw::WakeUpLost));
        let (forgets, resets) = (self.has(Flaw::SignalLost), self.has(Flaw::DeadlineReset));
        let Some(row) = self.rows.get_mut(&claim.flow).filter(|row| unfenced || holds(row, claim)) else {
            return false;
        };
        row.run_at = if row.wakes == claim.wakes || sleeps { now + settle.pause } else { now };
        row.step = settle.step.clone();
        row.lease = None;
        if !settle.failed {
            row.attempt = 0;
        }
        if settle.moved {
            row.step_since = now;
            row.deadline_at = settle.deadline.map(|deadline| now + deadline);
        } else if resets {
            row.deadline_at = settle.deadline.map(|deadline| now + deadline);
        }
        if settle.heard {
            row.signals.retain(|_, seq| !forgets && !claim.signals.values().any(|heard| heard == seq));
        }
        true
    }

    /// Ends a flow. `false`: the lease was lost, and nothing was written.
    pub fn finish(&mut self, claim: &Claim<S>) -> bool {
        let unfenced = self.has(Flaw::UnfencedFinish);
        let held = self.rows.get(&claim.flow).is_some_and(|row| unfenced || holds(row, claim));
        if held {
            self.rows.remove(&claim.flow);
        }
        held
    }

    #[cfg(test)]
    pub(crate) const fn plant(&mut self, flaw: Flaw) {
        self.flaw = Some(flaw);
    }

    #[cfg(test)]
    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "there is no flaw outside of tests")]
    const fn has(&self, _: Flaw) -> bool {
        false
    }
}

/// How long a failed step waits: 1 s, 2 s, 4 s … up to [`BACKOFF_MAX`]. The runner takes up to a quarter off at random.
#[must_use]
pub fn backoff(attempt: i32) -> Millis {
    let exponent = u32::try_from(attempt - 1).unwrap_or(0).min(6);
    2_i64.pow(exponent).saturating_mul(1000).min(BACKOFF_MAX)
}

const fn is_due<S>(row: &Row<S>, now: Millis) -> bool {
    let free = match row.lease {
        Some(lease) => lease.until < now,
        None => true,
    };
    row.run_at <= now && free
}

fn holds<S>(row: &Row<S>, claim: &Claim<S>) -> bool {
    row.lease.is_some_and(|lease| lease.token == claim.token)
}

#[cfg(test)]
mod tests;
