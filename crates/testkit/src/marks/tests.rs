use std::{
    fs,
    io::{self, Read, Write as _},
    path::Path,
};

use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE};
use flate2::{Compression, GzBuilder, write::GzEncoder};

use super::*;
use crate::Seeded;

/// Bytes that hold no mark, the same for the same seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    Seeded::new(seed).fill(&mut bytes);
    bytes
}

fn marks() -> Marks {
    Marks::new(&Seeded::new(7))
}

/// Words in which a mark is compressed, too: what lies among noise is stored as it is.
fn prose(length: usize) -> Vec<u8> {
    b"All is quiet in the harbour tonight, and no light is seen at the quay. "
        .iter()
        .copied()
        .cycle()
        .take(length)
        .collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut into = GzEncoder::new(Vec::new(), Compression::best());
    into.write_all(bytes).unwrap();
    into.finish().unwrap()
}

fn found_in(hunt: &Hunt, bytes: &[u8]) -> Found {
    let mut found = Found::default();
    hunt.bytes(bytes, "here", &mut found);
    found
}

fn has(found: &Found, class: Class, encoding: Encoding, depth: usize) -> bool {
    found.hits.contains_key(&Hit { place: "here".to_owned(), class, encoding, depth })
}

/// A stream that comes in small pieces of every length.
struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.1 = self.1 % 61 + 1;
        let piece = self.1.min(self.0.len()).min(into.len());
        let (now, later) = self.0.split_at(piece);
        into[..piece].copy_from_slice(now);
        self.0 = later;
        Ok(piece)
    }
}

fn lines(text: &str, width: usize) -> Vec<u8> {
    text.as_bytes().chunks(width).flat_map(|line| [line, b"\n"].concat()).collect()
}

/// A secret in every shape, made without the code that looks for it.
fn shapes(secret: &[u8]) -> Vec<(String, Encoding, Vec<u8>)> {
    let mut shapes = vec![("raw".to_owned(), Encoding::Raw, secret.to_vec())];
    for before in 0..3 {
        for (after, name) in [(0, "standard"), (5, "unpadded")] {
            let whole = [noise(before as u64, before), secret.to_vec(), noise(9, after)].concat();
            let text = if after == 0 { STANDARD.encode(&whole) } else { STANDARD_NO_PAD.encode(&whole) };
            shapes.push((format!("base64 {name} at {before}"), Encoding::Base64, text.clone().into_bytes()));
            shapes.push((format!("base64 url at {before}"), Encoding::Base64, URL_SAFE.encode(&whole).into_bytes()));
            let escaped: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
            shapes.push((format!("base64 in a form at {before}"), Encoding::Base64, escaped.into_bytes()));
        }
    }
    let digits = |between: &str| secret.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(between);
    for (between, name) in [("", "dense"), (" ", "spaced"), (":", "with colons"), ("\\x", "escaped")] {
        shapes.push((format!("hex {name}"), Encoding::Hex, digits(between).into_bytes()));
        shapes.push((
            format!("HEX {name}"),
            Encoding::Hex,
            digits(between).to_uppercase().replace("\\X", "\\x").into_bytes(),
        ));
    }
    shapes.push(("numbers of Debug".to_owned(), Encoding::Numbers, format!("{secret:?}").into_bytes()));
    shapes.push(("numbers of JSON".to_owned(), Encoding::Numbers, serde_json::to_vec(secret).unwrap()));
    let percent = format!("%{}", digits("%")).to_uppercase();
    shapes.push(("all in percent".to_owned(), Encoding::Url, percent.to_lowercase().into_bytes()));
    shapes.push(("all IN PERCENT".to_owned(), Encoding::Url, percent.into_bytes()));
    let form: String = url::form_urlencoded::byte_serialize(secret).collect();
    shapes.push(("a form's value".to_owned(), Encoding::Url, form.into_bytes()));
    if let Ok(text) = std::str::from_utf8(secret) {
        let mut address = url::Url::parse("http://harbour.example/").unwrap();
        address.path_segments_mut().unwrap().push(text);
        shapes.push(("a part of a path".to_owned(), Encoding::Url, address.as_str().as_bytes().to_vec()));
        let json = serde_json::to_string(text).unwrap();
        shapes.push(("JSON".to_owned(), Encoding::Json, json.clone().into_bytes()));
        shapes.push(("JSON with \\/".to_owned(), Encoding::Json, json.replace('/', "\\/").into_bytes()));
        shapes.push(("JSON in JSON".to_owned(), Encoding::Json, serde_json::to_vec(&json).unwrap()));
        let numbered: Vec<String> = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        shapes.push(("JSON by number".to_owned(), Encoding::Json, numbered.concat().into_bytes()));
        let ascii: String = json
            .chars()
            .map(|c| if c.is_ascii() { c.to_string() } else { format!("\\u{:04X}", u32::from(c)) })
            .collect();
        shapes.push(("JSON in ASCII".to_owned(), Encoding::Json, ascii.into_bytes()));
        shapes.push(("Debug".to_owned(), Encoding::Json, format!("{text:?}").into_bytes()));
        let page = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        shapes.push(("a page".to_owned(), Encoding::Html, page.replace('\'', "&#x27;").into_bytes()));
        let numbers = |c: char| if "&<>\"'".contains(c) { format!("&#{};", u32::from(c)) } else { c.to_string() };
        shapes.push((
            "a page by number".to_owned(),
            Encoding::Html,
            text.chars().map(numbers).collect::<String>().into_bytes(),
        ));
        shapes.push(("UTF-16".to_owned(), Encoding::Utf16, text.encode_utf16().flat_map(u16::to_le_bytes).collect()));
        shapes.push((
            "UTF-16 BE".to_owned(),
            Encoding::Utf16,
            text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        ));
    }
    shapes
}

