//! What this process tells itself after a commit: workers wake, watchers of an agent look again.
//!
//! Nothing depends on these arriving: a worker also polls slowly, and a watcher
//! re-reads now and then. They only make waiting short.

use std::sync::Arc;

use domain::AgentId;
use tokio::sync::{Notify, broadcast};

/// Shared by all clones of a `Db`.
#[derive(Clone)]
pub(crate) struct Signals {
    work: Arc<Notify>,
    touched: broadcast::Sender<AgentId>,
}

impl Signals {
    pub(crate) fn new() -> Self {
        Self { work: Arc::new(Notify::new()), touched: broadcast::channel(1024).0 }
    }

    pub(crate) fn tell(&self, notes: &Notes) {
        if notes.work {
            self.work.notify_one();
        }
        for agent in &notes.touched {
            // No receiver is no fault: nobody is watching.
            self.touched.send(*agent).ok();
        }
    }

    pub(crate) async fn work(&self) {
        self.work.notified().await;
    }

    pub(crate) fn watch(&self, agent: AgentId) -> AgentWatch {
        AgentWatch { agent, touched: self.touched.subscribe() }
    }
}

/// What a transaction will say once it is committed.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) work: bool,
    pub(crate) touched: Vec<AgentId>,
}

/// Wakes after commits of this process that touched one agent.
pub struct AgentWatch {
    agent: AgentId,
    touched: broadcast::Receiver<AgentId>,
}

impl AgentWatch {
    /// Returns after the next such commit. Falling behind counts as one.
    pub async fn changed(&mut self) {
        loop {
            match self.touched.recv().await {
                Ok(agent) if agent == self.agent => return,
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => return,
                // Only when the process ends: wait for that, instead of spinning.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
