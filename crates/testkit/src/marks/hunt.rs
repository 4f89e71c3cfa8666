//! Looks for marks in bytes, streams and folders.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File},
    io::{self, Read},
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use flate2::{Decompress, FlushDecompress, Status};

use super::{
    Class, Marks,
    allowed::Allowed,
    encoding::{Encoding, forms},
};

/// How a gzip member begins (RFC 1952): two bytes, and its only method.
const GZIP: &[u8] = b"\x1f\x8b\x08";
/// Gzip in gzip in gzip; further down is told, not searched.
const DEPTH_MAX: usize = 4;
/// The most that one member may hold; more is told, not searched.
const MEMBER_MAX: u64 = 16 << 30;
/// The longest head of a gzip member that is waited for: names and remarks may stand in it.
const HEAD_MAX: usize = 64 << 10;
const CHUNK: usize = 128 << 10;

/// What looks for one set of marks. Made once; it takes a second.
pub struct Hunt {
    automaton: AhoCorasick,
    /// Of each pattern of the automaton but the last, which is [`GZIP`].
    patterns: Vec<(Class, Encoding)>,
    longest: usize,
}

/// One mark, in one shape, in one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// The file, or what the caller called the stream.
    pub place: String,
    /// Which mark.
    pub class: Class,
    /// In which shape.
    pub encoding: Encoding,
    /// In how many gzip members.
    pub depth: usize,
}

/// What a hunt found and how far it came.
#[derive(Debug, Default)]
pub struct Found {
    /// Each with the offset at which it was met first, and how many parts of it were.
    pub hits: BTreeMap<Hit, (u64, usize)>,
    /// How many bytes were searched, what was inflated among them.
    pub bytes: u64,
    /// How many files.
    pub files: u64,
    /// How many gzip members.
    pub members: u64,
    /// What could not be searched, and why: a hunt that skips is no proof.
    pub skipped: Vec<(String, String)>,
}

impl Hunt {
    /// Looks for these.
    ///
    /// # Panics
    /// When there are too many for the memory.
    #[must_use]
    pub fn new(marks: &Marks) -> Self {
        let (mut texts, mut patterns) = (Vec::new(), Vec::new());
        for (class, part) in marks.parts() {
            for (encoding, form) in forms(part) {
                texts.push(form);
                patterns.push((class, encoding));
            }
        }
        texts.push(GZIP.to_vec());
        let longest = texts.iter().map(Vec::len).max().unwrap_or_default();
        #[expect(clippy::expect_used, reason = "a few megabytes of patterns")]
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(texts)
            .expect("the patterns fit");
        Self { automaton, patterns, longest }
    }

    /// Searches some bytes.
    pub fn bytes(&self, bytes: &[u8], place: &str, found: &mut Found) {
        let mut scan = Scan::new(self, 0);
        bytes.chunks(CHUNK).for_each(|chunk| scan.push(chunk));
        scan.end(place, found);
    }