#[test]
fn there_are_marks_of_at_least_thirty_classes_and_no_two_alike() {
    let marks = marks();
    let names: std::collections::BTreeSet<&str> = Class::EVERY.iter().map(|class| class.name()).collect();
    let values: std::collections::BTreeSet<&str> = Class::EVERY.iter().map(|class| marks.value(*class)).collect();
    assert_eq!((names.len(), values.len()), (Class::EVERY.len(), Class::EVERY.len()));
    assert!(names.len() >= 30, "{}", names.len());
    assert_eq!(STANDARD.encode(marks.bytes(Class::MasterKey)), marks.value(Class::MasterKey));
    assert!(marks.bytes(Class::AnthropicKey).is_empty());
    assert_eq!(marks.value(Class::PersonalToken).len(), "berth_pat_".len() + 43);
}

/// Every mark, in every shape, at every place of a stream, alone and in gzip: found each time, and nothing else is.
#[test]
fn whatever_is_planted_is_found() {
    let marks = marks();
    let hunt = Hunt::new(&marks);
    let (mut planted, mut missed) = (0, Vec::new());
    for class in Class::EVERY {
        let mut secrets = vec![marks.value(*class).as_bytes()];
        secrets.extend(Some(marks.bytes(*class)).filter(|bytes| !bytes.is_empty()));
        for (shape, encoding, bytes) in secrets.into_iter().flat_map(shapes) {
            let whole = [noise(1, 900), bytes.clone(), noise(2, 900)].concat();
            let told = [prose(900), bytes.clone(), prose(900)].concat();
            let places = [
                ("at the start", 0, [&bytes[..], &noise(3, 700)].concat()),
                ("in the middle", 0, whole.clone()),
                ("at the end", 0, [&noise(4, 700), &bytes[..]].concat()),
                ("in gzip", 1, [noise(5, 300), gzip(&told), noise(6, 300)].concat()),
            ];
            for (place, depth, stream) in places {
                planted += 1;
                let found = found_in(&hunt, &stream);
                // What needs no escape reads the same as it is.
                let is_there = has(&found, *class, encoding, depth) || has(&found, *class, Encoding::Raw, depth);
                let is_alone = found.hits.keys().all(|hit| hit.class == *class && hit.depth == depth);
                if !is_there || !is_alone || !found.skipped.is_empty() {
                    missed.push(format!("{} as {shape} {place}: {:?}", class.name(), found.hits.keys()));
                }
            }
        }
    }
    assert_eq!(missed.len(), 0, "{:#?}", &missed[..missed.len().min(5)]);
    assert!(planted > 5_000, "{planted}");
}

#[test]
fn it_does_not_matter_in_which_pieces_a_stream_comes() {
    let marks = marks();
    let hunt = Hunt::new(&marks);
    for class in [Class::Variable, Class::HostKey, Class::InviteCode] {
        for (shape, encoding, bytes) in shapes(marks.value(class).as_bytes()) {
            let inner = [prose(500), bytes.clone(), prose(500)].concat();
            for (depth, stream) in [(0, inner.clone()), (1, [noise(3, 500), gzip(&inner), noise(4, 500)].concat())] {
                for first in [0, 17, 45] {
                    let mut found = Found::default();
                    hunt.stream(Trickle(&stream, first), "here", &mut found).unwrap();
                    let is_there = has(&found, class, encoding, depth) || has(&found, class, Encoding::Raw, depth);
                    assert!(is_there, "{} as {shape} from {first}", class.name());
                }
            }
        }
    }
}

