//! Live, stopped, failed: resting steps that wake when something is wanted; and recovery.

use std::time::Duration;

use app::agents::signal;
use chrono::TimeDelta;
use domain::{
    MachineId,
    agent::{Seen, Wanted},
    life::Life,
    machine::MachineName,
    protocol::{Ask, Gateway, Reply},
};

use super::{Here, REST, stored, wait};
use crate::{
    deliver::WantedThere,
    machine::{absent, provider, trouble},
    machine_rotation,
    outcome::{Next, Outcome, StepError},
};

/// Looks at a machine that does not answer before it is power-cycled.
const LOOKS_MAX: u8 = 3;
/// From one look to the next.
const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// How long a gateway may start before its machine is power-cycled: its own allowance, and less than the step's.
const STARTS_WITHIN: TimeDelta = TimeDelta::minutes(2);

impl Here<'_> {
    /// Answering. Wishes first, then bad news, then a configuration that is not the one wanted.
    pub(super) fn live(&self, machine: MachineId) -> Outcome {
        let here = Life::Live { machine };
        let next = if self.asked(signal::RESTART) {
            Life::Restart { machine }
        } else if self.asked(signal::LOOK) {
            Life::Recover { machine, looks: 0 }
        } else if self.is_stale() || self.rotation_is_due() {
            Life::Apply { machine }
        } else if self.asked(signal::PROVE) {
            Life::Prove { machine, tries: 0 }
        } else {
            return wait(&here, self.rest());
        };
        self.go(&here, next).heard()
    }

    /// At rest. A wish to run was looked at before; nothing else matters here.
    pub(super) fn stopped(&self, machine: MachineId) -> Outcome {
        self.see(wait(&Life::Stopped { machine }, REST), Seen::Stopped { since: self.now() })
    }

    /// Given up. A retry begins where finding and making are the same: nothing is made twice.
    pub(super) fn failed(&self, machine: Option<MachineId>, why: String) -> Outcome {
        let here = Life::Failed { machine, why };
        let again = [signal::RETRY, signal::RESTART, signal::WANTED].iter().any(|wish| self.asked(wish));
        if !again || self.agent.wanted != Wanted::Running {
            return Outcome::next(Next::Wait(stored(&here), REST)).heard();
        }
        let next = machine.map_or(Life::Reserve, |machine| Life::Create { machine });
        self.preparing(self.go(&here, next).heard())
    }

    /// Restarts the gateway and proves it anew.
    pub(super) async fn restart(&self, machine: MachineId) -> Result<Outcome, StepError> {
        let row = self.row(machine)?;
        match self.world.ask(row, self.claim.now, Ask::Restart, Duration::from_mins(1)).await {
            Ok(_) => Ok(self.preparing(self.go(&Life::Restart { machine }, Life::Hello { machine }))),
            Err(error) => Err(trouble(machine, error)),
        }
    }

    /// Looks at a machine that gave bad news, some times, a little apart, before it is touched.
    pub(super) async fn recover(&self, machine: MachineId, looks: u8) -> Result<Outcome, StepError> {
        let row = self.row(machine)?;
        let here = Life::Recover { machine, looks };
        let why = match self.world.ask(row, self.claim.now, Ask::Status, Duration::from_secs(10)).await {
            Ok(Reply::Status(status)) => match status.gateway {
                Gateway::Ready => return Ok(self.go(&here, self.or_restart(Life::Apply { machine })).heard()),
                Gateway::Starting if self.asked(signal::RESTART) => {
                    return Ok(self.go(&here, Life::Restart { machine }).heard());
                }
                // It takes half a minute to start, and cutting its machine's power would only begin that anew.
                Gateway::Starting if self.now() - self.claim.step_since < STARTS_WITHIN => {
                    return Ok(self.see(wait(&here, LOOK_AGAIN), self.degraded("The gateway is starting again.")));
                }
                Gateway::Starting => return self.cut_power(&here, machine, "The gateway does not get ready.").await,
                Gateway::Stopped | Gateway::Failed => {
                    let degraded = self.degraded("The gateway had stopped.");
                    return Ok(self.see(self.go(&here, Life::Hello { machine }).heard(), degraded));
                }
            },
            Ok(_) => "The machine answered another question.",
            Err(error) if error.is_another_machine() => return Err(trouble(machine, error)),
            Err(_) => "The machine does not answer.",
        };
        if looks + 1 < LOOKS_MAX {
            let again = Life::Recover { machine, looks: looks + 1 };
            return Ok(self.see(wait(&again, LOOK_AGAIN), self.degraded(why)));
        }
        self.cut_power(&here, machine, why).await
    }

    /// Starts the machine anew, whatever it does.
    async fn cut_power(&self, from: &Life, machine: MachineId, why: &str) -> Result<Outcome, StepError> {
        let name = MachineName::of(machine);
        let sighting = self.world.provider.look(&name).await.map_err(provider)?.ok_or_else(|| absent(machine))?;
        if sighting.running {
            self.world.provider.stop(&name, Duration::from_secs(20)).await.map_err(provider)?;
        }
        Ok(self.see(self.go(from, Life::Start { machine }).heard(), self.degraded(why)))
    }

    /// A restart that was asked for while something else was done comes before whatever would be next.
    pub(super) fn or_restart(&self, next: Life) -> Life {
        match next.machine() {
            Some(machine) if self.asked(signal::RESTART) => Life::Restart { machine },
            _ => next,
        }
    }

    fn degraded(&self, why: &str) -> Seen {
        Seen::Degraded { since: self.now(), why: why.to_owned() }
    }

    /// Whether the machine was last sent something else than is wanted now, or has another size.
    pub(super) fn is_stale(&self) -> bool {
        self.machine.as_ref().is_some_and(|row| {
            row.digest != Some(self.wanted_digest())
                || row.credentials != self.chosen.credentials
                || row.size != row.wanted_size
        })
    }

    /// Whether its token and key are to be replaced by now.
    pub(super) fn rotation_is_due(&self) -> bool {
        self.rotation_due_in().is_some_and(|pause| pause.is_zero())
    }

    /// How long to rest while live: not past the turn of a rotation.
    pub(super) fn rest(&self) -> Duration {
        self.rotation_due_in().map_or(REST, |pause| pause.min(REST))
    }

    fn rotation_due_in(&self) -> Option<Duration> {
        let due_at = machine_rotation::due_at(self.world, self.machine.as_ref()?)?;
        Some((due_at - self.now()).to_std().unwrap_or_default())
    }

    fn wanted_digest(&self) -> String {
        WantedThere::of(self.world, &self.chosen).digest()
    }
}
