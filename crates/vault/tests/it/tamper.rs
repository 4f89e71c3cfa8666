//! Sealed values that somebody moved, cut, lengthened or altered: none of them opens.

use vault::{KeyId, Keyring, NotAnEnvelope, OpenError, Place, Sealed, Secret};

use crate::dice::Dice;

/// Version, key id, nonce, tag.
const EMPTY: usize = 1 + 16 + 12 + 16;
const SEEDS: u64 = 20;

fn open(ring: &Keyring, place: &Place<'_>, stored: &[u8]) -> Result<Secret, OpenError> {
    ring.open(place, &Sealed::from_bytes(stored)?)
}

/// A refusal says that the value was altered and nothing else: the same for every value and every way to alter it.
fn is_uniform(error: &OpenError) -> bool {
    *error == OpenError::Tampered && error.to_string() == "the sealed value was altered or belongs to another place"
}

#[test]
fn no_two_values_can_be_swapped() {
    let (mut swaps, mut same) = (0, 0);
    for seed in 0..SEEDS {
        let dice = Dice::new(seed);
        let ring = Keyring::new(&dice.key(), &[dice.key()]);
        let places: Vec<Place<'_>> = (0..60).map(|_| dice.place()).collect();
        let stored: Vec<Vec<u8>> =
            places.iter().map(|place| ring.seal(&dice, place, &Secret::new(dice.bytes(40))).to_bytes()).collect();
        for (place, own) in places.iter().zip(&stored) {
            assert!(open(&ring, place, own).is_ok(), "where it belongs");
            for (other, value) in places.iter().zip(&stored) {
                let opened = open(&ring, place, value);
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

/// CRY-34: every bit of a hundred values, one at a time.
#[test]
fn no_flipped_bit_opens() {
    let mut flips = 0;
    for seed in 0..100 {
        let dice = Dice::new(1_000 + seed);
        let (ring, place) = (Keyring::new(&dice.key(), &[]), dice.place());
        let length = dice.below(80);
        let stored = ring.seal(&dice, &place, &Secret::new(dice.bytes(length))).to_bytes();
        for bit in 0..stored.len() * 8 {
            let mut bad = stored.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let error = open(&ring, &place, &bad).expect_err("a flipped bit opened");
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
        let (ring, place) = (Keyring::new(&dice.key(), &[]), dice.place());
        let length = dice.below(80);
        let stored = ring.seal(&dice, &place, &Secret::new(dice.bytes(length))).to_bytes();
        assert_eq!(stored.len(), EMPTY + length);
        for end in 0..stored.len() {
            let error = open(&ring, &place, &stored[..end]).expect_err("a cut value opened");
            let is_right = if end < EMPTY { error == NotAnEnvelope::Short.into() } else { is_uniform(&error) };
            assert!(is_right, "seed {seed}, {end} bytes: {error:?}");
        }
        for more in [1, 16, 1 + dice.below(100)] {
            let long = [stored.clone(), dice.bytes(more)].concat();
            assert!(open(&ring, &place, &long).is_err_and(|error| is_uniform(&error)), "seed {seed}, {more} more");
            let doubled = [&stored[..], &stored[29..]].concat();
            assert!(open(&ring, &place, &doubled).is_err_and(|error| is_uniform(&error)), "seed {seed}, twice");
        }
        // Pieces of two values of the same place under the same key.
        let other = ring.seal(&dice, &place, &Secret::new(dice.bytes(length))).to_bytes();
        let (nonce, body, tag) = (17, 29, stored.len() - 16);
        for at in [nonce, body, tag] {
            let (front, back) = ([&stored[..at], &other[at..]].concat(), [&other[..at], &stored[at..]].concat());
            for mixed in [front, back] {
                if mixed != stored && mixed != other {
                    assert!(open(&ring, &place, &mixed).is_err_and(|error| is_uniform(&error)), "seed {seed} at {at}");
                }
            }
        }
    }
}

/// An older version of the format must never be asked for by whoever can write to the database.
#[test]
fn no_other_version_is_read() {
    let dice = Dice::new(3_000);
    let (ring, place) = (Keyring::new(&dice.key(), &[]), dice.place());
    let stored = ring.seal(&dice, &place, &Secret::new(b"hush".to_vec())).to_bytes();
    for version in (0..=u8::MAX).filter(|version| *version != stored[0]) {
        let mut bad = stored.clone();
        bad[0] = version;
        assert_eq!(open(&ring, &place, &bad).unwrap_err(), NotAnEnvelope::Version(version).into());
    }
    // Formats that people bring along are read by name, never by look.
    for foreign in [&b"Salted__0123456789abcdef0123456789abcdef0123456789"[..], b"U2FsdGVkX18=", b"sk-ant-api03-plain"]
    {
        assert!(matches!(open(&ring, &place, foreign), Err(OpenError::NotAnEnvelope(NotAnEnvelope::Version(_)))));
    }
}

/// What an error says holds nothing of the value: neither its bytes nor what was inside.
#[test]
fn an_error_tells_nothing_of_the_value() {
    let dice = Dice::new(4_000);
    let (ring, place) = (Keyring::new(&dice.key(), &[]), dice.place());
    let stored = ring.seal(&dice, &place, &Secret::new(b"marker-of-a-secret".to_vec())).to_bytes();
    let mut texts = Vec::new();
    for byte in 0..stored.len() {
        let mut bad = stored.clone();
        bad[byte] ^= 0x80;
        let error = open(&ring, &place, &bad).unwrap_err();
        texts.push(format!("{error} {error:?} {:?}", Sealed::from_bytes(&bad)));
    }
    let hidden = [hex::encode(&stored[17..29]), hex::encode(&stored[29..]), "marker".to_owned()];
    for text in texts {
        assert!(hidden.iter().all(|part| !text.contains(part)), "{text}");
    }
}
