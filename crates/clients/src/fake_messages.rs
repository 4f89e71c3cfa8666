//! A webhook and a mailer in memory, each with a ledger of every call and failures on order.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use crate::{
    fake::Strike,
    mail::{Mail, MailError, Mailer},
    webhook::{Message, PostError, Taken, Webhook},
};

/// One call, with what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent<M, E> {
    /// What was to be sent.
    pub what: M,
    /// The failure it was answered with, if any.
    pub failed: Option<E>,
    /// Whether the other side has it, whatever the caller was told.
    pub arrived: bool,
}

/// A place where messages end. Clones share one state.
pub struct Desk<M, E>(Arc<Mutex<State<M, E>>>);

/// A webhook that takes everything.
pub type FakeWebhook = Desk<Message, PostError>;
/// A mail server that takes everything.
pub type FakeMailer = Desk<Mail, MailError>;

struct State<M, E> {
    ledger: Vec<Sent<M, E>>,
    orders: VecDeque<(Strike, E)>,
}

impl<M, E> Clone for Desk<M, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M, E> Default for Desk<M, E> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { ledger: Vec::new(), orders: VecDeque::new() })))
    }
}

impl<M: Clone, E: Clone> Desk<M, E> {
    /// The next `times` calls fail like this.
    pub fn fail_next(&self, strike: Strike, times: usize, error: &E) {
        self.state().orders.extend(std::iter::repeat_n((strike, error.clone()), times));
    }

    /// Takes back every failure that was ordered and has not struck.
    pub fn fail_no_more(&self) {
        self.state().orders.clear();
    }

    /// Every call so far, oldest first.
    #[must_use]
    pub fn ledger(&self) -> Vec<Sent<M, E>> {
        self.state().ledger.clone()
    }

    fn state(&self) -> MutexGuard<'_, State<M, E>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, what: &M) -> Result<(), E> {
        let mut state = self.state();
        let order = state.orders.pop_front();
        let arrived = !matches!(order, Some((Strike::Before, _)));
        let failed = order.map(|(_, error)| error);
        state.ledger.push(Sent { what: what.clone(), failed: failed.clone(), arrived });
        failed.map_or(Ok(()), Err)
    }
}

#[async_trait]
impl Webhook for FakeWebhook {
    async fn post(&self, message: &Message) -> Result<Taken, PostError> {
        self.take(message).map(|()| Taken(204))
    }
}

#[async_trait]
impl Mailer for FakeMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        self.take(mail)
    }
}
