//! Berth's half of B4: opens one sealed value many times, in each of three ways, and prints how long each took.
//!
//! Started by benches/secrets.py, which prints the table. Answers each line `WAY COUNT` with nanoseconds in all.

use std::{
    hint::black_box,
    io::{BufRead as _, Write as _},
    process::ExitCode,
    time::Instant,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::Entropy;
use uuid::Uuid;
use vault::{DataKey, Imported, Keyring, MasterKey, Owner, Place, Sealed, Secret};

/// As long as a vendor's key.
const WORDS: &[u8; 128] = &[b'k'; 128];
const PASSPHRASE: &str = "a passphrase of some length";

/// No secrets are made here.
struct Counting(std::sync::atomic::AtomicU64);

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let next = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, std::sync::atomic::Ordering::Relaxed).to_le_bytes();
            for (to, from) in chunk.iter_mut().zip(next) {
                *to = from;
            }
        }
    }

    fn unix_millis(&self) -> u64 {
        0
    }
}

struct Bench {
    ring: Keyring,
    key: DataKey,
    wrapped: Sealed,
    place: Place<'static>,
    stored: Vec<u8>,
    imported: String,
}

impl Bench {
    /// `imported` was sealed by the other side, with Node's own functions.
    fn new(imported: &str) -> Option<Self> {
        let entropy = Counting(1.into());
        let mut bytes = [0; 32];
        entropy.fill(&mut bytes);
        let master = MasterKey::from_bytes(bytes);
        let (under, ring) = (master.id(), Keyring::new(vec![master]));
        let wrapped = ring.wrap_fresh(under, &entropy, Owner::House, Uuid::nil()).ok()?;
        let key = ring.unwrap(Owner::House, Uuid::nil(), &wrapped).ok()?;
        let place = Place { owner: Owner::House, table: "credentials", column: "sealed", row: Uuid::nil() };
        let stored = key.seal(&entropy, &place, &Secret::new(WORDS.to_vec())).to_bytes();
        Some(Self { ring, key, wrapped, place, stored, imported: imported.to_owned() })
    }

    fn once(&self, way: &str) -> Option<Secret> {
        match way {
            // As in the process: the tenant's key is unwrapped already.
            "open" => self.key.open(&self.place, &Sealed::from_bytes(&self.stored).ok()?).ok(),
            // The first value of a tenant: unwrap the key, then open.
            "unwrap" => {
                let key = self.ring.unwrap(Owner::House, Uuid::nil(), &self.wrapped).ok()?;
                key.open(&self.place, &Sealed::from_bytes(&self.stored).ok()?).ok()
            }
            // The form that people bring along: 100,000 rounds.
            "imported" => Imported::gcm(&self.imported).ok()?.open(&Secret::from(PASSPHRASE.to_owned())).ok(),
            _ => None,
        }
    }

    fn nanoseconds(&self, way: &str, count: u32) -> Option<u128> {
        let began = Instant::now();
        for _ in 0..count {
            let opened = black_box(self.once(black_box(way))?);
            if opened.expose() != WORDS {
                return None;
            }
        }
        Some(began.elapsed().as_nanos())
    }
}

fn main() -> ExitCode {
    let (mut lines, mut out) = (std::io::stdin().lock().lines(), std::io::stdout().lock());
    let first = lines.next().and_then(Result::ok).unwrap_or_default();
    let is_sealed = STANDARD.decode(&first).is_ok_and(|bytes| bytes.len() == 16 + 12 + WORDS.len() + 16);
    let Some(bench) = Bench::new(&first).filter(|_| is_sealed) else { return ExitCode::FAILURE };
    for line in lines.map_while(Result::ok) {
        let took = line.split_once(' ').and_then(|(way, count)| bench.nanoseconds(way, count.parse().ok()?));
        let Some(took) = took else { return ExitCode::FAILURE };
        if writeln!(out, "{took}").and_then(|()| out.flush()).is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
