use super::*;

const PASSPHRASE: &str = "correct horse battery staple";
const WORDS: &str = "sk-imported-µ";
/// Made with Python's `hashlib` and `cryptography`, not with this code.
const GCM: &str = "AAECAwQFBgcICQoLDA0OD2RlZmdoaWprbG1ub5nWvOHZn6S9jc2pt10mixCwcp/kES/SPGPUNx6ejg==";
/// Made with the program `openssl`, without `-iter` and with `-iter 100000`.
const OPENSSL: [(&str, u32); 2] = [
    ("U2FsdGVkX1+rA4FwP0DFF9cz/rDOplyNb7K36c0B/mU=", 10_000),
    ("U2FsdGVkX197lyQEUNxSMaw0RSDUJVMAp2sG9eSWDeo=", 100_000),
];

fn secret(text: &str) -> Secret {
    Secret::from(text.to_owned())
}

fn opened(imported: &Imported, passphrase: &str) -> Option<String> {
    let opened = imported.open(&secret(passphrase)).ok()?;
    opened.expose_text().map(str::to_owned)
}

fn rounds(count: u32) -> Rounds {
    Rounds::new(count).unwrap()
}

fn bytes(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

#[test]
fn what_others_sealed_opens() {
    assert_eq!(opened(&Imported::gcm(GCM).unwrap(), PASSPHRASE).as_deref(), Some(WORDS));
    for (text, count) in OPENSSL {
        let imported = Imported::openssl(text, rounds(count)).unwrap();
        assert_eq!(opened(&imported, PASSPHRASE).as_deref(), Some(WORDS), "{count} rounds");
    }
    let lines = format!(" {}\r\n{}\n", &GCM[..40], &GCM[40..]);
    assert_eq!(opened(&Imported::gcm(&lines).unwrap(), PASSPHRASE).as_deref(), Some(WORDS), "in lines");
    assert_eq!(Rounds::OPENSSL, rounds(10_000));
}

#[test]
fn a_wrong_passphrase_and_a_wrong_number_of_rounds_are_told_alike() {
    for wrong in ["", "correct horse battery stapl", "Correct horse battery staple", &"x".repeat(1025)] {
        assert_eq!(Imported::gcm(GCM).unwrap().open(&secret(wrong)).err(), Some(NotOpened), "{wrong}");
        let imported = Imported::openssl(OPENSSL[0].0, Rounds::OPENSSL).unwrap();
        assert_eq!(imported.open(&secret(wrong)).err(), Some(NotOpened), "{wrong}");
    }
    let imported = Imported::openssl(OPENSSL[0].0, rounds(10_001)).unwrap();
    assert_eq!(imported.open(&secret(PASSPHRASE)).err(), Some(NotOpened));
}

/// AES-GCM: a bit of salt, nonce, ciphertext or tag.
#[test]
fn an_altered_value_with_a_tag_never_opens() {
    let good = bytes(GCM);
    for byte in 0..good.len() {
        let mut bad = good.clone();
        bad[byte] ^= 1 << (byte % 8);
        let imported = Imported::gcm(&STANDARD.encode(bad)).unwrap();
        assert_eq!(imported.open(&secret(PASSPHRASE)).err(), Some(NotOpened), "byte {byte}");
    }
    for (what, cut) in [("its end", &good[..good.len() - 1]), ("its start", &good[1..])] {
        let imported = Imported::gcm(&STANDARD.encode(cut)).unwrap();
        assert_eq!(imported.open(&secret(PASSPHRASE)).err(), Some(NotOpened), "without {what}");
    }
}

/// AES-CBC has no tag: one wrong passphrase in 256 leaves a padding that looks right. What comes out is no text.
#[test]
fn what_has_no_tag_and_opens_by_chance_is_refused() {
    let sealed = bytes(OPENSSL[0].0);
    let (salt, body) = (&sealed[8..16], &sealed[16..]);
    let least = NonZeroU32::new(Rounds::LEAST).unwrap();
    let imported = Imported::openssl(OPENSSL[0].0, rounds(Rounds::LEAST)).unwrap();
    let mut by_chance = 0;
    for guess in 0..2_000 {
        let guess = format!("guess {guess}");
        let mut both = [0; KEY + BLOCK];
        derive(guess.as_bytes(), salt, least, &mut both);
        by_chance += usize::from(open_cbc(&both[..KEY], both[KEY..].try_into().unwrap(), body).is_some());
        assert_eq!(imported.open(&secret(&guess)).err(), Some(NotOpened), "{guess}");
    }
    assert!((1..30).contains(&by_chance), "about eight are expected, not {by_chance}");
}

/// What the module says of AES-CBC, so that nobody relies on more: blocks can be put beside each other anew.
#[test]
fn without_a_tag_a_changed_value_has_a_good_padding() {
    let (key, first) = ([7; KEY], [9; BLOCK]);
    let sealed = sealed_cbc(&key, first, &[b'a'; 2 * BLOCK]);
    let spliced = [&sealed[..BLOCK], &sealed].concat();
    let opened = open_cbc(&key, first, &spliced).expect("the padding is right");
    assert!(opened.expose().starts_with(&[b'a'; BLOCK]) && opened.expose().ends_with(&[b'a'; BLOCK]));
    assert_eq!(opened.expose().len(), 3 * BLOCK, "a block of noise lies between");
    assert!(!is_words(&opened), "and is what gives the change away");
}

#[test]
fn what_is_no_sealed_value_is_refused_without_being_repeated() {
    let salted = |body: &[u8]| STANDARD.encode([OPENSSL_MAGIC, &[1; OPENSSL_SALT], body].concat());
    let at_openssl = [
        ("", BadImport::Form),
        ("hunter2!", BadImport::NotBase64),
        (GCM, BadImport::Form),
        (&salted(&[]), BadImport::Form),
        (&salted(&[0; 15]), BadImport::Form),
        (&salted(&[0; 17]), BadImport::Form),
        (&"A".repeat(Imported::TEXT_MAX + 1), BadImport::Long),
    ];
    for (text, error) in at_openssl {
        assert_eq!(Imported::openssl(text, Rounds::OPENSSL).err(), Some(error), "{text:.60}");
        assert!(text.is_empty() || !error.to_string().contains(text));
    }
    let at_gcm = [
        ("", BadImport::Form),
        ("sk-ant-api03-of-somebody", BadImport::NotBase64),
        (&STANDARD.encode([1; 43]), BadImport::Form),
        (&"A".repeat(Imported::TEXT_MAX + 4), BadImport::Long),
    ];
    for (text, error) in at_gcm {
        assert_eq!(Imported::gcm(text).err(), Some(error), "{text:.60}");
    }
    assert!(Imported::gcm(&STANDARD.encode([1; 44])).is_ok(), "nothing, sealed");
    assert_eq!(format!("{:?}", Imported::gcm(GCM).unwrap()), "Imported(gcm, 30 bytes)");
}

#[test]
fn rounds_are_bounded() {
    for (count, is_taken) in [(0, false), (999, false), (1_000, true), (1_000_000, true), (1_000_001, false)] {
        assert_eq!(Rounds::new(count).is_ok(), is_taken, "{count}");
    }
}

#[test]
fn only_text_is_brought_along() {
    for (bytes, is_text) in
        [(&b"a key\nof two lines\t"[..], true), (b"", true), (b"\0", false), (b"\x1b[31m", false), (b"\xff", false)]
    {
        assert_eq!(is_words(&Secret::new(bytes.to_vec())), is_text, "{bytes:?}");
    }
}

fn sealed_cbc(key: &[u8], first: [u8; BLOCK], plain: &[u8]) -> Vec<u8> {
    use aws_lc_rs::cipher::{EncryptionContext, PaddedBlockEncryptingKey};
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, key).unwrap()).unwrap();
    let mut body = plain.to_vec();
    key.less_safe_encrypt(&mut body, EncryptionContext::Iv128(FixedLength::from(first))).unwrap();
    body
}
