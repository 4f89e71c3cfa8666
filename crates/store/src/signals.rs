//! What is told after a commit: workers wake, whoever watches looks again.
//!
//! Within this process it is told at once. What other processes should hear is
//! gathered here and carried by [`crate::carry`]. Nothing depends on its
//! arrival: a worker also polls slowly, and a watcher re-reads now and then. It
//! only makes waiting short.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{Notify, broadcast};
use uuid::Uuid;

/// Subjects named in one message to other processes; with more, they are told to look at everything.
const SUBJECTS_MAX: usize = 150;

/// Shared by all clones of a `Db`.
#[derive(Clone)]
pub(crate) struct Signals {
    inner: Arc<Inner>,
}

struct Inner {
    work: Notify,
    touched: broadcast::Sender<Touch>,
    sated: AtomicBool,
    outgoing: Mutex<Outgoing>,
    waiting: Notify,
}

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Touch {
    Subject(Uuid),
    /// Something was missed: everything may have changed.
    Everything,
}

/// What other processes have not been told yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// A flow is due.
    pub(crate) work: bool,
    /// These agents, exchanges and runs changed.
    pub(crate) touched: BTreeSet<Uuid>,
    /// More changed than is named.
    pub(crate) more: bool,
}

impl Outgoing {
    fn is_empty(&self) -> bool {
        !self.work && !self.more && self.touched.is_empty()
    }
}

impl Signals {
    pub(crate) fn new() -> Self {
        let inner = Inner {
            work: Notify::new(),
            touched: broadcast::channel(1024).0,
            // Until a worker runs here, whatever is due is somebody else's to do.
            sated: AtomicBool::new(true),
            outgoing: Mutex::default(),
            waiting: Notify::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// After a commit of this process.
    pub(crate) fn tell(&self, notes: &Notes) {
        if !notes.work && notes.touched.is_empty() {
            return;
        }
        let mut out = self.inner.outgoing.lock().unwrap_or_else(PoisonError::into_inner);
        // A worker here with a free seat takes the flow itself: waking the others would only make them race.
        out.work |= notes.work && self.inner.sated.load(Ordering::Relaxed);
        for subject in &notes.touched {
            if out.touched.len() < SUBJECTS_MAX {
                out.touched.insert(*subject);
            } else {
                out.more = true;
            }
        }
        let carry = !out.is_empty();
        drop(out);
        if carry {
            self.inner.waiting.notify_one();
        }
        self.hear(notes.work, notes.touched.iter().copied());
    }

    /// After a commit, wherever it was.
    pub(crate) fn hear(&self, work: bool, touched: impl Iterator<Item = Uuid>) {
        if work {
            self.inner.work.notify_one();
        }
        for subject in touched {
            // No receiver is no fault: nobody is watching.
            self.inner.touched.send(Touch::Subject(subject)).ok();
        }
    }

    /// Something may have been missed: everybody looks.
    pub(crate) fn hear_everything(&self) {
        self.inner.work.notify_one();
        self.inner.touched.send(Touch::Everything).ok();
    }

    /// What to tell other processes, once there is something.
    pub(crate) async fn outgoing(&self) -> Outgoing {
        loop {
            let out = std::mem::take(&mut *self.inner.outgoing.lock().unwrap_or_else(PoisonError::into_inner));
            if !out.is_empty() {
                return out;
            }
            self.inner.waiting.notified().await;
        }
    }

    pub(crate) fn set_sated(&self, sated: bool) {
        self.inner.sated.store(sated, Ordering::Relaxed);
    }

    pub(crate) async fn work(&self) {
        self.inner.work.notified().await;
    }

    pub(crate) fn watch(&self, subject: Uuid) -> Watch {
        Watch { subject, touched: self.inner.touched.subscribe() }
    }
}

/// What a transaction will say once it is committed.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) work: bool,
    pub(crate) touched: Vec<Uuid>,
    /// Sessions, users and tenants that may do something else from now on.
    pub(crate) access: Vec<Uuid>,
}

impl Notes {
    pub(crate) fn touch(&mut self, subject: Uuid) {
        if !self.touched.contains(&subject) {
            self.touched.push(subject);
        }
    }
}

/// Wakes after commits that touched one subject: an agent, a job's run.
pub struct Watch {
    subject: Uuid,
    touched: broadcast::Receiver<Touch>,
}

impl Watch {
    /// Returns after the next such commit. Falling behind counts as one.
    pub async fn changed(&mut self) {
        loop {
            match self.touched.recv().await {
                Ok(Touch::Subject(subject)) if subject != self.subject => {}
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
                // Only when the process ends: wait for that, instead of spinning.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(work: bool, subjects: std::ops::Range<u128>) -> Notes {
        Notes { work, touched: subjects.map(Uuid::from_u128).collect(), access: Vec::new() }
    }

    #[tokio::test]
    async fn many_commits_become_one_message() {
        let signals = Signals::new();
        signals.tell(&notes(true, 0..3));
        signals.tell(&notes(false, 1..5));
        let out = signals.outgoing().await;
        assert_eq!((out.work, out.touched.len(), out.more), (true, 5, false));
        signals.tell(&notes(false, 0..200));
        assert!(signals.outgoing().await.more, "what does not fit is said to be more");
    }

    #[tokio::test]
    async fn a_worker_with_a_free_seat_keeps_its_work() {
        let signals = Signals::new();
        signals.set_sated(false);
        signals.tell(&notes(true, 0..0));
        signals.work().await;
        signals.tell(&notes(false, 7..8));
        assert!(!signals.outgoing().await.work);
    }

    #[tokio::test]
    async fn a_watch_hears_its_subject_and_what_may_have_been_missed() {
        let signals = Signals::new();
        let mut watch = signals.watch(Uuid::from_u128(1));
        signals.tell(&notes(false, 1..2));
        watch.changed().await;
        signals.hear_everything();
        watch.changed().await;
        signals.tell(&notes(false, 2..3));
        let quiet = tokio::time::timeout(std::time::Duration::from_millis(20), watch.changed()).await;
        assert!(quiet.is_err(), "another subject woke it");
    }
}
