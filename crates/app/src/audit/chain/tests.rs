use super::*;
use domain::audit::{Details, stamp};

/// A whole export of four events.
fn export() -> Vec<String> {
    let mut prior = digest(b"berth audit v1 house").to_string();
    let mut lines = Vec::new();
    for seq in 1..=4 {
        let event = Event {
            act: "agent.stop".into(),
            actor: "usr_019aa6b27c1e7d3f9b1a2f6c5d4e3b2a".into(),
            at: stamp(chrono::DateTime::from_timestamp_micros(1_795_283_521_000_000 + seq).unwrap()),
            chain: "house".into(),
            details: Details::from([("name".into(), format!("scout-{seq} é\n"))]),
            prior,
            seq: u64::try_from(seq).unwrap(),
            subject: "agt_1".into(),
            v: VERSION,
            via: String::new(),
        };
        prior = digest(event.canonical().as_bytes()).to_string();
        lines.push(event.line(&prior));
    }
    lines.push(Head { chain: "house".into(), hash: prior, seq: 4 }.line());
    lines
}

fn verify<S: AsRef<str>>(lines: &[S], kept: Option<(u64, &str)>) -> Result<Head, Broken> {
    let mut checker = Checker::new(None);
    if let Some((seq, hash)) = kept {
        checker = checker.through(seq, hash);
    }
    lines.iter().try_for_each(|line| checker.line(line.as_ref()))?;
    checker.end_of_export()
}

#[test]
fn a_whole_chain_passes_also_through_an_earlier_head() {
    let lines = export();
    let head = verify(&lines, None).unwrap();
    assert_eq!(head.seq, 4);
    let hash = |line: &str| line.split("\"hash\":\"").nth(1).unwrap()[..64].to_owned();
    assert!(verify(&lines, Some((2, &hash(&lines[1])))).is_ok());
    assert!(verify(&lines, Some((4, &head.hash))).is_ok());
    assert!(matches!(verify(&lines, Some((2, &head.hash))), Err(Broken::OtherHead { seq: 2, .. })));
}

/// Any byte: each one, every bit of it, in every line.
#[test]
fn every_flipped_bit_is_found() {
    let lines = export();
    let mut tried = 0;
    for (at, line) in lines.iter().enumerate() {
        for place in 0..line.len() {
            for bit in 0..8 {
                let mut bytes = line.clone().into_bytes();
                bytes[place] ^= 1 << bit;
                let Ok(text) = String::from_utf8(bytes) else { continue };
                let mut changed = lines.clone();
                changed[at] = text;
                assert!(verify(&changed, None).is_err(), "line {at}, byte {place}, bit {bit}");
                tried += 1;
            }
        }
    }
    assert!(tried > 5_000, "{tried}");
}

#[test]
fn what_is_dropped_doubled_moved_or_added_is_found() {
    let lines = export();
    for gone in 0..lines.len() {
        let mut fewer = lines.clone();
        fewer.remove(gone);
        assert!(verify(&fewer, None).is_err(), "without line {gone}");
        let mut doubled = lines.clone();
        doubled.insert(gone, lines[gone].clone());
        assert!(verify(&doubled, None).is_err(), "with line {gone} twice");
    }
    for one in 0..lines.len() - 1 {
        let mut moved = lines.clone();
        moved.swap(one, one + 1);
        assert!(verify(&moved, None).is_err(), "line {one} after the next one");
    }
    for more in ["", " ", "{}", "null"] {
        let mut longer = lines.clone();
        longer.push(more.to_owned());
        assert!(verify(&longer, None).is_err(), "{more:?} at the end");
    }
}

/// Whoever cuts the tail and writes a fitting end is found by a head that was kept elsewhere, and only by it.
#[test]
fn a_tail_cut_with_a_new_end_is_found_by_a_kept_head() {
    let lines = export();
    let head = verify(&lines, None).unwrap();
    let hash = lines[2].split("\"hash\":\"").nth(1).unwrap()[..64].to_owned();
    let mut cut = lines[..3].to_vec();
    cut.push(Head { chain: "house".into(), hash, seq: 3 }.line());
    assert!(verify(&cut, None).is_ok(), "nothing in the file tells");
    assert!(matches!(verify(&cut, Some((4, &head.hash))), Err(Broken::OtherHead { head_seq: 4, .. })));
}

#[test]
fn a_chain_is_bound_to_its_owner() {
    let lines = export();
    let stranger = "ten_019aa6b27c1e7d3f9b1a2f6c5d4e3b2a";
    let mut checker = Checker::new(Some(stranger.parse().unwrap()));
    assert!(matches!(checker.line(&lines[0]), Err(Broken::OtherChain { .. })));
    let renamed: Vec<String> =
        lines.iter().map(|line| line.replace("\"chain\":\"house\"", &format!("\"chain\":\"{stranger}\""))).collect();
    assert_eq!(verify(&renamed, None), Err(Broken::Unlinked { seq: 1 }));
}

/// The vector of the document, made by another program.
#[test]
fn the_documents_example_passes() {
    let document = include_str!("../../../../../docs/AUDIT.md");
    let lines: Vec<&str> =
        document.lines().filter(|line| line.starts_with("{\"event\"") || line.starts_with("{\"head\"")).collect();
    assert_eq!(lines.len(), 3, "the example has two events and a head");
    assert_eq!(verify(&lines, None).map(|head| head.seq), Ok(2));
}
