//! Where the last wanted lines of something begin, found from its end without reading the whole.

use std::{collections::VecDeque, io, ops::Range};

use super::{filter::Filter, lines::Lines};

/// The window that is looked at first, and the largest.
const FIRST: u64 = 64 << 10;
const LARGEST: u64 = 64 << 20;
const PIECE: usize = 64 << 10;

/// The offset at which the last `wanted` lines that pass the filter begin. Looks at 64 MiB at the most; what is
/// wanted and lies before is not found.
///
/// # Errors
/// Those of `read_at`, which gives at most so many bytes at an offset and none at the end.
pub(super) fn start(
    range: Range<u64>,
    wanted: usize,
    filter: &Filter,
    mut read_at: impl FnMut(u64, usize) -> io::Result<Vec<u8>>,
) -> io::Result<u64> {
    if wanted == 0 {
        return Ok(range.end);
    }
    let mut window = FIRST;
    loop {
        let begin = range.end.saturating_sub(window).max(range.start);
        let whole = begin == range.start;
        let found = last_lines(begin..range.end, whole, wanted, filter.clone(), &mut read_at)?;
        if found.len() == wanted || whole || window >= LARGEST {
            return Ok(found.front().copied().unwrap_or(if whole { begin } else { range.end }));
        }
        window *= 4;
    }
}

/// The beginnings of the last wanted lines in a window. A window in the middle begins within a line that is left out.
fn last_lines(
    window: Range<u64>,
    whole: bool,
    wanted: usize,
    mut filter: Filter,
    read_at: &mut impl FnMut(u64, usize) -> io::Result<Vec<u8>>,
) -> io::Result<VecDeque<u64>> {
    let mut found = VecDeque::new();
    let mut lines = Lines::new(window.start);
    let mut at = window.start;
    let mut begin = window.start;
    let mut first = !whole;
    while at < window.end {
        let most = PIECE.min(usize::try_from(window.end - at).unwrap_or(PIECE));
        let bytes = read_at(at, most)?;
        if bytes.is_empty() {
            break;
        }
        at += bytes.len() as u64;
        let mut count = |line: super::lines::Line| {
            let left_out = std::mem::take(&mut first);
            if !left_out && (filter.is_open() || filter.judge(&line.text, None).0) {
                if found.len() == wanted {
                    found.pop_front();
                }
                found.push_back(begin);
            }
            begin = line.end;
        };
        lines.feed(&bytes, &mut count);
        if at >= window.end
            && let Some(line) = lines.rest()
        {
            count(line);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &[u8], wanted: usize, grep: Option<&str>) -> (String, usize) {
        let filter = Filter::new(grep, None).unwrap();
        let mut read = 0;
        let at = start(0..text.len() as u64, wanted, &filter, |at, most| {
            let at = usize::try_from(at).unwrap();
            let bytes = text[at..text.len().min(at + most)].to_vec();
            read += bytes.len();
            Ok(bytes)
        });
        (String::from_utf8_lossy(&text[usize::try_from(at.unwrap()).unwrap()..]).into_owned(), read)
    }

    #[test]
    fn the_last_lines_are_found() {
        assert_eq!(of(b"a\nb\nc\n", 2, None).0, "b\nc\n");
        assert_eq!(of(b"a\nb\nc", 2, None).0, "b\nc");
        assert_eq!(of(b"a\nb\n", 5, None).0, "a\nb\n");
        assert_eq!(of(b"a\nb\n", 0, None).0, "");
        assert_eq!(of(b"", 3, None).0, "");
        assert_eq!(of(b"xa\nb\nxc\nd\n", 2, Some("x")).0, "xa\nb\nxc\nd\n");
    }

    #[test]
    fn a_gigabyte_is_not_read_for_two_hundred_lines() {
        const GIGABYTE: u64 = 1_073_741_800;
        let line = [b"0123456789abcdef".repeat(6), b"abc\n".to_vec()].concat();
        let filter = Filter::default();
        let mut read = 0;
        let at = start(0..GIGABYTE, 200, &filter, |at, most| {
            let most = most.min(usize::try_from(GIGABYTE - at).unwrap());
            read += most;
            let shift = usize::try_from(at % line.len() as u64).unwrap();
            Ok(line.iter().cycle().skip(shift).take(most).copied().collect())
        });
        assert_eq!((GIGABYTE - at.unwrap()) / 100, 200);
        assert!(read <= 64 << 10, "{read}");
    }

    #[test]
    fn one_line_without_end_is_given_up_in_time() {
        let mut read = 0;
        let at = start(0..1 << 30, 10, &Filter::default(), |at, most| {
            let most = most.min(usize::try_from((1_u64 << 30) - at).unwrap());
            read += most;
            Ok(vec![b'x'; most])
        });
        assert_eq!(at.unwrap(), 1 << 30);
        assert!(read < 100 << 20, "{read}");
    }

    proptest! {
        #[test]
        fn it_is_what_tail_gives(lengths in prop::collection::vec(0_usize..3000, 0..80), wanted in 1_usize..50) {
            let lines: Vec<String> = lengths.iter().map(|length| "x".repeat(*length)).collect();
            let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
            let last: String = lines.iter().rev().take(wanted).rev().map(|line| format!("{line}\n")).collect();
            prop_assert_eq!(of(text.as_bytes(), wanted, None).0, last);
        }
    }
}
