//! The end of a task's output, read off the stream that shows it, to be kept for when nobody answers.

use base64::{Engine, prelude::BASE64_STANDARD};
use foreman_protocol::{OutputChunk, OutputGap};

/// So much of an output is kept. Bytes.
const KEPT: usize = 256 * 1024;
/// No message of the stream is longer. Bytes.
const MESSAGE: usize = 1024 * 1024;

/// See the module. Feed it what the stream brings, however it is cut.
#[derive(Debug, Default)]
pub struct OutputTail {
    /// Of a message that is not whole yet.
    unread: Vec<u8>,
    /// Of the first byte kept.
    start: u64,
    bytes: Vec<u8>,
}

impl OutputTail {
    /// Takes in a piece; whether there is more output than before.
    pub fn push(&mut self, piece: &[u8]) -> bool {
        self.unread.extend_from_slice(piece);
        let mut grew = false;
        while let Some(end) = self.unread.windows(2).position(|two| two == b"\n\n") {
            let message: Vec<u8> = self.unread.drain(..end + 2).collect();
            grew |= self.take(&String::from_utf8_lossy(&message)).is_some();
        }
        if self.unread.len() > MESSAGE {
            self.unread.clear();
        }
        grew
    }

    /// What is kept, and where in the output it begins.
    #[must_use]
    pub fn kept(&self) -> (u64, &[u8]) {
        (self.start, &self.bytes)
    }

    fn take(&mut self, message: &str) -> Option<()> {
        let field = |name: &str| message.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let data = field("data:")?;
        match field("event:")? {
            "output" => {
                let chunk: OutputChunk = serde_json::from_str(data).ok()?;
                self.append(chunk.offset, &BASE64_STANDARD.decode(&chunk.data).ok()?);
            }
            "gap" => {
                let gap: OutputGap = serde_json::from_str(data).ok()?;
                (self.start, self.bytes) = (gap.to, Vec::new());
            }
            _ => return None,
        }
        Some(())
    }

    fn append(&mut self, offset: u64, data: &[u8]) {
        let end = self.start + self.bytes.len() as u64;
        if self.bytes.is_empty() || offset > end {
            (self.start, self.bytes) = (offset, data.to_vec());
        } else {
            let known = usize::try_from(end - offset).unwrap_or(usize::MAX).min(data.len());
            self.bytes.extend_from_slice(&data[known..]);
        }
        let surplus = self.bytes.len().saturating_sub(KEPT);
        self.bytes.drain(..surplus);
        self.start += surplus as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(offset: u64, data: &[u8]) -> String {
        let chunk = OutputChunk { offset, data: BASE64_STANDARD.encode(data) };
        format!("id: 1\nevent: output\ndata: {}\n\n", serde_json::to_string(&chunk).unwrap())
    }

    #[test]
    fn the_end_is_kept_however_the_stream_is_cut() {
        let stream = [
            "event: ping\ndata: {}\n\n".to_owned(),
            output(0, b"one\n"),
            output(2, b"e\ntwo\n"),
            "event: gap\ndata: {\"from\":8,\"to\":100}\n\n".to_owned(),
            output(100, b"three\n"),
        ];
        for size in [1, 7, 4096] {
            let mut tail = OutputTail::default();
            for piece in stream[..3].concat().as_bytes().chunks(size) {
                tail.push(piece);
            }
            assert_eq!(tail.kept(), (0, &b"one\ntwo\n"[..]));
            for piece in stream[3..].concat().as_bytes().chunks(size) {
                tail.push(piece);
            }
            assert_eq!(tail.kept(), (100, &b"three\n"[..]));
        }
    }

    #[test]
    fn no_more_is_kept_than_the_bound() {
        let mut tail = OutputTail::default();
        for number in 0..40_u64 {
            assert!(tail.push(output(number * 10_000, &[b'x'; 10_000]).as_bytes()));
        }
        let (start, bytes) = tail.kept();
        assert_eq!((start + bytes.len() as u64, bytes.len()), (400_000, KEPT));
        assert!(!tail.push(&vec![b'y'; MESSAGE * 2]));
    }
}
