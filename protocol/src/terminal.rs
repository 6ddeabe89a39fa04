//! Terminals on a device: what they are, and the frames of an attached viewer.
//!
//! A viewer attaches by `POST /terminals/{id}/attach?from=&writer=` on the device link: the request's body carries
//! its frames, the response's body the device's, each as a big-endian `u32` length and that many bytes. Over a
//! WebSocket of the server, one binary message is one frame without the length.

use serde::{Deserialize, Serialize};

use crate::{Millis, TerminalId};

/// The longest frame, in bytes.
pub const MAX_TERMINAL_FRAME: usize = 64 * 1024;

/// Output kept for those who come later, in bytes.
pub const SCROLLBACK: usize = 1024 * 1024;

/// `POST /terminals`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct OpenTerminal {
    /// Program and arguments; the user's login shell when empty.
    pub command: Vec<String>,
    /// `~` and relative paths start at the home directory.
    pub cwd: Option<String>,
    /// 2 to 1,000.
    pub cols: u16,
    /// 1 to 1,000.
    pub rows: u16,
    /// 1 to 64 characters; the command's name when absent.
    pub name: Option<String>,
    /// Keep everything it prints in a file on the device.
    pub record: bool,
}

/// `PATCH /terminals/{id}`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct UpdateTerminal {
    pub name: Option<String>,
    pub record: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Terminal {
    pub id: TerminalId,
    pub name: String,
    pub command: Vec<String>,
    pub cwd: String,
    pub cols: u16,
    pub rows: u16,
    pub created_at: Millis,
    /// Who opened it, for people.
    pub opened_by: String,
    /// Attached now, writers included.
    pub viewers: u32,
    pub writers: u32,
    /// Where on the device its output is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<String>,
    /// Bytes printed since it began.
    pub output_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<TerminalEnded>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TerminalEnded {
    pub at: Millis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Its name: `SIGKILL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
}

/// One frame of an attached terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminalFrame {
    /// To the device: what was typed. `offset` counts this writer's bytes, so what is sent again after a lost
    /// connection is typed once.
    Input { offset: u64, data: Vec<u8> },
    /// To the device: the writer's window. The last one to say so decides.
    Resize { cols: u16, rows: u16 },
    /// From the device: what was printed, from this byte on.
    Output { offset: u64, data: Vec<u8> },
    /// From the device, first of all and whenever it changes.
    State(Box<TerminalState>),
    /// From the device: this viewer was too slow or came too late; output before `start` is gone.
    Gap { start: u64 },
    /// From the device: everything this writer sent before this byte was typed.
    InputAccepted { received: u64 },
    /// From the device, last of all.
    Ended(TerminalEnded),
}

/// What a viewer is told of the terminal and of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TerminalState {
    pub terminal: Terminal,
    /// Whether this viewer may write.
    pub may_write: bool,
    /// This writer's bytes that were typed already.
    pub input_received: u64,
}

/// A frame that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadFrame;

impl std::fmt::Display for BadFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a terminal frame cannot be read")
    }
}

impl std::error::Error for BadFrame {}

const INPUT: u8 = 0;
const RESIZE: u8 = 1;
const OUTPUT: u8 = 0x80;
const STATE: u8 = 0x81;
const GAP: u8 = 0x82;
const INPUT_ACCEPTED: u8 = 0x83;
const ENDED: u8 = 0x84;

impl TerminalFrame {
    /// Without the length that goes before it on a byte stream.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.encode_behind(&[])
    }

    /// With its length before it, as on a byte stream.
    #[must_use]
    pub fn encode_with_length(&self) -> Vec<u8> {
        let mut bytes = self.encode_behind(&[0; 4]);
        // Frames are bounded far below.
        let length = u32::try_from(bytes.len() - 4).unwrap_or(u32::MAX);
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        bytes
    }

    fn encode_behind(&self, before: &[u8]) -> Vec<u8> {
        let numbered = |kind: u8, number: u64, data: &[u8]| {
            let mut bytes = Vec::with_capacity(before.len() + 9 + data.len());
            bytes.extend_from_slice(before);
            bytes.push(kind);
            bytes.extend_from_slice(&number.to_be_bytes());
            bytes.extend_from_slice(data);
            bytes
        };
        let json = |kind: u8, text: Result<Vec<u8>, serde_json::Error>| {
            [before, &[kind], &text.unwrap_or_default()].concat()
        };
        match self {
            Self::Input { offset, data } => numbered(INPUT, *offset, data),
            Self::Resize { cols, rows } => {
                let (c, r) = (cols.to_be_bytes(), rows.to_be_bytes());
                [before, &[RESIZE], &c, &r].concat()
            }
            Self::Output { offset, data } => numbered(OUTPUT, *offset, data),
            Self::State(state) => json(STATE, serde_json::to_vec(state)),
            Self::Gap { start } => numbered(GAP, *start, &[]),
            Self::InputAccepted { received } => numbered(INPUT_ACCEPTED, *received, &[]),
            Self::Ended(ended) => json(ENDED, serde_json::to_vec(ended)),
        }
    }

    /// The frame that lies first on a byte stream, and how many bytes it takes with its length before it; `None` while it is
    /// not whole.
    ///
    /// # Errors
    /// [`BadFrame`] for anything [`TerminalFrame::encode_with_length`] does not write, and as soon as its length is more than
    /// [`MAX_TERMINAL_FRAME`].
    pub fn decode_first(bytes: &[u8]) -> Result<Option<(Self, usize)>, BadFrame> {
        let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > MAX_TERMINAL_FRAME {
            return Err(BadFrame);
        }
        let Some(frame) = rest.get(..length) else { return Ok(None) };
        Ok(Some((Self::decode(frame)?, 4 + length)))
    }

    /// # Errors
    /// [`BadFrame`] for anything [`TerminalFrame::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadFrame> {
        let (&kind, rest) = bytes.split_first().ok_or(BadFrame)?;
        let numbered = || -> Result<(u64, &[u8]), BadFrame> {
            let (number, data) = rest.split_first_chunk::<8>().ok_or(BadFrame)?;
            Ok((u64::from_be_bytes(*number), data))
        };
        let alone = || match numbered()? {
            (number, []) => Ok(number),
            _ => Err(BadFrame),
        };
        match kind {
            INPUT => numbered().map(|(offset, data)| Self::Input { offset, data: data.to_vec() }),
            RESIZE => match *rest {
                [c0, c1, r0, r1] => Ok(Self::Resize {
                    cols: u16::from_be_bytes([c0, c1]),
                    rows: u16::from_be_bytes([r0, r1]),
                }),
                _ => Err(BadFrame),
            },
            OUTPUT => numbered().map(|(offset, data)| Self::Output { offset, data: data.to_vec() }),
            STATE => serde_json::from_slice(rest).map(Self::State).map_err(|_| BadFrame),
            GAP => alone().map(|start| Self::Gap { start }),
            INPUT_ACCEPTED => alone().map(|received| Self::InputAccepted { received }),
            ENDED => serde_json::from_slice(rest).map(Self::Ended).map_err(|_| BadFrame),
            _ => Err(BadFrame),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames() -> impl Strategy<Value = TerminalFrame> {
        let data = || prop::collection::vec(any::<u8>(), 0..64);
        prop_oneof![
            (any::<u64>(), data()).prop_map(|(offset, data)| TerminalFrame::Input { offset, data }),
            any::<(u16, u16)>().prop_map(|(cols, rows)| TerminalFrame::Resize { cols, rows }),
            (any::<u64>(), data()).prop_map(|(offset, data)| TerminalFrame::Output { offset, data }),
            any::<u64>().prop_map(|start| TerminalFrame::Gap { start }),
            any::<u64>().prop_map(|received| TerminalFrame::InputAccepted { received }),
            any::<(i64, Option<i32>)>().prop_map(|(at, exit_code)| TerminalFrame::Ended(TerminalEnded {
                at,
                exit_code,
                signal: None
            })),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(frame in frames()) {
            prop_assert_eq!(TerminalFrame::decode(&frame.encode()), Ok(frame));
        }

        #[test]
        fn the_first_of_a_stream_is_read_once_it_is_whole(frame in frames(), behind in prop::collection::vec(any::<u8>(), 0..20)) {
            let mut bytes = frame.encode_with_length();
            let length = bytes.len();
            prop_assert_eq!(TerminalFrame::decode_first(&bytes[..length - 1]), Ok(None));
            bytes.extend(behind);
            prop_assert_eq!(TerminalFrame::decode_first(&bytes), Ok(Some((frame, length))));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = TerminalFrame::decode(&bytes);
            let _ = TerminalFrame::decode_first(&bytes);
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_not_waited_for() {
        let most = u32::try_from(MAX_TERMINAL_FRAME).unwrap();
        assert_eq!(TerminalFrame::decode_first(&most.to_be_bytes()), Ok(None));
        assert_eq!(TerminalFrame::decode_first(&(most + 1).to_be_bytes()), Err(BadFrame));
    }
}
