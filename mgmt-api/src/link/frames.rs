//! The frames of a client's end of a WebSocket, read piece by piece and worded anew for the other end where they lie:
//! nothing is copied, and what a connection needs of memory follows what it carries.

use std::{
    io::{self, Cursor},
    ops::Range,
};

use metrics::Gauge;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_tungstenite::tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

use super::upgrade::MESSAGE_BYTES;

/// The longest header that is written, and that is read, which has a mask.
const HEADER: usize = 10;
const MASKED_HEADER: usize = HEADER + 4;
/// A connection that says little has this much room.
const LEAST: usize = 4 * 1024;
/// One that says much has room for the longest message and its header: the most that waits on its way.
const MOST: usize = HEADER + MASKED_HEADER + MESSAGE_BYTES;
/// The most a control frame carries.
const CONTROL: usize = 125;

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub enum Got {
    /// A piece of a message.
    Data(Piece),
    /// To be answered with the same bytes.
    Ping(Vec<u8>),
    /// Nothing but a sign of life.
    Pong,
    Close,
}

/// Part of a message; good until the next read.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece {
    frame: Range<usize>,
    /// Bytes of the message in it.
    pub carries: usize,
}

/// How much room all connections have together, bytes.
fn room() -> Gauge {
    metrics::gauge!("foreman_relay_buffer_bytes")
}

/// Reads frames. Nothing is lost when a read is given up.
pub struct Frames<R> {
    io: R,
    buffer: Vec<u8>,
    room: Gauge,
    unread: Range<usize>,
    /// The room was filled since somebody asked last.
    filled: bool,
    current: Option<Current>,
    /// A message began and has not ended.
    within: bool,
    /// … and its beginning was passed on.
    begun: bool,
}

/// The frame whose payload is being read.
struct Current {
    opcode: OpCode,
    last: bool,
    left: usize,
    mask: [u8; 4],
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub fn new(io: R) -> Self {
        let room = room();
        room.increment(LEAST as f64);
        Self {
            io,
            buffer: vec![0; LEAST],
            room,
            unread: HEADER..HEADER,
            filled: false,
            current: None,
            within: false,
            begun: false,
        }
    }

