//! A line that was found, as a reader sees it: cut to a length that can be shown, the matches marked.

/// Characters of a line.
const MAX_TEXT: usize = 500;
/// Characters before the first match when the line is cut there.
const BEFORE: usize = 100;
/// Matches of one line that are marked.
pub(super) const MAX_RANGES: usize = 100;

/// The line's text and where the matches are in it, in UTF-16 code units. `matches` are bytes of the line, in order.
pub(super) fn shown(line: &[u8], matches: &[(usize, usize)]) -> (String, Vec<(u32, u32)>) {
    let first = matches.first().map_or(0, |(start, _)| *start);
    let start = if first > MAX_TEXT - BEFORE { boundary(line, first - BEFORE) } else { 0 };
    let mut text = Text::default();
    let mut ranges = Vec::new();
    let mut at = start;
    for &(from, to) in matches {
        text.push(&line[at..from]);
        let begin = text.units;
        text.push(&line[from..to]);
        at = to;
        if text.units > begin {
            ranges.push((begin, text.units));
        }
    }
    text.push(&line[at..]);
    (text.text, ranges)
}

/// Where a letter begins, here or soon after.
fn boundary(line: &[u8], at: usize) -> usize {
    (at..line.len()).take(4).find(|&at| line[at] & 0xc0 != 0x80).unwrap_or(at)
}

#[derive(Default)]
struct Text {
    text: String,
    letters: usize,
    units: u32,
}

impl Text {
    fn push(&mut self, bytes: &[u8]) {
        // No letter has more than four bytes, so the rest of a very long line need not be looked at.
        let bytes = &bytes[..bytes.len().min(4 * (MAX_TEXT - self.letters))];
        for letter in String::from_utf8_lossy(bytes).chars().take(MAX_TEXT - self.letters) {
            self.text.push(letter);
            self.letters += 1;
            self.units += u32::try_from(letter.len_utf16()).unwrap_or(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn matches_are_counted_as_browsers_count() {
        let line = "a 🦀 crab, ü crab".as_bytes();
        let at = |from: usize| line[from..].windows(4).position(|four| four == b"crab").unwrap() + from;
        let (first, second) = (at(0), at(at(0) + 1));
        let (text, ranges) = shown(line, &[(first, first + 4), (second, second + 4)]);
        assert_eq!(text, "a 🦀 crab, ü crab");
        let units: Vec<u16> = text.encode_utf16().collect();
        for (start, end) in ranges {
            assert_eq!(String::from_utf16(&units[start as usize..end as usize]).unwrap(), "crab");
        }
    }

    #[test]
    fn a_long_line_is_cut_around_its_first_match() {
        let line = format!("{}needle{}", "ü".repeat(5_000), "x".repeat(5_000));
        let (text, ranges) = shown(line.as_bytes(), &[(10_000, 10_006)]);
        assert_eq!(text.chars().count(), MAX_TEXT);
        assert_eq!(ranges, [(50, 56)]);
        assert_eq!(&text[100..106], "needle");
    }

    proptest! {
        #[test]
        fn ranges_lie_within_the_text(line in prop::collection::vec(any::<u8>(), 0..2_000), cuts: [prop::sample::Index; 4]) {
            let mut cuts = cuts.map(|cut| cut.index(line.len() + 1));
            cuts.sort_unstable();
            let (text, ranges) = shown(&line, &[(cuts[0], cuts[1]), (cuts[2], cuts[3])]);
            prop_assert!(text.chars().count() <= MAX_TEXT);
            let units = text.encode_utf16().count();
            for (start, end) in ranges {
                prop_assert!(start < end && end as usize <= units);
            }
        }
    }
}
