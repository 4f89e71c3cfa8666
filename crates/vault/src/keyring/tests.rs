use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::TenantId;

use super::*;
use crate::BadKey;

struct Counting(std::sync::atomic::AtomicU8);
impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    }
    fn unix_millis(&self) -> u64 {
        0
    }
}

fn counting() -> Counting {
    Counting(1.into())
}

fn key(byte: u8) -> MasterKey {
    let mut bytes = [byte; 32];
    bytes[0] = 0xff;
    MasterKey::from_bytes(bytes)
}

fn tenant() -> Owner {
    Owner::Tenant(TenantId::from_uuid(Uuid::from_u128(9)))
}

fn place(row: u128) -> Place<'static> {
    Place { owner: Owner::House, table: "machines", column: "host_key", row: Uuid::from_u128(row) }
}

fn house() -> Uuid {
    Uuid::from_u128(77)
}

/// A ring with these master keys whose house key was wrapped by the first.
fn ring(masters: Vec<MasterKey>) -> Keyring {
    let ring = Keyring::new(masters);
    let first = ring.held().next().unwrap();
    let wrapped = ring.wrap_fresh(first, &counting(), Owner::House, house()).unwrap();
    let unwrapped = ring.unwrap(Owner::House, house(), &wrapped).unwrap();
    ring.with_house(unwrapped)
}

#[test]
fn a_sealed_value_opens_only_at_its_place() {
    let (ring, entropy) = (ring(vec![key(1)]), counting());
    let sealed = ring.seal(&entropy, &place(1), &Secret::new(b"hush".to_vec())).unwrap();
    assert_eq!(ring.open(&place(1), &sealed).unwrap().expose(), b"hush");
    let elsewhere = [
        place(2),
        Place { table: "agents", ..place(1) },
        Place { column: "gateway_token", ..place(1) },
        Place { owner: tenant(), ..place(1) },
        Place { table: "machineshost_ke", column: "y", ..place(1) },
    ];
    for other in elsewhere {
        assert_eq!(ring.open(&other, &sealed).unwrap_err(), OpenError::Tampered, "{other:?}");
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let (ring, entropy) = (ring(vec![key(1)]), counting());
    let good = ring.seal(&entropy, &place(1), &Secret::new(b"hush".to_vec())).unwrap().to_bytes();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(ring.opens(&place(1), &bad).is_err(), "bit {bit}");
    }
    assert_eq!(ring.opens(&place(1), &good), Ok(()));
}

#[test]
fn a_value_that_was_never_sealed_is_loud() {
    for plain in [&b""[..], b"sk-plain", &[1; 20], b"a value of some length that nobody ever sealed, sadly"] {
        assert!(Sealed::from_bytes(plain).is_err(), "{plain:?}");
    }
}

#[test]
fn a_data_key_is_its_owners_and_outlives_the_master_key_that_wrapped_it() {
    let (both, entropy, id) = (Keyring::new(vec![key(1), key(2)]), counting(), Uuid::from_u128(5));
    let wrapped = both.wrap_fresh(key(1).id(), &entropy, tenant(), id).unwrap();
    let place = Place { owner: tenant(), table: "credentials", column: "sealed", row: Uuid::from_u128(1) };
    let sealed = both.unwrap(tenant(), id, &wrapped).unwrap().seal(&entropy, &place, &Secret::new(b"sk".to_vec()));
    assert_eq!(sealed.key(), KeyId(id.into_bytes()));

    let anew = both.rewrap(key(2).id(), &entropy, (tenant(), id), &wrapped).unwrap();
    let only_new = Keyring::new(vec![key(2)]);
    assert_eq!(only_new.unwrap(tenant(), id, &anew).unwrap().open(&place, &sealed).unwrap().expose(), b"sk");
    assert_eq!(only_new.unwrap(tenant(), id, &wrapped).unwrap_err(), OpenError::UnknownKey(key(1).id()));

    for (owner, id) in [(Owner::House, id), (tenant(), Uuid::from_u128(6))] {
        assert_eq!(both.unwrap(owner, id, &wrapped).unwrap_err(), OpenError::Tampered, "{owner:?} {id}");
    }
    let other = both.wrap_fresh(key(1).id(), &entropy, tenant(), Uuid::from_u128(6)).unwrap();
    let other = both.unwrap(tenant(), Uuid::from_u128(6), &other).unwrap();
    assert_eq!(other.open(&place, &sealed).unwrap_err(), OpenError::UnknownKey(sealed.key()));
}

#[test]
fn a_ring_without_the_houses_key_does_nothing() {
    let (usable, sealed) = (ring(vec![key(1)]), Keyring::new(vec![key(2)]));
    let value = usable.seal(&counting(), &place(1), &Secret::new(b"x".to_vec())).unwrap();
    assert!(sealed.is_sealed() && !usable.is_sealed() && Keyring::default().is_sealed());
    assert_eq!(sealed.open(&place(1), &value).unwrap_err(), OpenError::NoKey);
    assert_eq!(sealed.seal(&counting(), &place(1), &Secret::new(vec![])).unwrap_err(), OpenError::NoKey);
    assert_eq!(sealed.keyed("invite", b"a").unwrap_err(), OpenError::NoKey);
}

/// What an older Berth sealed directly under a master key opens while that key is held, and names it afterwards.
#[test]
fn older_values_open_under_their_master_key() {
    let sealed = key(1).seal(&counting(), &place(1), &Secret::new(b"x".to_vec()));
    assert_eq!(ring(vec![key(2), key(1)]).open(&place(1), &sealed).unwrap().expose(), b"x");
    assert_eq!(ring(vec![key(3)]).open(&place(1), &sealed).unwrap_err(), OpenError::UnknownKey(key(1).id()));
}

/// The format is for strangers too: these bytes were computed from the decision page with Python's `cryptography`.
#[test]
fn the_envelope_is_the_one_in_the_specification() {
    let key = MasterKey::from_bytes(std::array::from_fn(|i| u8::try_from(i).unwrap()));
    let stored = hex::decode(include_str!("vector.hex").trim()).unwrap();
    let opened = key.open(&place(1), &Sealed::from_bytes(&stored).unwrap()).unwrap();
    assert_eq!(opened.expose(), b"read by a stranger");
}

#[test]
fn a_key_is_parsed_and_a_placeholder_refused() {
    assert!(MasterKey::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n").is_ok());
    assert_eq!(MasterKey::parse("").err(), Some(BadKey::Form));
    assert_eq!(MasterKey::parse(&STANDARD.encode([0; 32])).err(), Some(BadKey::Placeholder));
    for length in [31, 33] {
        assert_eq!(MasterKey::parse(&STANDARD.encode(vec![7; length])).err(), Some(BadKey::Form), "{length} bytes");
    }
    assert_eq!(format!("{:?}", Secret::new(b"x".to_vec())), "Secret(..)");
}

#[test]
fn a_keyed_hash_is_told_apart_by_key_purpose_and_bytes() {
    let ring = ring(vec![key(1), key(2)]);
    let under =
        |purpose: &str, bytes: &[u8]| -> Vec<[u8; 32]> { ring.keyed(purpose, bytes).unwrap().all().copied().collect() };
    let all = under("invite", b"a");
    assert_eq!(all.len(), 3, "the house's key and both master keys");
    assert!(all[0] != all[1] && all[1] != all[2], "each root gives its own");
    for other in [under("letter", b"a"), under("invite", b"b"), under("invit", b"ea")] {
        assert_ne!(all, other);
    }
    assert_ne!(all[0], *crate::digest(b"a").bytes());
}