    /// # Errors
    /// When the connection broke or what came is not what a link sends.
    pub async fn next(&mut self) -> io::Result<Got> {
        loop {
            if let Some(got) = self.take()? {
                return Ok(got);
            }
            self.make_room();
            let read = self.io.read(&mut self.buffer[self.unread.end..]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.unread.end += read;
            if self.unread.end == self.buffer.len() {
                self.filled = true;
                let before = self.buffer.len();
                self.buffer.resize((2 * self.unread.end).min(MOST), 0);
                self.room.increment((self.buffer.len() - before) as f64);
            }
        }
    }

    /// A piece as a frame for the other end.
    pub fn frame(&self, piece: &Piece) -> &[u8] {
        &self.buffer[piece.frame.clone()]
    }

    /// There is room to give back.
    pub fn large(&self) -> bool {
        self.buffer.len() > LEAST
    }

    /// Gives room back that was not filled since this was called last.
    pub fn rest(&mut self) {
        if !std::mem::take(&mut self.filled) && self.large() && self.unread.len() < LEAST / 2 {
            self.make_room();
            self.room.decrement((self.buffer.len() - LEAST) as f64);
            self.buffer.truncate(LEAST);
            self.buffer.shrink_to_fit();
        }
    }

    /// What is unread is always shorter than a header or a control frame, so there is room behind it, and before it
    /// for a header.
    fn make_room(&mut self) {
        self.buffer.copy_within(self.unread.clone(), HEADER);
        self.unread = HEADER..HEADER + self.unread.len();
    }

    fn take(&mut self) -> io::Result<Option<Got>> {
        let mut current = match self.current.take() {
            Some(current) => current,
            None => match self.header()? {
                Some(current) => current,
                None => return Ok(None),
            },
        };
        let control = matches!(current.opcode, OpCode::Control(_));
        let length = current.left.min(self.unread.len());
        if current.left > 0 && (length == 0 || control && length < current.left) {
            self.current = Some(current);
            return Ok(None);
        }
        let payload = self.unread.start..self.unread.start + length;
        self.unread.start = payload.end;
        let bytes = &mut self.buffer[payload.clone()];
        unmask(bytes, current.mask);
        let got = match current.opcode {
            OpCode::Control(Control::Ping) => Got::Ping(bytes.to_vec()),
            OpCode::Control(Control::Close) => Got::Close,
            OpCode::Control(_) => Got::Pong,
            OpCode::Data(_) => {
                current.left -= length;
                current.mask.rotate_left(length % 4);
                let header = FrameHeader {
                    is_final: current.left == 0 && current.last,
                    opcode: OpCode::Data(if self.begun { Data::Continue } else { Data::Binary }),
                    ..FrameHeader::default()
                };
                // It came with a longer one, with a mask, or lies behind the room for one.
                let frame = payload.start - header.len(length as u64)..payload.end;
                let mut before = &mut self.buffer[frame.start..payload.start];
                header.format(length as u64, &mut before).map_err(io::Error::other)?;
                self.begun = !header.is_final;
                self.within = !header.is_final;
                if current.left > 0 {
                    self.current = Some(current);
                }
                Got::Data(Piece { frame, carries: length })
            }
        };
        Ok(Some(got))
    }

    fn header(&mut self) -> io::Result<Option<Current>> {
        let unfit = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidData, what));
        let mut cursor = Cursor::new(&self.buffer[self.unread.clone()]);
        let Some((header, length)) = FrameHeader::parse(&mut cursor).map_err(io::Error::other)? else {
            return Ok(None);
        };
        let read = usize::try_from(cursor.position()).unwrap_or_default();
        let left = usize::try_from(length).unwrap_or(usize::MAX);
        let Some(mask) = header.mask else { return unfit("a frame that is not masked") };
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return unfit("an extension that was not agreed on");
        }
        match header.opcode {
            OpCode::Data(Data::Binary) if !self.within && left <= MESSAGE_BYTES => self.within = true,
            OpCode::Data(Data::Continue) if self.within && left <= MESSAGE_BYTES => {}
            OpCode::Control(Control::Ping | Control::Pong | Control::Close)
                if header.is_final && left <= CONTROL => {}
            _ => return unfit("a frame that no link sends"),
        }
        self.unread.start += read;
        Ok(Some(Current { opcode: header.opcode, last: header.is_final, left, mask }))
    }
}

impl<R> Drop for Frames<R> {
    fn drop(&mut self) {
        self.room.decrement(self.buffer.len() as f64);
    }
}

