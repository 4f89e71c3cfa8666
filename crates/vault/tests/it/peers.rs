//! Programs of others read what we seal, and we read what they seal: Python's `cryptography`, the command `openssl`.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use aws_lc_rs::{
    cipher::{AES_256, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey},
    iv::FixedLength,
    pbkdf2,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use uuid::Uuid;
use vault::{Imported, Keyring, MasterKey, NotOpened, Owner, Place, Rounds, Secret};

use crate::dice::Dice;

const ENVELOPES: usize = 1_000;
const PASSPHRASE: &str = "näïve passphrase with spaces";

/// Calls the readers of the two pages for every line, and prints what they opened. A line with a wrapped data key is
/// of a value under that key, which is unwrapped first.
const DRIVER: &str = r"
import sys
for line in sys.stdin:
    key, wrapped, data_key, blob, table, column, row, tenant = line.rstrip('\n').split(' ')
    key, tenant = bytes.fromhex(key), tenant or None
    if wrapped:
        key = unwrap(key, bytes.fromhex(wrapped), data_key, tenant)
        opened = open_value(key, data_key, bytes.fromhex(blob), table, column, row, tenant)
    else:
        opened = open_sealed(key, bytes.fromhex(blob), table, column, row, tenant)
    print(hashlib.sha256(opened).hexdigest())
";

/// Seals and opens the first imported form, as its name says it.
const OTHERS_GCM: &str = r"
import base64, hashlib, os, sys
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
passphrase = sys.stdin.readline().rstrip('\n').encode()
for line in sys.stdin:
    salt, iv = os.urandom(16), os.urandom(12)
    key = hashlib.pbkdf2_hmac('sha256', passphrase, salt, 100000, 32)
    print(base64.b64encode(salt + iv + AESGCM(key).encrypt(iv, bytes.fromhex(line.strip()), None)).decode())
";

/// What a program prints that is fed with this. Secrets come by its input, or by the environment of this one call.
fn run(command: &mut Command, input: &[u8]) -> (bool, Vec<u8>) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut into = child.stdin.take().unwrap();
    let input = input.to_vec();
    // Written beside reading: neither pipe holds everything.
    let writer = std::thread::spawn(move || into.write_all(&input));
    let output = child.wait_with_output().unwrap();
    let written = writer.join().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() || (written.is_ok() && said.is_empty()), "{said}");
    (output.status.success(), output.stdout)
}

/// The lines that a script printed. `None`: it failed.
fn python(script: &str, input: &str) -> Option<Vec<String>> {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/peers/bin/python");
    assert!(std::path::Path::new(program).exists(), "scripts/test integration makes target/peers");
    let (is_well, told) = run(Command::new(program).args(["-c", script]), input.as_bytes());
    is_well.then(|| String::from_utf8(told).unwrap().lines().map(str::to_owned).collect())
}

/// `openssl enc` with PBKDF2-SHA256 and this number of rounds.
fn openssl(arguments: &[&str], rounds: &str, input: &[u8]) -> (bool, Vec<u8>) {
    let mut command = Command::new("openssl");
    command.args(["enc", "-aes-256-cbc", "-pbkdf2", "-md", "sha256", "-iter", rounds, "-pass", "env:PASSPHRASE"]);
    run(command.args(arguments).env("PASSPHRASE", PASSPHRASE), input)
}

