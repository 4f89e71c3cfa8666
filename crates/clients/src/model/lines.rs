//! Cuts a stream of server-sent events into its lines, however its pieces come, and keeps no more than one of them.

/// A longer line holds no counts: they stand in short events.
const LINE_MAX: usize = 64 * 1024;

/// The line that is not ended yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    is_skipping: bool,
}

impl Lines {
    /// Takes the next piece, and tells of each line of data that ends in it what stands after `data:`.
    pub(super) fn hear(&mut self, piece: &[u8], mut tell: impl FnMut(&[u8])) {
        let mut parts = piece.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            if self.line.len() + part.len() > LINE_MAX {
                self.is_skipping = true;
                self.line = Vec::new();
            }
            if !self.is_skipping {
                self.line.extend_from_slice(part);
            }
            if parts.peek().is_some() {
                let is_whole = !std::mem::take(&mut self.is_skipping);
                if let Some(data) = self.line.strip_prefix(b"data:").filter(|_| is_whole) {
                    tell(data.trim_ascii());
                }
                self.line.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pieces: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut all) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.hear(piece, |data| all.push(String::from_utf8_lossy(data).into_owned()));
            assert!(lines.line.len() <= LINE_MAX);
        }
        all
    }

    #[test]
    fn lines_of_data_are_told_when_they_end() {
        assert_eq!(
            told(&[b"event: a\nda", b"ta: {\"x\":", b"1}\r\n\ndata:[DONE]\ndata: half"]),
            ["{\"x\":1}", "[DONE]"]
        );
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        let long = [b'x'; 10_000];
        let mut pieces = vec![&b"data: "[..]];
        pieces.extend(std::iter::repeat_n(&long[..], 100));
        pieces.push(b"\ndata: next\n");
        assert_eq!(told(&pieces), ["next"]);
    }
}