    /// Searches a stream to its end, in constant memory.
    ///
    /// # Errors
    /// Where the stream breaks off; what came before was searched.
    pub fn stream(&self, mut from: impl Read, place: &str, found: &mut Found) -> io::Result<()> {
        let (mut scan, mut chunk) = (Scan::new(self, 0), vec![0; CHUNK]);
        let read = loop {
            match from.read(&mut chunk) {
                Ok(0) => break Ok(()),
                Ok(read) => scan.push(chunk.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        scan.end(place, found);
        read
    }

    /// Searches a file, or all files below a folder with their names; links are read and not followed. What vanishes
    /// meanwhile is none; what cannot be read is told in [`Found::skipped`].
    pub fn tree(&self, path: &Path, found: &mut Found) {
        if let Err(error) = self.walk(path, found)
            && error.kind() != io::ErrorKind::NotFound
        {
            found.skipped.push((path.display().to_string(), error.to_string()));
        }
    }

    fn walk(&self, path: &Path, found: &mut Found) -> io::Result<()> {
        let place = path.display().to_string();
        let kind = fs::symlink_metadata(path)?.file_type();
        if let Some(name) = path.file_name() {
            self.bytes(name.as_bytes(), &format!("{place} (its name)"), found);
        }
        if kind.is_symlink() {
            self.bytes(fs::read_link(path)?.as_os_str().as_bytes(), &place, found);
        } else if kind.is_dir() {
            for entry in fs::read_dir(path)? {
                self.tree(&entry?.path(), found);
            }
        } else if kind.is_file() {
            found.files += 1;
            self.stream(File::open(path)?, &place, found)?;
        }
        Ok(())
    }
}

impl Found {
    /// What nothing on the list allows, and what was not searched: each as a line for a person.
    #[must_use]
    pub fn outside(&self, allowed: &Allowed) -> Vec<String> {
        let hits = self.hits.iter().filter(|(hit, _)| !allowed.has(hit));
        let hits = hits.map(|(hit, (first, parts))| format!("{hit}, first at byte {first}, {parts} parts"));
        let skipped = self.skipped.iter().map(|(place, why)| format!("{place}: not searched: {why}"));
        hits.chain(skipped).collect()
    }

    fn add(&mut self, hit: Hit, first: u64, parts: usize) {
        let entry = self.hits.entry(hit).or_insert((first, 0));
        entry.1 += parts;
    }
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, class, encoding) = (&self.place, self.class.name(), self.encoding.name());
        write!(f, "{place}: {class} as {encoding}{}", ", in gzip".repeat(self.depth))
    }
}

/// One stream on its way through the automaton.
struct Scan<'h> {
    hunt: &'h Hunt,
    depth: usize,
    /// The end of what was searched, in which a pattern may have begun; then what comes.
    window: Vec<u8>,
    /// Where the window lies in the stream.
    at: u64,
    bytes: u64,
    members: u64,
    hits: BTreeMap<(Class, Encoding, usize), (u64, usize)>,
    given_up: Vec<String>,
    /// Gzip members that have begun and not ended. Where one of them lies in the stream.
    inside: Vec<(u64, Member<'h>)>,
}

impl<'h> Scan<'h> {
    fn new(hunt: &'h Hunt, depth: usize) -> Self {
        Self {
            hunt,
            depth,
            window: Vec::new(),
            at: 0,
            bytes: 0,
            members: 0,
            hits: BTreeMap::new(),
            given_up: Vec::new(),
            inside: Vec::new(),
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        for (began, mut member) in std::mem::take(&mut self.inside) {
            if member.push(bytes) { self.inside.push((began, member)) } else { self.took(began, member) }
        }
        let searched = self.window.len();
        self.window.extend_from_slice(bytes);
        let hunt = self.hunt;
        let mut starts = Vec::new();
        for found in hunt.automaton.find_overlapping_iter(&self.window).filter(|found| found.end() > searched) {
            let at = self.at + found.start() as u64;
            match hunt.patterns.get(found.pattern().as_usize()) {
                Some((class, encoding)) => {
                    self.hits.entry((*class, *encoding, self.depth)).or_insert((at, 0)).1 += 1;
                }
                None => starts.push(found.start()),
            }
        }
        for start in starts {
            let began = self.at + start as u64;
            if self.depth == DEPTH_MAX {
                self.given_up.push(format!("gzip in gzip {DEPTH_MAX} times, at byte {began}"));
                continue;
            }
            let mut member = Member::new(self.hunt, self.depth + 1);
            let is_open = member.push(self.window.get(start..).unwrap_or_default());
            if is_open { self.inside.push((began, member)) } else { self.took(began, member) }
        }
        let kept = self.window.len().min(hunt.longest.saturating_sub(1));
        self.at += (self.window.len() - kept) as u64;
        self.window.drain(..self.window.len() - kept);
    }

    /// What a member held, which ended, broke off, or was none.
    fn took(&mut self, began: u64, member: Member<'h>) {
        let Member { mut scan, inflate, is_too_long, .. } = member;
        for (inner, deeper) in std::mem::take(&mut scan.inside) {
            scan.took(inner, deeper);
        }
        self.members += scan.members + u64::from(inflate.total_out() > 0);
        self.bytes += scan.bytes;
        self.given_up.append(&mut scan.given_up);
        if is_too_long {
            self.given_up.push(format!("a gzip member of more than {MEMBER_MAX} bytes, at byte {began}"));
        }
        for (what, (_, parts)) in scan.hits {
            // Where its outermost member begins: offsets inside help nobody.
            self.hits.entry(what).or_insert((began, 0)).1 += parts;
        }
    }

    fn end(mut self, place: &str, found: &mut Found) {
        for (began, member) in std::mem::take(&mut self.inside) {
            self.took(began, member);
        }
        found.bytes += self.bytes;
        found.members += self.members;
        found.skipped.extend(self.given_up.into_iter().map(|why| (place.to_owned(), why)));
        for ((class, encoding, depth), (first, parts)) in self.hits {
            found.add(Hit { place: place.to_owned(), class, encoding, depth }, first, parts);
        }
    }
}

/// A gzip member that may be one: inflated as far as it goes, whatever its checksum says.
struct Member<'h> {
    /// Until it is whole.
    head: Vec<u8>,
    is_begun: bool,
    is_too_long: bool,
    inflate: Decompress,
    scan: Box<Scan<'h>>,
}

enum Head {
    Short,
    None,
    Ends(usize),
}

impl<'h> Member<'h> {
    fn new(hunt: &'h Hunt, depth: usize) -> Self {
        let scan = Box::new(Scan::new(hunt, depth));
        Self { head: Vec::new(), is_begun: false, is_too_long: false, inflate: Decompress::new(false), scan }
    }

