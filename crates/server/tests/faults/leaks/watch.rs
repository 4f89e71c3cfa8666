//! What every process of this computer shows of itself, looked at every ten milliseconds.

use std::{
    collections::BTreeSet,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use testkit::marks::{Found, Hunt};

const PAUSE: Duration = Duration::from_millis(10);

/// A thread that looks.
pub(super) struct Watch {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

/// What was seen, each once.
#[derive(Default)]
pub(super) struct Seen {
    /// `environ` or `cmdline`, and what stood there.
    pub(super) texts: BTreeSet<(&'static str, Vec<u8>)>,
    /// How often was looked.
    pub(super) rounds: usize,
}

impl Watch {
    pub(super) fn begin() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let mut seen = Seen::default();
            while !over.load(Ordering::Relaxed) {
                look(&mut seen);
                thread::sleep(PAUSE);
            }
            seen
        });
        Self { is_over, thread }
    }

    pub(super) fn end(self) -> Seen {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("it looked to the end")
    }
}

impl Seen {
    /// As `proc/environ` and `proc/cmdline`.
    pub(super) fn search(&self, hunt: &Hunt, found: &mut Found) {
        for (what, text) in &self.texts {
            hunt.bytes(text, &format!("proc/{what}"), found);
        }
    }
}

/// A process that ended meanwhile, or whose environment nobody may read, shows nothing.
fn look(seen: &mut Seen) {
    seen.rounds += 1;
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        if !entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        for what in ["environ", "cmdline"] {
            if let Ok(text) = fs::read(entry.path().join(what)) {
                seen.texts.insert((what, text));
            }
        }
    }
}
