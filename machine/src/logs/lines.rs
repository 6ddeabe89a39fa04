//! Cuts bytes into lines of a bounded length and remembers where in the source each one ends.

/// The longest text of one line in bytes; what is longer is cut and ends in `…`.
pub(super) const LONGEST: usize = 16 * 1024;
const CUT: &str = "…";

/// One line, and the offset behind its line break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub text: String,
    pub end: u64,
}

/// Bytes go in, whole lines come out. Holds at most one line of [`LONGEST`] bytes.
#[derive(Debug)]
pub(super) struct Lines {
    held: Vec<u8>,
    cut: bool,
    at: u64,
}

impl Lines {
    /// The next byte is at this offset.
    pub(super) const fn new(at: u64) -> Self {
        Self { held: Vec::new(), cut: false, at }
    }

    /// Takes the bytes that follow and gives each line that they complete.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut give: impl FnMut(Line)) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.hold(&bytes[..end]);
            self.at += end as u64 + 1;
            bytes = &bytes[end + 1..];
            give(self.complete());
        }
        self.hold(bytes);
        self.at += bytes.len() as u64;
    }

    /// The line that nobody ended, when no more will follow.
    pub(super) fn rest(&mut self) -> Option<Line> {
        (self.cut || !self.held.is_empty()).then(|| self.complete())
    }

    fn hold(&mut self, bytes: &[u8]) {
        // One byte more than fits says that the line is longer.
        let room = (LONGEST + 1).saturating_sub(self.held.len());
        self.cut |= bytes.len() > room;
        self.held.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn complete(&mut self) -> Line {
        let held = self.held.strip_suffix(b"\r").unwrap_or(&self.held);
        let text = shorten(String::from_utf8_lossy(held).into_owned(), self.cut);
        self.held.clear();
        self.cut = false;
        Line { text, end: self.at }
    }
}

/// At most [`LONGEST`] bytes of a text, with a mark where it was cut; `more` when it was cut before.
pub(super) fn shorten(mut text: String, more: bool) -> String {
    if text.len() <= LONGEST && !more {
        return text;
    }
    let mut end = text.len().min(LONGEST - CUT.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.push_str(CUT);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(pieces: &[&[u8]]) -> (Vec<Line>, Option<Line>) {
        let mut lines = Lines::new(0);
        let mut given = Vec::new();
        for piece in pieces {
            lines.feed(piece, |line| given.push(line));
        }
        (given, lines.rest())
    }

    #[test]
    fn a_line_in_pieces_is_one_line() {
        let (lines, rest) = cut(&[b"on", b"e\r\ntw", b"o\nthr", b"ee"]);
        assert_eq!(lines, [Line { text: "one".into(), end: 5 }, Line { text: "two".into(), end: 9 }]);
        assert_eq!(rest, Some(Line { text: "three".into(), end: 14 }));
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        let long = vec![b'x'; 40_000];
        let (lines, _) = cut(&[&long, b"\nshort\n"]);
        assert_eq!(lines[0].text.len(), LONGEST);
        assert!(lines[0].text.ends_with("x…"));
        assert_eq!((lines[0].end, lines[1].text.as_str()), (40_001, "short"));
        let (lines, _) = cut(&[&vec![b'x'; LONGEST], b"\n"]);
        assert!(lines[0].text.ends_with('x') && lines[0].text.len() == LONGEST);
        // Each byte that is no text becomes three.
        let (lines, _) = cut(&[&vec![0xff; LONGEST], b"\n"]);
        assert!(lines[0].text.len() <= LONGEST && lines[0].text.ends_with('…'));
    }

    proptest! {
        #[test]
        fn no_split_changes_the_lines(bytes in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..300),
                                      at in 0_usize..300) {
            let at = at.min(bytes.len());
            let (whole, rest) = cut(&[&bytes]);
            prop_assert_eq!(&cut(&[&bytes[..at], &bytes[at..]]), &(whole.clone(), rest.clone()));
            let last = rest.or(whole.last().cloned()).map_or(0, |line| line.end);
            prop_assert_eq!(last, bytes.len() as u64);
        }
    }
}
