//! What goes wrong, for a number of calls.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// A call that can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Asking which addresses are taken: the last look before an instance is made.
    Leases,
    /// Making an instance.
    Create,
    /// Giving it power.
    Start,
    /// Taking its power.
    Stop,
    /// Deleting it.
    Delete,
    /// Asking its guest this verb of the protocol, such as `apply`.
    Ask(&'static str),
}

/// How it goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It is refused for good; nothing is done.
    Refuse,
    /// It fails in a way that may pass; nothing is done.
    Fail,
    /// It is done, and its answer never arrives.
    LoseAnswer,
    /// It is answered this much later, and then as always.
    Late(Duration),
}

#[derive(Debug)]
struct Fault {
    verb: Verb,
    how: How,
    times: u32,
}

/// The faults to come.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub(super) fn add(&self, verb: Verb, how: How, times: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Fault { verb, how, times });
    }

    /// Whether a fault waits for this call.
    pub(super) fn expects(&self, verb: Verb) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|fault| fault.verb == verb)
    }

    /// What happens to this call; the oldest fault comes first.
    pub(super) fn next(&self, verb: Verb) -> Option<How> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = faults.iter_mut().find(|fault| fault.verb == verb && fault.times > 0)?;
        fault.times -= 1;
        let how = fault.how;
        faults.retain(|fault| fault.times > 0);
        Some(how)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_as_often_as_it_was_told() {
        let faults = Faults::default();
        faults.add(Verb::Start, How::Fail, 2);
        faults.add(Verb::Start, How::LoseAnswer, 1);
        let seen = [(); 4].map(|()| faults.next(Verb::Start));
        assert_eq!(seen, [Some(How::Fail), Some(How::Fail), Some(How::LoseAnswer), None]);
        assert_eq!(faults.next(Verb::Ask("turn")), None);
    }
}