/// Four bytes at a time: byte by byte this alone would take longer than everything else a relay does.
fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let (words, rest) = bytes.as_chunks_mut::<4>();
    let whole = u32::from_ne_bytes(mask);
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ whole).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio_tungstenite::{
        WebSocketStream,
        tungstenite::{
            Message,
            protocol::{Role, WebSocketConfig},
        },
    };

    use futures_util::{FutureExt, SinkExt, StreamExt};
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// What the other end reads when a real client wrote these messages and they came in such pieces.
    async fn passed_on(messages: Vec<Vec<u8>>, pieces: usize) -> Vec<Vec<u8>> {
        let (near, far) = tokio::io::duplex(pieces);
        let (mut passing, end) = tokio::io::duplex(1 << 20);
        let writing = messages.clone();
        let client = tokio::spawn(async move {
            let mut socket = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
            for message in writing {
                socket.send(Message::binary(message)).await.unwrap();
                socket.send(Message::Ping(vec![1, 2].into())).await.unwrap();
            }
            socket
        });
        let passer = tokio::spawn(async move {
            let mut frames = Frames::new(far);
            while let Ok(got) = frames.next().await {
                match got {
                    Got::Data(piece) => passing.write_all(frames.frame(&piece)).await.unwrap(),
                    other => {
                        assert_eq!(other, Got::Ping(vec![1, 2]));
                        frames.rest();
                    }
                }
            }
        });
        let config = WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES));
        let mut socket = WebSocketStream::from_raw_socket(end, Role::Client, Some(config)).await;
        let mut heard = Vec::new();
        while heard.len() < messages.len() {
            heard.push(socket.next().await.unwrap().unwrap().into_data().to_vec());
        }
        drop(client.await.unwrap());
        passer.await.unwrap();
        heard
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn messages_stay_what_they_are(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..MESSAGE_BYTES), 1..5),
            pieces in 1_usize..MOST,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            prop_assert_eq!(runtime.block_on(passed_on(messages.clone(), pieces)), messages);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let mut frames = Frames::new(bytes.as_slice());
                while frames.next().await.is_ok() {}
            });
        }
    }

    /// A message is not waited for: what of it is there goes on.
    #[tokio::test]
    async fn ten_bytes_of_a_message_of_a_thousand_are_passed_on_at_once() {
        let (mut near, far) = tokio::io::duplex(MOST);
        let mut frames = Frames::new(far);
        let first = [&[0x82, 0xfe, 0x03, 0xe8, 0, 0, 0, 0][..], b"0123456789"].concat();
        for (came, carries, passed_on) in [
            (first, 10, [&[0x02, 10][..], b"0123456789"].concat()),
            (vec![b'x'; 980], 980, [&[0x00, 126, 0x03, 0xd4][..], &[b'x'; 980]].concat()),
            (b"abcdefghij".to_vec(), 10, [&[0x80, 10][..], b"abcdefghij"].concat()),
        ] {
            near.write_all(&came).await.unwrap();
            let got = frames.next().now_or_never().expect("it does not wait for more").unwrap();
            let Got::Data(piece) = got else { panic!("{got:?}") };
            assert_eq!((piece.carries, frames.frame(&piece)), (carries, passed_on.as_slice()));
        }
    }

    /// As a client writes it: the first two bytes of its header, then its payload under a mask.
    fn masked(header: [u8; 2], payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let under = payload.iter().zip(mask.into_iter().cycle()).map(|(byte, mask)| byte ^ mask);
        header.into_iter().chain(mask).chain(under).collect()
    }

    /// A control frame may come between the parts of a message, and anything may come byte by byte.
    #[tokio::test]
    async fn a_message_in_parts_stays_one_and_a_ping_among_them_is_whole() {
        let sent =
            [masked([0x02, 0x82], b"ab"), masked([0x89, 0x83], b"hey"), masked([0x80, 0x81], b"c")].concat();
        let (mut near, far) = tokio::io::duplex(MOST);
        let mut frames = Frames::new(far);
        let (mut passed_on, mut pings) = (Vec::new(), Vec::new());
        for byte in sent {
            near.write_all(&[byte]).await.unwrap();
            match frames.next().now_or_never().transpose().unwrap() {
                Some(Got::Data(piece)) => passed_on.push(frames.frame(&piece).to_vec()),
                Some(Got::Ping(bytes)) => pings.push(bytes),
                other => assert_eq!(other, None),
            }
        }
        assert_eq!(passed_on, [[0x02, 1, b'a'], [0x00, 1, b'b'], [0x80, 1, b'c']]);
        assert_eq!(pings, [b"hey"]);
    }

    #[tokio::test]
    async fn what_a_link_does_not_send_is_an_error() {
        let begun = masked([0x02, 0x81], b"x");
        let masked = [0, 0, 0, 0];
        for (what, bytes) in [
            ("text", [&[0x81, 0x81][..], &masked, b"x"].concat()),
            ("no mask", vec![0x82, 1, 0]),
            ("a continuation of nothing", [&[0x80, 0x81][..], &masked, b"x"].concat()),
            ("an extension", [&[0xc2, 0x81][..], &masked, b"x"].concat()),
            ("too long", [&[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 1][..], &masked].concat()),
            ("a ping in two frames", [&[0x09, 0x80][..], &masked].concat()),
            ("a ping that is too long", [&[0x89, 0xfe, 0, 126][..], &masked].concat()),
            ("a message within a message", [&begun[..], &[0x82, 0x81], &masked, b"x"].concat()),
            (
                "a part that is too long",
                [&begun[..], &[0x80, 0xff, 0, 0, 0, 0, 0, 1, 0, 1], &masked].concat(),
            ),
        ] {
            let mut frames = Frames::new(bytes.as_slice());
            let error = loop {
                if let Err(error) = frames.next().await {
                    break error;
                }
            };
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{what}");
        }
    }
}