#[test]
fn nothing_is_found_where_nothing_is() {
    let hunt = Hunt::new(&marks());
    let others = Marks::new(&Seeded::new(8));
    let mut stream = noise(1, 2 << 20);
    for class in Class::EVERY {
        for (_, _, bytes) in shapes(others.value(*class).as_bytes()) {
            stream.extend(bytes);
        }
    }
    // What is no secret of ours: how a token of each kind begins, and the last four characters of a mark.
    let marks = marks();
    for class in Class::EVERY {
        let value: Vec<char> = marks.value(*class).chars().collect();
        stream.extend(value[value.len() - 4..].iter().collect::<String>().bytes());
    }
    stream.extend(gzip(&stream.clone()));
    let found = found_in(&hunt, &stream);
    assert_eq!(found.hits.keys().collect::<Vec<_>>(), Vec::<&Hit>::new());
    assert!(found.members >= 1 && found.bytes > stream.len() as u64 * 3 / 2);
}

#[test]
fn a_part_is_found_wherever_it_was_cut() {
    let marks = marks();
    let hunt = Hunt::new(&marks);
    for class in [Class::AnthropicKey, Class::OpenRouterKey, Class::GatewayToken] {
        let value = marks.value(class).as_bytes();
        let secret = &value[value.len() - 43..];
        for start in 0..=secret.len() - PART {
            let found = found_in(&hunt, &[b"...", &secret[start..start + PART], b"..."].concat());
            assert!(has(&found, class, Encoding::Raw, 0), "{} from {start}", class.name());
        }
    }
    // In lines, as openssl, PEM and mails have it.
    for before in 0..48 {
        let text = STANDARD.encode([noise(1, before), marks.bytes(Class::HostKey).to_vec(), noise(2, 60)].concat());
        for width in [64, 76] {
            let found = found_in(&hunt, &lines(&text, width));
            assert!(has(&found, Class::HostKey, Encoding::Base64, 0), "{before} before, {width} wide");
        }
    }
}

#[test]
fn gzip_is_opened_wherever_and_however_it_begins() {
    let marks = marks();
    let hunt = Hunt::new(&marks);
    let secret = marks.value(Class::CronSecret).as_bytes().to_vec();
    let inner = [prose(3_000), noise(1, 30_000), prose(3_000), secret, prose(3_000), noise(2, 30_000)].concat();
    let plain = gzip(&inner);
    let mut named = GzBuilder::new()
        .filename("a name")
        .comment("a remark")
        .extra(vec![7; 300])
        .write(Vec::new(), Compression::best());
    named.write_all(&inner).unwrap();
    let mut broken = plain.clone();
    let end = broken.len();
    broken[end - 8] ^= 1;
    let stored = {
        let mut into = GzEncoder::new(Vec::new(), Compression::none());
        into.write_all(&inner).unwrap();
        into.finish().unwrap()
    };
    let twice = [gzip(b"another"), plain.clone()].concat();
    let members = [
        ("plain", 1, plain.clone()),
        ("with a name, a remark and more", 1, named.finish().unwrap()),
        ("with a wrong checksum", 1, broken),
        ("cut off after the mark", 1, plain[..end * 3 / 4].to_vec()),
        ("the second of two", 1, twice),
        ("in another", 2, gzip(&[noise(3, 99), plain.clone(), noise(4, 99)].concat())),
        ("stored", 1, stored),
    ];
    for (what, depth, member) in members {
        for before in [0, 1, 4_095] {
            let found = found_in(&hunt, &[noise(5, before), member.clone(), noise(6, 50)].concat());
            assert!(has(&found, Class::CronSecret, Encoding::Raw, depth), "{what}, after {before} bytes");
            assert!(found.skipped.is_empty(), "{what}");
        }
    }
    // What only looks like one stops nobody.
    let decoys = [&b"\x1f\x8b\x08"[..], b"\x1f\x8b\x08\xff", b"\x1f\x8b\x08\x08\0\0\0\0\0\0name without end"];
    for decoy in decoys {
        let found = found_in(&hunt, &[decoy, &plain, marks.value(Class::Link).as_bytes()].concat());
        assert!(has(&found, Class::CronSecret, Encoding::Raw, 1) && has(&found, Class::Link, Encoding::Raw, 0));
    }
    let deep = (0..5).fold(inner, |inside, _| gzip(&inside));
    assert!(!found_in(&hunt, &deep).skipped.is_empty(), "what is not searched is told");
}

