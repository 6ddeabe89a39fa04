//! The last bytes a terminal printed, each under its offset since the beginning.

use std::collections::VecDeque;

/// How far the beginning of what is left moves on to a whole line: what was cut in the middle of a control sequence
/// would be shown as noise.
const LINE_SEARCH: usize = 4096;

#[derive(Debug)]
pub(super) struct Scrollback {
    bytes: VecDeque<u8>,
    start: u64,
    limit: usize,
}

impl Scrollback {
    /// Keeps `limit` bytes. Space is taken as it is needed.
    pub(super) fn new(limit: usize) -> Self {
        Self { bytes: VecDeque::new(), start: 0, limit }
    }

    /// The offset of the first byte that is kept.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// The offset of the next byte that will be printed.
    pub(super) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    pub(super) fn push(&mut self, data: &[u8]) {
        let kept = &data[data.len().saturating_sub(self.limit)..];
        let over = (self.bytes.len() + kept.len()).saturating_sub(self.limit);
        self.bytes.drain(..over);
        self.start += (over + data.len() - kept.len()) as u64;
        let needed = self.bytes.len() + kept.len();
        if needed > self.bytes.capacity() {
            let capacity = needed.max(2 * self.bytes.capacity()).min(self.limit);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend(kept);
    }

    /// At most `most` bytes from `from` on, which is at or behind the start.
    pub(super) fn copy(&self, from: u64, most: usize) -> Vec<u8> {
        let skip =
            usize::try_from(from.saturating_sub(self.start)).unwrap_or(usize::MAX).min(self.bytes.len());
        let count = most.min(self.bytes.len() - skip);
        let (front, back) = self.bytes.as_slices();
        let mut data = Vec::with_capacity(count);
        if skip < front.len() {
            data.extend_from_slice(&front[skip..front.len().min(skip + count)]);
        }
        let skip = skip.saturating_sub(front.len());
        let left = count - data.len();
        data.extend_from_slice(&back[skip.min(back.len())..(skip + left).min(back.len())]);
        data
    }

    /// Where somebody goes on whose next byte is gone: at the first whole line, if one begins soon.
    pub(super) fn resume(&self) -> u64 {
        let line = self.bytes.iter().take(LINE_SEARCH).position(|byte| *byte == b'\n');
        self.start + line.map_or(0, |line| line as u64 + 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_kept_byte_is_found_at_its_offset(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
            limit in 1_usize..64,
            most in 1_usize..64,
        ) {
            let mut scrollback = Scrollback::new(limit);
            let mut all = Vec::new();
            for piece in &pieces {
                scrollback.push(piece);
                all.extend_from_slice(piece);
                prop_assert_eq!(scrollback.end(), all.len() as u64);
                prop_assert_eq!(scrollback.end() - scrollback.start(), limit.min(all.len()) as u64);
                prop_assert!(scrollback.bytes.capacity() <= limit);
                for from in scrollback.start()..=scrollback.end() {
                    let at = usize::try_from(from).unwrap();
                    let expected = &all[at..all.len().min(at + most)];
                    prop_assert_eq!(scrollback.copy(from, most), expected);
                }
            }
        }
    }

    #[test]
    fn a_latecomer_begins_with_a_line() {
        let mut scrollback = Scrollback::new(8);
        scrollback.push(b"\x1b[31mred\nab");
        assert_eq!(scrollback.copy(scrollback.resume(), 9), b"ab");
        scrollback.push(b"0123456789");
        assert_eq!(scrollback.resume(), scrollback.start());
    }
}
