//! Verifies a chain of events line by line, from a file as well as from a database.
//!
//! `docs/AUDIT.md` says what holds. A line must be, byte for byte, what the encoding makes of
//! it, so that no byte can change unseen.

use domain::audit::{Chain, Event, Head, VERSION};
use serde::Deserialize;
use vault::digest;

/// Why a chain is not whole. Each names the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// No event and no head.
    #[error("line {line} is neither an event nor a head, byte for byte as they are written")]
    Unreadable {
        /// Counted from 1.
        line: u64,
    },
    /// An event of the database that is none of ours.
    #[error("not all that follows event {seq} can be read as an event: {why}")]
    Garbled {
        /// A place before it.
        seq: u64,
        /// In which column.
        why: String,
    },
    /// An event of another chain.
    #[error("event {seq} belongs to the chain {found}, not to {chain}")]
    OtherChain {
        /// Its place.
        seq: u64,
        /// Where it belongs.
        found: String,
        /// What is verified.
        chain: String,
    },
    /// An event is missing, doubled or moved.
    #[error("event {expected} should follow, but it is {found}")]
    OutOfOrder {
        /// The place that comes next.
        expected: u64,
        /// The place that stands there.
        found: u64,
    },
    /// It does not follow on the event before it.
    #[error("event {seq} does not follow on the event before it: what it says of that one's hash is wrong")]
    Unlinked {
        /// Its place.
        seq: u64,
    },
    /// Its content is not what was hashed.
    #[error("event {seq} was changed: its hash does not fit")]
    Changed {
        /// Its place.
        seq: u64,
    },
    /// There is no end.
    #[error("the end is missing after event {seq}: the file was cut, or its download broke off")]
    NoHead {
        /// The last place.
        seq: u64,
    },
    /// The end is another one.
    #[error("the chain ends at event {seq} with {hash}, but the head says event {head_seq} with {head_hash}")]
    OtherHead {
        /// Where it ends.
        seq: u64,
        /// With which hash.
        hash: String,
        /// Where it should.
        head_seq: u64,
        /// With which hash it should.
        head_hash: String,
    },
    /// Something stands after the end.
    #[error("line {line} stands after the end")]
    AfterEnd {
        /// Counted from 1.
        line: u64,
    },
}

/// Verifies one chain, event by event, in constant memory.
#[derive(Debug)]
pub struct Checker {
    chain: Option<String>,
    seq: u64,
    hash: String,
    lines: u64,
    head: Option<Head>,
    kept: Option<(u64, String)>,
}

/// The head of a chain without events.
#[must_use]
pub fn empty(chain: Chain) -> Head {
    Head { chain: chain.to_string(), hash: digest(chain.beginning().as_bytes()).to_string(), seq: 0 }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Event { event: Event, hash: String },
    Head { head: Head },
}

impl Checker {
    /// For this chain; without one, for whichever the first line names.
    #[must_use]
    pub fn new(chain: Option<Chain>) -> Self {
        let mut checker = Self { chain: None, seq: 0, hash: String::new(), lines: 0, head: None, kept: None };
        if let Some(chain) = chain {
            checker.begin(chain);
        }
        checker
    }

    /// Holds the chain against a head that was kept elsewhere, now or earlier: it must pass through it.
    #[must_use]
    pub fn through(self, seq: u64, hash: &str) -> Self {
        Self { kept: Some((seq, hash.to_owned())), ..self }
    }

    /// The next line of an export, without its end.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn line(&mut self, text: &str) -> Result<(), Broken> {
        self.lines += 1;
        let line = self.lines;
        if self.head.is_some() {
            return Err(Broken::AfterEnd { line });
        }
        match serde_json::from_str::<Line>(text) {
            Ok(Line::Event { event, hash }) if event.line(&hash) == text => self.event(&event, &hash),
            Ok(Line::Head { head }) if head.line() == text => {
                self.start(&head.chain)?;
                self.head = Some(head);
                Ok(())
            }
            Ok(_) | Err(_) => Err(Broken::Unreadable { line }),
        }
    }

    /// The next event.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn event(&mut self, event: &Event, hash: &str) -> Result<(), Broken> {
        self.start(&event.chain)?;
        let seq = event.seq;
        if event.v != VERSION {
            return Err(Broken::Unreadable { line: self.lines });
        }
        if seq != self.seq + 1 {
            return Err(Broken::OutOfOrder { expected: self.seq + 1, found: seq });
        }
        if event.prior != self.hash {
            return Err(Broken::Unlinked { seq });
        }
        if digest(event.canonical().as_bytes()).to_string() != hash {
            return Err(Broken::Changed { seq });
        }
        (self.seq, self.hash) = (seq, hash.to_owned());
        match &self.kept {
            Some((kept, hash)) if *kept == seq => self.same((*kept, hash)),
            _ => Ok(()),
        }
    }

    /// The end of an export: its own head must be there, and the chain must reach the head that was kept.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn end_of_export(mut self) -> Result<Head, Broken> {
        let head = self.head.take().ok_or(Broken::NoHead { seq: self.seq })?;
        self.same((head.seq, &head.hash))?;
        match &self.kept {
            Some((kept, hash)) if *kept > self.seq => self.same((*kept, hash))?,
            _ => {}
        }
        Ok(head)
    }

    /// The end of a chain in the database: where its head says.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn end_at(self, head: Option<&Head>) -> Result<u64, Broken> {
        match head {
            Some(head) => self.same((head.seq, &head.hash))?,
            None if self.seq > 0 => return Err(Broken::NoHead { seq: self.seq }),
            None => {}
        }
        Ok(self.seq)
    }

    /// Which chain it is, once that is known.
    #[must_use]
    pub fn chain(&self) -> Option<&str> {
        self.chain.as_deref()
    }

    /// How many events were verified so far.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    fn same(&self, (head_seq, head_hash): (u64, &str)) -> Result<(), Broken> {
        if (self.seq, self.hash.as_str()) == (head_seq, head_hash) {
            return Ok(());
        }
        let head_hash = head_hash.to_owned();
        Err(Broken::OtherHead { seq: self.seq, hash: self.hash.clone(), head_seq, head_hash })
    }

    /// The first line says which chain it is; the others must agree.
    fn start(&mut self, named: &str) -> Result<(), Broken> {
        if self.chain.is_none() {
            let chain: Chain = named.parse().map_err(|_| Broken::Unreadable { line: self.lines })?;
            self.begin(chain);
        }
        match &self.chain {
            Some(chain) if chain != named => {
                Err(Broken::OtherChain { seq: self.seq + 1, found: named.to_owned(), chain: chain.clone() })
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, chain: Chain) {
        self.hash = digest(chain.beginning().as_bytes()).to_string();
        self.chain = Some(chain.to_string());
    }
}

#[cfg(test)]
mod tests;
