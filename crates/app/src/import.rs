//! Opening what people bring along, sealed with a passphrase: slow on purpose, so apart from what serves others.
//!
//! One [`Derivations`] a process. Call it before a transaction begins: it waits for its turn and then takes up to
//! 0.4 s. What it returns is sealed anew as an envelope, and what was brought is not kept.

use std::sync::Arc;

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
};
use vault::{Imported, NotOpened, Secret};

/// Room for key derivations: half of the processors at most, and a bounded number that wait.
#[derive(Debug, Clone)]
pub struct Derivations {
    /// As many as run or wait.
    room: Arc<Semaphore>,
    /// As many as run.
    seats: Arc<Semaphore>,
}

/// Why it was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The passphrase is wrong, or the value was altered.
    #[error(transparent)]
    NotOpened(#[from] NotOpened),
    /// Too many wait already.
    #[error("too many sealed values are being opened; try again in a minute")]
    Busy,
    /// The process stops.
    #[error("Berth is stopping; try again in a minute")]
    Stopping,
}

impl Derivations {
    /// How many wait at most.
    pub const WAITING_MAX: usize = 256;

    /// Half of these processors, and one at least.
    #[must_use]
    pub fn new(processors: usize) -> Self {
        Self::with_room((processors / 2).max(1), Self::WAITING_MAX)
    }

    /// So many run at once, and so many wait.
    #[must_use]
    pub fn with_room(seats: usize, waiting: usize) -> Self {
        Self { room: Arc::new(Semaphore::new(seats + waiting)), seats: Arc::new(Semaphore::new(seats)) }
    }

    /// Opens one value, on a thread of its own, when it is its turn.
    ///
    /// # Errors
    /// [`ImportError`].
    pub async fn open(&self, imported: Imported, passphrase: Secret) -> Result<Secret, ImportError> {
        Ok(self.run(move || imported.open(&passphrase)).await??)
    }

    /// Both permits stay with the work: a caller who gives up frees no seat that is still in use.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ImportError> {
        let room = Arc::clone(&self.room).try_acquire_owned().map_err(|_| ImportError::Busy)?;
        let seat = Arc::clone(&self.seats).acquire_owned().await.map_err(|_| ImportError::Stopping)?;
        let held: [OwnedSemaphorePermit; 2] = [seat, room];
        let worked = spawn_blocking(move || {
            let done = work();
            drop(held);
            done
        });
        worked.await.map_err(|_| ImportError::Stopping)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Condvar, Mutex,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use tokio::{sync::mpsc, task::JoinSet, time::timeout};
    use vault::Rounds;

    use super::*;

    const PASSPHRASE: &str = "correct horse battery staple";
    /// Made with `openssl enc -aes-256-cbc -pbkdf2 -a`.
    const SEALED: &str = "U2FsdGVkX1+rA4FwP0DFF9cz/rDOplyNb7K36c0B/mU=";

    /// Work that waits to be let go, and counts how much of it runs at once.
    struct Watched {
        now: AtomicUsize,
        most: AtomicUsize,
        began: mpsc::UnboundedSender<()>,
        is_open: Mutex<bool>,
        opened: Condvar,
    }

    impl Watched {
        fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<()>) {
            let (began, heard) = mpsc::unbounded_channel();
            let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
            (Arc::new(Self { now, most, began, is_open: Mutex::new(false), opened: Condvar::new() }), heard)
        }

        /// Whether it was let go in time.
        fn work(&self) -> bool {
            self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            self.began.send(()).unwrap();
            let longest = Duration::from_secs(10);
            let waited =
                self.opened.wait_timeout_while(self.is_open.lock().unwrap(), longest, |is_open| !*is_open).unwrap();
            self.now.fetch_sub(1, Ordering::SeqCst);
            !waited.1.timed_out()
        }

        fn open(&self) {
            *self.is_open.lock().unwrap() = true;
            self.opened.notify_all();
        }
    }

    /// One thread serves everybody here: were a derivation on it, nobody would let it go.
    #[tokio::test(flavor = "current_thread")]
    async fn a_hundred_at_once_take_half_the_processors_and_stop_nobody() {
        let derivations = Derivations::new(8);
        let (watched, mut began) = Watched::new();
        let mut all = JoinSet::new();
        for _ in 0..100 {
            let (derivations, watched) = (derivations.clone(), Arc::clone(&watched));
            all.spawn(async move { derivations.run(move || watched.work()).await });
        }
        for _ in 0..4 {
            timeout(Duration::from_secs(5), began.recv()).await.expect("four begin").unwrap();
        }
        assert!(timeout(Duration::from_millis(50), began.recv()).await.is_err(), "a fifth began");
        watched.open();
        let done = all.join_all().await;
        assert_eq!(done, vec![Ok(true); 100]);
        assert_eq!(watched.most.load(Ordering::SeqCst), 4);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn who_gives_up_frees_no_seat_that_is_in_use() {
        let derivations = Derivations::new(1);
        let (watched, mut began) = Watched::new();
        let start = || {
            let (derivations, watched) = (derivations.clone(), Arc::clone(&watched));
            tokio::spawn(async move { derivations.run(move || watched.work()).await })
        };
        let first = start();
        began.recv().await.unwrap();
        first.abort();
        let second = start();
        assert!(timeout(Duration::from_millis(50), began.recv()).await.is_err(), "two run at once");
        watched.open();
        assert_eq!(second.await.unwrap(), Ok(true));
        assert_eq!(watched.most.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn more_than_may_wait_are_told_to_come_again() {
        let derivations = Derivations::new(2);
        let (watched, mut began) = Watched::new();
        let mut all = JoinSet::new();
        for _ in 0..=Derivations::WAITING_MAX {
            let (derivations, watched) = (derivations.clone(), Arc::clone(&watched));
            all.spawn(async move { derivations.run(move || watched.work()).await });
        }
        began.recv().await.unwrap();
        while derivations.room.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(derivations.run(|| ()).await, Err(ImportError::Busy));
        watched.open();
        assert_eq!(all.join_all().await, vec![Ok(true); Derivations::WAITING_MAX + 1]);
        assert_eq!(derivations.run(|| ()).await, Ok(()), "there is room again");
    }

    #[tokio::test]
    async fn each_gets_its_own_answer() {
        let derivations = Derivations::new(2);
        let mut all = JoinSet::new();
        for n in 0..100 {
            let derivations = derivations.clone();
            let passphrase = if n % 2 == 0 { PASSPHRASE } else { "another" };
            all.spawn(async move {
                let imported = Imported::openssl(SEALED, Rounds::OPENSSL).unwrap();
                let opened = derivations.open(imported, Secret::from(passphrase.to_owned())).await;
                match opened {
                    Ok(words) => n % 2 == 0 && words.expose() == "sk-imported-µ".as_bytes(),
                    Err(error) => n % 2 == 1 && error == ImportError::NotOpened(NotOpened),
                }
            });
        }
        assert_eq!(all.join_all().await, vec![true; 100]);
    }
}
