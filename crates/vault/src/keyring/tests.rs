use super::*;

struct Counting(std::sync::atomic::AtomicU8);
impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    }
    fn unix_millis(&self) -> u64 {
        0
    }
}

fn key(byte: u8) -> MasterKey {
    let mut bytes = [byte; 32];
    bytes[0] = 0xff;
    MasterKey::from_bytes(bytes)
}

fn place(row: u128) -> Place<'static> {
    Place { owner: Owner::House, table: "machines", column: "host_key", row: Uuid::from_u128(row) }
}

#[test]
fn a_sealed_value_opens_only_at_its_place() {
    let (ring, entropy) = (Keyring::new(&key(1), &[]), Counting(0.into()));
    let sealed = ring.seal(&entropy, &place(1), &Secret::new(b"hush".to_vec()));
    assert_eq!(ring.open(&place(1), &sealed).unwrap().expose(), b"hush");
    let tenant = TenantId::from_uuid(Uuid::from_u128(9));
    let elsewhere = [
        place(2),
        Place { table: "agents", ..place(1) },
        Place { column: "gateway_token", ..place(1) },
        Place { owner: Owner::Tenant(tenant), ..place(1) },
        Place { table: "machineshost_ke", column: "y", ..place(1) },
    ];
    for other in elsewhere {
        assert_eq!(ring.open(&other, &sealed).unwrap_err(), OpenError::Tampered, "{other:?}");
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let (ring, entropy) = (Keyring::new(&key(1), &[]), Counting(0.into()));
    let good = ring.seal(&entropy, &place(1), &Secret::new(b"hush".to_vec())).to_bytes();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let opened = Sealed::from_bytes(&bad).map_err(OpenError::from).and_then(|s| ring.open(&place(1), &s));
        assert!(opened.is_err(), "bit {bit}");
    }
}

#[test]
fn a_value_that_was_never_sealed_is_loud() {
    for plain in [&b""[..], b"sk-plain", &[1; 20], b"a value of some length that nobody ever sealed, sadly"] {
        assert!(Sealed::from_bytes(plain).is_err(), "{plain:?}");
    }
}

#[test]
fn a_retired_key_opens_and_an_unknown_one_is_named() {
    let entropy = Counting(0.into());
    let sealed = Keyring::new(&key(1), &[]).seal(&entropy, &place(1), &Secret::new(b"x".to_vec()));
    let rotated = Keyring::new(&key(2), &[key(1)]);
    assert_eq!(rotated.open(&place(1), &sealed).unwrap().expose(), b"x");
    assert_eq!(rotated.seal(&entropy, &place(1), &Secret::new(vec![])).key(), key(2).id());
    let stranger = Keyring::new(&key(3), &[]);
    assert_eq!(stranger.open(&place(1), &sealed).unwrap_err(), OpenError::UnknownKey(key(1).id()));
}

/// The format is for strangers too: these bytes were computed from the decision page with Python's `cryptography`.
#[test]
fn the_envelope_is_the_one_in_the_specification() {
    let ring = Keyring::new(&MasterKey::from_bytes(std::array::from_fn(|i| u8::try_from(i).unwrap())), &[]);
    let stored = hex::decode(include_str!("vector.hex").trim()).unwrap();
    let opened = ring.open(&place(1), &Sealed::from_bytes(&stored).unwrap()).unwrap();
    assert_eq!(opened.expose(), b"read by a stranger");
}

#[test]
fn a_key_is_parsed_and_a_placeholder_refused() {
    assert!(MasterKey::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n").is_ok());
    assert_eq!(MasterKey::parse("").err(), Some(BadKey::Form));
    assert_eq!(MasterKey::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").err(), Some(BadKey::Placeholder));
    assert_eq!(format!("{:?}", Secret::new(b"x".to_vec())), "Secret(..)");
}

#[test]
fn a_keyed_hash_is_told_apart_by_key_purpose_and_bytes() {
    let ring = Keyring::new(&key(1), &[key(2)]);
    let under = |ring: &Keyring, purpose: &str, bytes: &[u8]| -> Vec<[u8; 32]> {
        ring.keyed(purpose, bytes).iter().map(|hash| **hash).collect()
    };
    let both = under(&ring, "invite", b"a");
    assert_eq!(both.len(), 2);
    assert_ne!(both[0], both[1], "each key gives its own");
    assert_eq!(both[1..], under(&Keyring::new(&key(2), &[]), "invite", b"a"), "what a retired key gave is found");
    for other in [under(&ring, "letter", b"a"), under(&ring, "invite", b"b"), under(&ring, "invit", b"ea")] {
        assert_ne!(both, other);
    }
    assert_ne!(both[0], *crate::digest(b"a").bytes());
}
