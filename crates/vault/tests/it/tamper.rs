//! Sealed values that somebody moved, cut, lengthened or altered: none of them opens.

use domain::TenantId;
use uuid::Uuid;
use vault::{DataKey, KeyId, Keyring, NotAnEnvelope, OpenError, Owner, Place, Sealed, Secret};

use crate::dice::Dice;

/// Version, key id, nonce, tag.
const EMPTY: usize = 1 + 16 + 12 + 16;
const SEEDS: u64 = 20;

fn open(key: &DataKey, place: &Place<'_>, stored: &[u8]) -> Result<Secret, OpenError> {
    key.open(place, &Sealed::from_bytes(stored)?)
}

/// A refusal says that the value was altered and nothing else: the same for every value and every way to alter it.
fn is_uniform(error: &OpenError) -> bool {
    *error == OpenError::Tampered && error.to_string() == "the sealed value was altered or belongs to another place"
}

/// The place binds by itself: here one key seals for everybody.
#[test]
fn no_two_values_can_be_swapped() {
    let (mut swaps, mut same) = (0, 0);
    for seed in 0..SEEDS {
        let dice = Dice::new(seed);
        let key = dice.data_key();
        let places: Vec<Place<'_>> = (0..60).map(|_| dice.place()).collect();
        let stored: Vec<Vec<u8>> =
            places.iter().map(|place| key.seal(&dice, place, &Secret::new(dice.bytes(40))).to_bytes()).collect();
        for (place, own) in places.iter().zip(&stored) {
            assert!(open(&key, place, own).is_ok(), "where it belongs");
            for (other, value) in places.iter().zip(&stored) {
                let opened = open(&key, place, value);
                if other == place {
                    assert!(opened.is_ok(), "an older value of the same place");
                    same += 1;
                } else {
                    assert!(opened.is_err_and(|error| is_uniform(&error)), "{other:?} at {place:?}");
                    swaps += 1;
                }
            }
        }
    }
    println!("{swaps} values at another place, {same} at their own");
    assert!(swaps > 60_000 && same > 1_000, "{swaps} and {same}: were the places drawn from too many, or too few?");
}

/// Whoever can write to the database moves a value together with the key under which it was sealed, or renames keys.
#[test]
fn no_data_key_can_be_given_to_another() {
    let dice = Dice::new(500);
    let master = dice.key();
    let under = master.id();
    let ring = Keyring::new(vec![master]);
    let owner = |n: u128| if n == 0 { Owner::House } else { Owner::Tenant(TenantId::from_uuid(Uuid::from_u128(n))) };
    let keys: Vec<(Owner, Uuid, Sealed)> = (0..20)
        .map(|n| {
            let (owner, id) = (owner(n / 2), Uuid::from_u128(0xd000 + n));
            (owner, id, ring.wrap_fresh(under, &dice, owner, id).unwrap())
        })
        .collect();
    for (owner, id, wrapped) in &keys {
        let place = Place { owner: *owner, table: "credentials", column: "sealed", row: Uuid::from_u128(1) };
        let sealed = ring.unwrap(*owner, *id, wrapped).unwrap().seal(&dice, &place, &Secret::new(b"hush".to_vec()));
        for (other_owner, other_id, other) in &keys {
            let is_own = id == other_id;
            // As it is, under another row's name, in another owner's row: only its own place opens it.
            for (at_owner, at_id) in [(owner, id), (other_owner, other_id), (owner, other_id), (other_owner, id)] {
                let unwrapped = ring.unwrap(*at_owner, *at_id, wrapped);
                match unwrapped {
                    Ok(key) => {
                        assert!(at_owner == owner && at_id == id);
                        assert_eq!(open(&key, &place, &sealed.to_bytes()).unwrap().expose(), b"hush");
                    }
                    Err(error) => assert!(is_uniform(&error) && (at_owner != owner || at_id != id), "{error:?}"),
                }
            }
            let other = ring.unwrap(*other_owner, *other_id, other).unwrap();
            let opened = open(&other, &place, &sealed.to_bytes());
            assert_eq!(opened.map(|_| ()), if is_own { Ok(()) } else { Err(OpenError::UnknownKey(sealed.key())) });
            // The other key's name written over the one in the value.
            let renamed = [&sealed.to_bytes()[..1], &other.id().0, &sealed.to_bytes()[17..]].concat();
            assert_eq!(open(&other, &place, &renamed).is_ok(), is_own);
        }
    }
}

