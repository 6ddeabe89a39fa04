//! Server-sent events as bytes: where one ends and what its data is. Events are passed on as they came, so nothing is
//! taken apart that need not be.

use std::borrow::Cow;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr_iter;

/// The most one event may have, bytes: a stream with more is not one of a model.
pub const MOST: usize = 8 * 1024 * 1024;

/// Cuts a stream into events, whatever pieces it comes in.
#[derive(Debug, Default)]
pub struct Splitter {
    /// What has no end yet, and what was not looked at.
    kept: Bytes,
    /// How much of it is known to have no end.
    seen: usize,
}

impl Splitter {
    /// Takes the next piece. A piece that follows a whole event is not copied.
    pub fn push(&mut self, piece: Bytes) {
        if !self.kept.has_remaining() {
            self.kept = piece;
            self.seen = 0;
            return;
        }
        let mut joined = BytesMut::with_capacity(self.kept.len() + piece.len());
        joined.extend_from_slice(&self.kept);
        joined.extend_from_slice(&piece);
        self.kept = joined.freeze();
    }

    /// All that has not been given out, to pass events that lie side by side on as one piece.
    pub fn kept(&self) -> Bytes {
        self.kept.clone()
    }

    /// The next whole event, its blank line included.
    pub fn next(&mut self) -> Option<Bytes> {
        // An end may straddle what was seen: look at the last three bytes again.
        let from = self.seen.saturating_sub(3);
        match end_of_event(&self.kept, from) {
            Some(end) => {
                self.seen = 0;
                Some(self.kept.split_to(end))
            }
            None => {
                self.seen = self.kept.len();
                None
            }
        }
    }

    /// What was left over when the stream ended.
    pub fn rest(&mut self) -> Bytes {
        self.seen = 0;
        std::mem::take(&mut self.kept)
    }

    /// More than any event has.
    pub fn is_too_long(&self) -> bool {
        self.kept.len() > MOST
    }
}

fn end_of_event(bytes: &[u8], from: usize) -> Option<usize> {
    memchr_iter(b'\n', &bytes[from..]).map(|at| at + from).find_map(|at| match bytes.get(at + 1) {
        Some(b'\n') => Some(at + 2),
        Some(b'\r') if bytes.get(at + 2) == Some(&b'\n') => Some(at + 3),
        _ => None,
    })
}

/// The event's data; `None` for comments and for events without any.
pub fn data(event: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut found: Option<Cow<'_, [u8]>> = None;
    for line in event.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(value) = line.strip_prefix(b"data:") else { continue };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &mut found {
            None => found = Some(Cow::Borrowed(value)),
            Some(before) => {
                let before = before.to_mut();
                before.push(b'\n');
                before.extend_from_slice(value);
            }
        }
    }
    found
}

/// An event with a name, as Anthropic sends them.
pub fn named(name: &str, data: &serde_json::Value) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}

/// An event without a name, as OpenAI sends them.
pub fn plain(data: &serde_json::Value) -> Bytes {
    format!("data: {data}\n\n").into()
}

/// OpenAI's last event.
pub const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(pieces: &[&[u8]]) -> (Vec<Bytes>, Bytes) {
        let mut splitter = Splitter::default();
        let mut events = Vec::new();
        for piece in pieces {
            splitter.push(Bytes::copy_from_slice(piece));
            while let Some(event) = splitter.next() {
                events.push(event);
            }
        }
        (events, splitter.rest())
    }

    #[test]
    fn data_of_several_lines_is_joined_and_comments_have_none() {
        assert_eq!(data(b"event: x\ndata: a\r\ndata:b\n\n").unwrap(), &b"a\nb"[..]);
        assert!(data(b": keep-alive\n\n").is_none());
    }

    #[test]
    fn lines_may_end_as_on_windows() {
        let (events, rest) = split(&[b"data: a\r\n\r\nda", b"ta: b\r\n", b"\r\ndata"]);
        assert_eq!(events, [&b"data: a\r\n\r\n"[..], b"data: b\r\n\r\n"]);
        assert_eq!(rest, "data");
    }

    proptest! {
        /// Wherever the network cuts, the same events come out, and no byte is lost or made.
        #[test]
        fn cuts_change_nothing(
            text in "(data: [a-z\u{e9}]{0,9}\n{1,2}|: c\n\n|\r\n){0,12}",
            cuts in proptest::collection::vec(0usize..200, 0..8),
        ) {
            let bytes = text.as_bytes();
            let whole = split(&[bytes]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let cut = split(&pieces);
            prop_assert_eq!(&cut, &whole);
            let joined: Vec<u8> =
                whole.0.iter().flat_map(|event| event.iter().copied()).chain(whole.1.iter().copied()).collect();
            prop_assert_eq!(joined, bytes);
        }
    }
}
