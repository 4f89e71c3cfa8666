//! A tar archive (POSIX.1-1988 "ustar") as a stream: each entry is small and whole, so its size is known.

/// One entry: its header, its bytes, and what fills the last block.
#[must_use]
pub(super) fn entry(name: &str, bytes: &[u8], unix_seconds: i64) -> Vec<u8> {
    let mut all = Vec::with_capacity(512 + bytes.len() + 511);
    all.extend_from_slice(&header(name, bytes.len(), unix_seconds));
    all.extend_from_slice(bytes);
    all.resize(all.len().next_multiple_of(512), 0);
    all
}

/// What ends an archive.
#[must_use]
pub(super) fn end() -> Vec<u8> {
    vec![0; 1024]
}

/// Names are ours: ASCII, at most 99 characters.
fn header(name: &str, size: usize, unix_seconds: i64) -> [u8; 512] {
    let mut block = [0_u8; 512];
    let mut put = |at: usize, text: &str| {
        for (to, from) in block.iter_mut().skip(at).zip(text.bytes()) {
            *to = from;
        }
    };
    put(0, name.get(..99).unwrap_or(name));
    put(100, "0000600\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{size:011o}\0"));
    put(136, &format!("{:011o}\0", unix_seconds.max(0)));
    put(148, "        "); // the checksum counts as spaces
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    for (to, from) in block.iter_mut().skip(148).zip(format!("{sum:06o}\0 ").bytes()) {
        *to = from;
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields as POSIX.1-1988 places them.
    #[test]
    fn a_header_has_its_fields_and_its_sum() {
        let made = entry("data/agents/1.jsonl", b"hello\n", 1_800_000_000);
        assert_eq!(made.len(), 1024);
        assert_eq!(&made[..19], b"data/agents/1.jsonl");
        assert_eq!(&made[124..136], b"00000000006\0");
        assert_eq!(&made[136..148], b"15322351000\0");
        assert_eq!(&made[257..265], b"ustar\x0000");
        assert_eq!(&made[512..518], b"hello\n");
        let sum: u32 = made[..512]
            .iter()
            .enumerate()
            .map(|(at, b)| if (148..156).contains(&at) { 32 } else { u32::from(*b) })
            .sum();
        assert_eq!(&made[148..156], format!("{sum:06o}\0 ").as_bytes());
        assert_eq!(entry("a", &[1; 512], 0).len(), 1024);
        assert_eq!(entry("a", &[], 0).len(), 512);
    }
}