/// CRY-34: every bit of a hundred values, one at a time.
#[test]
fn no_flipped_bit_opens() {
    let mut flips = 0;
    for seed in 0..100 {
        let dice = Dice::new(1_000 + seed);
        let (key, place) = (dice.data_key(), dice.place());
        let length = dice.below(80);
        let stored = key.seal(&dice, &place, &Secret::new(dice.bytes(length))).to_bytes();
        for bit in 0..stored.len() * 8 {
            let mut bad = stored.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let error = open(&key, &place, &bad).expect_err("a flipped bit opened");
            let is_right = match bit / 8 {
                0 => error == OpenError::NotAnEnvelope(NotAnEnvelope::Version(bad[0])),
                1..=16 => error == OpenError::UnknownKey(KeyId(bad[1..17].try_into().unwrap())),
                _ => is_uniform(&error),
            };
            assert!(is_right, "seed {seed}, bit {bit}: {error:?}");
            flips += 1;
        }
    }
    println!("{flips} flipped bits");
    assert!(flips > 100 * EMPTY * 8);
}

#[test]
fn nothing_cut_or_lengthened_opens() {
    for seed in 0..100 {
        let dice = Dice::new(2_000 + seed);
        let (key, place) = (dice.data_key(), dice.place());
        let length = dice.below(80);
        let stored = key.seal(&dice, &place, &Secret::new(dice.bytes(length))).to_bytes();
        assert_eq!(stored.len(), EMPTY + length);
        for end in 0..stored.len() {
            let error = open(&key, &place, &stored[..end]).expect_err("a cut value opened");
            // A version can be read from one byte on.
            let is_right = if end < EMPTY { error == NotAnEnvelope::Short.into() } else { is_uniform(&error) };
            assert!(is_right, "seed {seed}, {end} bytes: {error:?}");
        }
        for more in [1, 16, 1 + dice.below(100)] {
            let long = [stored.clone(), dice.bytes(more)].concat();
            assert!(open(&key, &place, &long).is_err_and(|error| is_uniform(&error)), "seed {seed}, {more} more");
        }
        let doubled = [&stored[..], &stored[29..]].concat();
        assert!(open(&key, &place, &doubled).is_err_and(|error| is_uniform(&error)), "seed {seed}, twice");
        // Pieces of two values of the same place under the same key.
        let other = key.seal(&dice, &place, &Secret::new(dice.bytes(length))).to_bytes();
        let (nonce, body, tag) = (17, 29, stored.len() - 16);
        for at in [body, tag, nonce + 6] {
            let (front, back) = ([&stored[..at], &other[at..]].concat(), [&other[..at], &stored[at..]].concat());
            for mixed in [front, back] {
                assert!(open(&key, &place, &mixed).is_err_and(|error| is_uniform(&error)), "seed {seed} at {at}");
            }
        }
    }
}

/// An older version of the format must never be asked for by whoever can write to the database.
#[test]
fn no_other_version_is_read() {
    let dice = Dice::new(3_000);
    let (key, place) = (dice.data_key(), dice.place());
    let stored = key.seal(&dice, &place, &Secret::new(b"hush".to_vec())).to_bytes();
    for version in (0..=u8::MAX).filter(|version| *version != stored[0]) {
        let mut bad = stored.clone();
        bad[0] = version;
        assert_eq!(open(&key, &place, &bad).unwrap_err(), NotAnEnvelope::Version(version).into());
    }
    // Forms that people bring along are read by name, never by look.
    for foreign in [&b"Salted__0123456789abcdef0123456789abcdef0123456789"[..], b"U2FsdGVkX18=", b"sk-ant-api03-plain"]
    {
        let refused = open(&key, &place, foreign).unwrap_err();
        assert_eq!(refused, NotAnEnvelope::Version(foreign[0]).into());
    }
}

/// CRY-03: no nonce twice under one key, and no two sealed values alike.
#[test]
fn the_same_words_are_never_sealed_alike() {
    let dice = Dice::new(3_500);
    let (key, place) = (dice.data_key(), dice.place());
    let mut seen = std::collections::HashSet::new();
    for _ in 0..100_000 {
        let stored = key.seal(&dice, &place, &Secret::new(b"the same words".to_vec())).to_bytes();
        assert!(seen.insert(<[u8; 12]>::try_from(&stored[17..29]).unwrap()), "a nonce came twice");
    }
}

/// What an error says holds nothing of the value: neither its bytes nor what was inside.
#[test]
fn an_error_tells_nothing_of_the_value() {
    let dice = Dice::new(4_000);
    let (key, place) = (dice.data_key(), dice.place());
    let stored = key.seal(&dice, &place, &Secret::new(b"marker-of-a-secret".to_vec())).to_bytes();
    let hidden = [hex::encode(&stored[17..29]), hex::encode(&stored[29..]), "marker".to_owned()];
    for byte in 0..stored.len() {
        let mut bad = stored.clone();
        bad[byte] ^= 0x80;
        let error = open(&key, &place, &bad).unwrap_err();
        let text = format!("{error} {error:?} {:?} {key:?}", Sealed::from_bytes(&bad));
        assert!(hidden.iter().all(|part| !text.contains(part)), "{text}");
    }
}