    /// Whether it goes on.
    fn push(&mut self, bytes: &[u8]) -> bool {
        if self.is_begun {
            return self.inflate(bytes);
        }
        self.head.extend_from_slice(bytes);
        match head(&self.head) {
            Head::Short => self.head.len() < HEAD_MAX,
            Head::None => false,
            Head::Ends(at) => {
                self.is_begun = true;
                let all = std::mem::take(&mut self.head);
                self.inflate(all.get(at..).unwrap_or_default())
            }
        }
    }

    fn inflate(&mut self, mut bytes: &[u8]) -> bool {
        let mut out = vec![0; 64 << 10];
        loop {
            let (taken, made) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress(bytes, &mut out, FlushDecompress::None);
            let taken = usize::try_from(self.inflate.total_in() - taken).unwrap_or(usize::MAX);
            let made = usize::try_from(self.inflate.total_out() - made).unwrap_or(usize::MAX);
            self.scan.push(out.get(..made).unwrap_or_default());
            bytes = bytes.get(taken..).unwrap_or_default();
            self.is_too_long = self.inflate.total_out() > MEMBER_MAX;
            match status {
                Err(_) | Ok(Status::StreamEnd) => return false,
                Ok(_) if self.is_too_long => return false,
                Ok(_) if taken == 0 && made == 0 => return true,
                Ok(_) => {}
            }
        }
    }
}

/// Where the head of a gzip member ends (RFC 1952, 2.3).
fn head(bytes: &[u8]) -> Head {
    let Some((first, mut rest)) = bytes.split_first_chunk::<10>() else { return Head::Short };
    let flags = first[3];
    if flags & 0b1110_0000 != 0 {
        return Head::None;
    }
    if flags & 0b0100 != 0 {
        let Some((length, after)) = rest.split_first_chunk() else { return Head::Short };
        let Some(after) = after.get(usize::from(u16::from_le_bytes(*length))..) else { return Head::Short };
        rest = after;
    }
    for flag in [0b1000, 0b1_0000] {
        if flags & flag != 0 {
            let Some(end) = rest.iter().position(|byte| *byte == 0) else { return Head::Short };
            rest = rest.get(end + 1..).unwrap_or_default();
        }
    }
    let checksum = if flags & 0b10 == 0 { 0 } else { 2 };
    if rest.len() < checksum { Head::Short } else { Head::Ends(bytes.len() - rest.len() + checksum) }
}