#[test]
fn a_folder_is_searched_with_its_names_and_links() {
    let marks = marks();
    let hunt = Hunt::new(&marks);
    let root = std::env::temp_dir().join(format!("berth-marks-{}", std::process::id()));
    let below = root.join("a/b");
    fs::create_dir_all(&below).unwrap();
    fs::write(below.join("log.1.gz"), gzip(marks.value(Class::Question).as_bytes())).unwrap();
    fs::write(below.join(marks.value(Class::Link)), b"nothing").unwrap();
    std::os::unix::fs::symlink(marks.value(Class::InviteCode), below.join("link")).unwrap();
    std::os::unix::fs::symlink(&root, below.join("round")).unwrap();
    let big = [noise(1, (1 << 20) - 9), marks.value(Class::SessionKey).as_bytes().to_vec(), noise(2, 99)].concat();
    fs::write(root.join("disk"), big).unwrap();
    let mut found = Found::default();
    hunt.tree(&root, &mut found);
    hunt.tree(&root.join("gone"), &mut found);
    fs::remove_dir_all(&root).unwrap();
    let at = |name: &str| -> Vec<Class> {
        let hits = found.hits.keys().filter(|hit| hit.place.contains(name));
        let mut classes: Vec<Class> = hits.map(|hit| hit.class).collect();
        classes.dedup();
        classes
    };
    assert_eq!(at("log.1.gz"), [Class::Question]);
    assert_eq!(at("(its name)"), [Class::Link]);
    assert_eq!(at("b/link"), [Class::InviteCode]);
    assert!(at("disk").contains(&Class::SessionKey));
    assert_eq!((found.files, found.skipped.len()), (3, 0), "what is gone is none");
    // What cannot be read is told: nobody may read the start of his own memory.
    hunt.tree(Path::new("/proc/self/mem"), &mut found);
    assert_eq!(found.skipped.len(), 1);
    assert!(found.outside(&Allowed::default()).iter().any(|line| line.starts_with("/proc/self/mem: not searched: ")));
}

#[test]
fn what_berth_drew_itself_is_looked_for_once_it_is_learned() {
    let mut marks = marks();
    marks.learn(Class::MachineToken, 10, b"berth_mch_ZkVxR0tQd3lIaFh1T2pMbE5zQmNUYUVnV2lZbUZyQWI");
    let found = found_in(&Hunt::new(&marks), b"token=berth_mch_ZkVxR0tQd3lIaFh1T2pMbE5zQmNUYUVnV2lZbUZyQWI&");
    assert!(has(&found, Class::MachineToken, Encoding::Raw, 0));
    assert!(found_in(&Hunt::new(&marks), b"berth_mch_ and no more").hits.is_empty());
}

#[test]
fn what_is_allowed_is_one_secret_at_one_place_for_a_reason() {
    let list = "# why\nplace\tclass\tencoding\treason\n\
        machine/run/*\tgateway_token\traw\tthe gateway reads it there while it runs\n\
        answer of POST /tokens\tpersonal_token\t*\tshown once to whom it belongs\n";
    let allowed = Allowed::parse(list).unwrap();
    let hit = |place: &str, class, encoding| Hit { place: place.to_owned(), class, encoding, depth: 0 };
    let fine = [
        hit("machine/run/openclaw/token", Class::GatewayToken, Encoding::Raw),
        hit("answer of POST /tokens", Class::PersonalToken, Encoding::Json),
    ];
    let outside = [
        hit("machine/etc/token", Class::GatewayToken, Encoding::Raw),
        hit("machine/run/openclaw/token", Class::MachineKey, Encoding::Raw),
        hit("machine/run/openclaw/token", Class::GatewayToken, Encoding::Base64),
        hit("answer of POST /tokens/again", Class::PersonalToken, Encoding::Raw),
    ];
    assert!(fine.iter().all(|hit| allowed.has(hit)) && !outside.iter().any(|hit| allowed.has(hit)));
    let found =
        |hits: &[Hit]| Found { hits: hits.iter().map(|hit| (hit.clone(), (0, 1))).collect(), ..Found::default() };
    assert_eq!(allowed.idle(&found(&fine)), Vec::<&str>::new());
    assert_eq!(found(&fine).outside(&allowed), Vec::<String>::new());
    assert_eq!(found(&outside).outside(&allowed).len(), 4);
    assert_eq!(
        allowed.idle(&found(&fine[..1])),
        ["answer of POST /tokens\tpersonal_token\t*\tshown once to whom it belongs"]
    );

    let head = "place\tclass\tencoding\treason\n";
    for (row, why) in [
        ("*\tlink\traw\ta reason that is long enough", "a place has a name"),
        ("log\t*\traw\ta reason that is long enough", "no such class"),
        ("log\tlink\trot13\ta reason that is long enough", "no such encoding"),
        ("log\tlink\traw\tbecause", "a reason is a sentence"),
        ("log\tlink\traw", "a row has four cells"),
    ] {
        assert_eq!(Allowed::parse(&format!("{head}{row}")).err(), Some(BadAllowance { line: 2, why }), "{row}");
    }
    assert!(Allowed::parse("").is_err());
    assert_eq!(Allowed::kept().err(), None);
}
