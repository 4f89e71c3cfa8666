//! Chance that can be repeated, and places to seal for.

use std::sync::Mutex;

use domain::{Entropy, TenantId};
use uuid::Uuid;
use vault::{DataKey, Keyring, MasterKey, Owner, Place, Secret};

/// A seeded generator (splitmix64).
pub(crate) struct Dice(Mutex<u64>);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }

    fn next(&self) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `bound`, which it never is.
    pub(crate) fn below(&self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    pub(crate) fn bytes(&self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.fill(&mut bytes);
        bytes
    }

    pub(crate) fn key(&self) -> MasterKey {
        MasterKey::from_bytes(self.bytes(32).try_into().unwrap())
    }

    /// A data key as it comes from the database: wrapped, and unwrapped again.
    pub(crate) fn data_key(&self) -> DataKey {
        let (master, id) = (self.key(), Uuid::from_bytes(self.bytes(16).try_into().unwrap()));
        let (under, ring) = (master.id(), Keyring::new(vec![master]));
        let wrapped = ring.wrap_fresh(under, self, Owner::House, id).unwrap();
        ring.unwrap(Owner::House, id, &wrapped).unwrap()
    }

    /// Anything from nothing to 64 KiB, mostly short, and often at an edge.
    pub(crate) fn secret(&self) -> Secret {
        const EDGES: [usize; 9] = [0, 1, 15, 16, 17, 255, 256, 65_535, 65_536];
        let length = match self.below(20) {
            edge if edge < 4 => EDGES[self.below(EDGES.len())],
            _ => self.below(1 << self.below(16)),
        };
        Secret::new(self.bytes(length))
    }

    /// A place of few: many are the same, or the same but for one part.
    pub(crate) fn place(&self) -> Place<'static> {
        let pick = |from: &[&'static str]| from[self.below(from.len())];
        let owner = match self.below(4) {
            0 => Owner::House,
            tenant => Owner::Tenant(TenantId::from_uuid(Uuid::from_u128(tenant as u128))),
        };
        Place {
            owner,
            // Names that run into each other where no length stands between them.
            table: pick(&["credentials", "machines", "a", "ab", "abc"]),
            column: pick(&["value_sealed", "key_sealed", "c", "bc", "b"]),
            row: Uuid::from_u128(self.below(4) as u128),
        }
    }
}

impl Entropy for Dice {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let random = self.next().to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
    }

    fn unix_millis(&self) -> u64 {
        1_795_000_000_000
    }
}
