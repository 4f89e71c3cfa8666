//! What was done to machines, in order: one JSON line each, never rewritten.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Something that was done. A call that found it done already is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The machine exists.
    Create,
    /// It has power.
    Start,
    /// It has none.
    Stop,
    /// It exists no more.
    Delete,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: DateTime<Utc>,
    /// The machine's name.
    pub name: String,
    /// What.
    pub effect: Effect,
}

/// The open ledger.
#[derive(Debug)]
pub(super) struct Ledger(Mutex<Book>);

#[derive(Debug)]
struct Book {
    file: File,
    entries: Vec<Entry>,
}

impl Ledger {
    /// Opens it, with what an earlier simulator wrote.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let before = std::fs::read_to_string(path).unwrap_or_default();
        let entries = before.lines().map(serde_json::from_str).collect::<Result<Vec<Entry>, _>>()?;
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(Mutex::new(Book { file, entries })))
    }

    /// Writes one line down.
    pub(super) fn write(&self, name: &str, effect: Effect) {
        let entry = Entry { at: now(), name: name.to_owned(), effect };
        let mut book = self.book();
        let line = serde_json::to_string(&entry).unwrap_or_default();
        #[expect(clippy::expect_used, reason = "a test whose ledger cannot be written must not go on")]
        writeln!(book.file, "{line}").expect("the ledger is written");
        book.entries.push(entry);
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        self.book().entries.clone()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The computer's clock, as a daemon has one.
pub(super) fn now() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}