/// The one block of Python on a page.
fn reader_of(page: &str) -> String {
    let path = format!("{}/../../docs/decisions/{page}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let blocks: Vec<&str> = text.split("```python\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let [block] = blocks[..] else { panic!("{page} has {} blocks of Python", blocks.len()) };
    block.to_owned()
}

#[test]
#[ignore = "needs Python's cryptography: scripts/test integration installs it first"]
fn pythons_cryptography_reads_a_thousand_envelopes_by_the_page_alone() {
    let dice = Dice::new(5_000);
    let keys: Vec<[u8; 32]> = (0..3).map(|_| dice.bytes(32).try_into().unwrap()).collect();
    let masters: Vec<MasterKey> = keys.iter().map(|key| MasterKey::from_bytes(*key)).collect();
    let (mut lines, mut digests, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..ENVELOPES {
        let (which, place, secret) = (dice.below(keys.len()), dice.place(), dice.secret());
        let tenant = match place.owner {
            Owner::House => String::new(),
            Owner::Tenant(tenant) => tenant.uuid().to_string(),
        };
        // Every second one directly under a master key, the others under a data key of their owner.
        let (wrapped, data_key, sealed) = if number % 2 == 0 {
            (String::new(), String::new(), masters[which].seal(&dice, &place, &secret))
        } else {
            let ring = Keyring::new(vec![MasterKey::from_bytes(keys[which])]);
            let id = Uuid::from_bytes(dice.bytes(16).try_into().unwrap());
            let wrapped = ring.wrap_fresh(masters[which].id(), &dice, place.owner, id).unwrap();
            let sealed = ring.unwrap(place.owner, id, &wrapped).unwrap().seal(&dice, &place, &secret);
            (hex::encode(wrapped.to_bytes()), id.to_string(), sealed)
        };
        let (key, blob) = (hex::encode(keys[which]), hex::encode(sealed.to_bytes()));
        let Place { table, column, row, .. } = place;
        lines.push(format!("{key} {wrapped} {data_key} {blob} {table} {column} {row} {tenant}\n"));
        digests.push(vault::digest(secret.expose()).to_string());
        sizes.push(secret.expose().len());
    }
    let reader = reader_of("0005-envelope.md") + &reader_of("0080-data-keys.md") + DRIVER;
    assert!(python(&reader, &lines.concat()) == Some(digests), "an envelope did not open, or to something else");
    assert!(sizes.contains(&0) && sizes.contains(&65_536), "the edges were not drawn");
    // The reader judges, too: one bit of a value, and one of a wrapped key.
    for (cell, of) in [(3, ENVELOPES - 2), (3, ENVELOPES - 1), (1, ENVELOPES - 1)] {
        let mut cells: Vec<String> = lines[of].split(' ').map(str::to_owned).collect();
        let last = if cells[cell].pop() == Some('0') { '1' } else { '0' };
        cells[cell].push(last);
        assert_eq!(python(&reader, &cells.join(" ")), None, "Python took an altered value");
    }
    println!("{ENVELOPES} envelopes, {} bytes", sizes.iter().sum::<usize>());
}

/// Values of every length around a block, as words.
fn words() -> Vec<String> {
    let lengths = (0..=49).chain([255, 4_096, 20_000]);
    lengths.map(|length| "sk-µ-0123456789".chars().cycle().take(length).collect()).collect()
}

#[test]
#[ignore = "needs openssl: scripts/test integration installs it first"]
fn openssl_writes_what_we_read() {
    for count in ["1000", "10000", "100000"] {
        let rounds = Rounds::new(count.parse().unwrap()).unwrap();
        for words in words() {
            let (is_well, sealed) = openssl(&["-e", "-a"], count, words.as_bytes());
            assert!(is_well);
            let imported = Imported::openssl(std::str::from_utf8(&sealed).unwrap(), rounds).unwrap();
            let opened = imported.open(&Secret::from(PASSPHRASE.to_owned())).unwrap();
            assert!(opened.expose() == words.as_bytes(), "{count} rounds, {} bytes", words.len());
            assert_eq!(imported.open(&Secret::from("another".to_owned())).err(), Some(NotOpened));
        }
    }
    // Without -a it is bytes, which somebody brings as base64; without -iter it is 10,000 rounds.
    let mut command = Command::new("openssl");
    command.args(["enc", "-e", "-aes-256-cbc", "-pbkdf2", "-pass", "env:PASSPHRASE"]).env("PASSPHRASE", PASSPHRASE);
    let (is_well, bytes) = run(&mut command, b"by default");
    assert!(is_well);
    let imported = Imported::openssl(&STANDARD.encode(bytes), Rounds::OPENSSL).unwrap();
    assert_eq!(imported.open(&Secret::from(PASSPHRASE.to_owned())).unwrap().expose(), b"by default");
}

#[test]
#[ignore = "needs openssl: scripts/test integration installs it first"]
fn openssl_reads_what_was_made_as_we_read_it() {
    let dice = Dice::new(6_000);
    for words in words() {
        let salt = dice.bytes(8);
        let mut both = [0; 48];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, 1_000.try_into().unwrap(), &salt, PASSPHRASE.as_bytes(), &mut both);
        let key = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, &both[..32]).unwrap()).unwrap();
        let mut body = words.clone().into_bytes();
        let first: [u8; 16] = both[32..].try_into().unwrap();
        key.less_safe_encrypt(&mut body, EncryptionContext::Iv128(FixedLength::from(first))).unwrap();
        let sealed = [b"Salted__", &salt[..], &body].concat();
        let (is_well, opened) = openssl(&["-d"], "1000", &sealed);
        assert!(is_well && opened == words.as_bytes(), "{} bytes", words.len());
        // Ours agrees with what it was made for.
        let imported = Imported::openssl(&STANDARD.encode(sealed), Rounds::new(1_000).unwrap()).unwrap();
        assert!(imported.open(&Secret::from(PASSPHRASE.to_owned())).unwrap().expose() == words.as_bytes());
    }
}

#[test]
#[ignore = "needs Python's cryptography: scripts/test integration installs it first"]
fn pythons_cryptography_writes_the_other_form_that_we_read() {
    let all = words();
    let lines: Vec<String> = all.iter().map(hex::encode).collect();
    let sealed = python(OTHERS_GCM, &format!("{PASSPHRASE}\n{}\n", lines.join("\n"))).unwrap();
    assert_eq!(sealed.len(), all.len());
    for (text, words) in sealed.iter().zip(&all) {
        let opened = Imported::gcm(text).unwrap().open(&Secret::from(PASSPHRASE.to_owned())).unwrap();
        assert!(opened.expose() == words.as_bytes(), "{} bytes", words.len());
    }
}
