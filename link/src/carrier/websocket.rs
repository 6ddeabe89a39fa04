//! A byte stream over binary WebSocket messages, framed here and by no library, because most of what a link carries
//! goes through this: bytes that come go straight to where they are wanted, and bytes that go are copied once.
//!
//! Memory does not depend on what the other end sends; after a time without much to send it is given back.

#[cfg(test)]
mod tests;

use std::{
    fmt,
    io::{self, Cursor},
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

use super::pulse::Pulse;

/// No message is sent longer, in bytes.
const MESSAGE: usize = 64 * 1024;
/// Read at once where frames begin; what is left of a long one is read without this between.
const BEGINNING: usize = 4 * 1024;
/// The most a control frame carries.
const CONTROL: usize = 125;
/// Masked at a time, so that it is still near.
const BLOCK: usize = 4 * 1024;

/// Which end this is: what a client sends is masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Client,
    Server,
}

/// A WebSocket, past its handshake, as a byte stream.
pub struct WebSocket<IO> {
    io: IO,
    role: Role,
    incoming: Incoming,
    outgoing: Outgoing,
    pulse: Pulse,
    /// Who waits to write: below, one waker is remembered only, and a reader's answer to a ping takes its place.
    writer: Option<Waker>,
}

struct Incoming {
    buffer: Box<[u8]>,
    unread: std::ops::Range<usize>,
    current: Option<Current>,
    ended: bool,
}

/// The frame whose payload is being read.
#[derive(Clone, Copy)]
struct Current {
    opcode: OpCode,
    left: usize,
    /// What the next byte is masked with, and those behind it.
    mask: Option<[u8; 4]>,
}

#[derive(Default)]
struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    /// Owed besides data.
    pong: Option<Vec<u8>>,
    ping: bool,
    close: bool,
    /// Nothing follows what was put there.
    closed: bool,
    /// A reader put something there that did not go yet.
    answering: bool,
}

impl<IO> fmt::Debug for WebSocket<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("role", &self.role).finish_non_exhaustive()
    }
}

fn unfit(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the other end sent {what}"))
}

impl Incoming {
    fn new() -> Self {
        let buffer = vec![0; BEGINNING].into_boxed_slice();
        Self { buffer, unread: 0..0, current: None, ended: false }
    }

    /// The frame whose payload comes next; `None` when more has to be read to know.
    fn frame(&mut self, role: Role) -> io::Result<Option<Current>> {
        if self.current.is_some() {
            return Ok(self.current);
        }
        let mut cursor = Cursor::new(&self.buffer[self.unread.clone()]);
        let Some((header, length)) = FrameHeader::parse(&mut cursor).map_err(io::Error::other)? else {
            return Ok(None);
        };
        let read = usize::try_from(cursor.position()).unwrap_or_default();
        let left = usize::try_from(length).unwrap_or(usize::MAX);
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(unfit("an extension that was not agreed on"));
        }
        if header.mask.is_some() != (role == Role::Server) {
            return Err(unfit("frames of the wrong end"));
        }
        match header.opcode {
            OpCode::Data(Data::Binary | Data::Continue) => {}
            OpCode::Control(Control::Ping | Control::Pong | Control::Close)
                if header.is_final && left <= CONTROL => {}
            _ => return Err(unfit("a frame that no link sends")),
        }
        self.unread.start += read;
        self.current = Some(Current { opcode: header.opcode, left, mask: header.mask });
        Ok(self.current)
    }

    /// So many bytes of the current frame were taken and lie there.
    fn took(&mut self, bytes: &mut [u8]) {
        let Some(current) = &mut self.current else { return };
        if let Some(mask) = &mut current.mask {
            apply(bytes, *mask);
            mask.rotate_left(bytes.len() % 4);
        }
        current.left -= bytes.len();
        if current.left == 0 {
            self.current = None;
        }
    }
}

/// Masks, or takes a mask off.
fn apply(bytes: &mut [u8], mask: [u8; 4]) {
    let (words, rest) = bytes.as_chunks_mut::<4>();
    let whole = u32::from_ne_bytes(mask);
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ whole).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

impl Outgoing {
    fn put(&mut self, role: Role, opcode: OpCode, payload: &[u8]) -> io::Result<()> {
        let mask = (role == Role::Client).then(rand::random::<[u8; 4]>);
        let header = FrameHeader { opcode, mask, ..FrameHeader::default() };
        header.format(payload.len() as u64, &mut self.bytes).map_err(io::Error::other)?;
        // Blocks are whole words, so the mask begins anew with each.
        for block in payload.chunks(BLOCK) {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(block);
            if let Some(mask) = mask {
                apply(&mut self.bytes[start..], mask);
            }
        }
        Ok(())
    }

    fn owes(&self) -> bool {
        !self.closed && (self.ping || self.close || self.pong.is_some())
    }

    /// Words what is owed besides data.
    fn put_owed(&mut self, role: Role) -> io::Result<()> {
        if let Some(bytes) = self.pong.take() {
            self.put(role, OpCode::Control(Control::Pong), &bytes)?;
        }
        if std::mem::take(&mut self.ping) {
            self.put(role, OpCode::Control(Control::Ping), &[])?;
        }
        if self.close {
            self.put(role, OpCode::Control(Control::Close), &[])?;
            self.closed = true;
        }
        Ok(())
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> WebSocket<IO> {
    /// `io` is past the handshake. Needs a Tokio runtime with time.
    pub fn new(io: IO, role: Role) -> Self {
        Self {
            io,
            role,
            incoming: Incoming::new(),
            outgoing: Outgoing::default(),
            pulse: Pulse::new(),
            writer: None,
        }
    }

    /// Until all that was put there, and all that is owed, went.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let out = &mut self.outgoing;
            while out.sent < out.bytes.len() {
                let sent = ready!(Pin::new(&mut self.io).poll_write(cx, &out.bytes[out.sent..]))?;
                if sent == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                out.sent += sent;
            }
            out.bytes.clear();
            out.sent = 0;
            if !out.owes() {
                return Poll::Ready(Ok(()));
            }
            out.put_owed(self.role)?;
        }
    }

    fn note_writer<T>(&mut self, cx: &Context<'_>, poll: Poll<T>) -> Poll<T> {
        self.writer = poll.is_pending().then(|| cx.waker().clone());
        poll
    }

    /// What a reader sends: answers, and questions when it is time.
    fn poll_answers(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.outgoing.owes() || self.outgoing.answering {
            let sent = self.poll_out(cx)?;
            self.outgoing.answering = sent.is_pending();
            if sent.is_ready() {
                let _ = Pin::new(&mut self.io).poll_flush(cx)?;
            }
            if let Some(writer) = self.writer.take() {
                writer.wake();
            }
        }
        Ok(())
    }

    fn poll_pulse(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.pulse.poll(cx)? {
            self.outgoing.ping = true;
            if self.outgoing.bytes.is_empty() {
                self.outgoing.bytes.shrink_to(BLOCK);
            }
        }
        self.poll_answers(cx)
    }

    /// Reads where frames begin; `false` at the end.
    fn poll_beginning(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let incoming = &mut self.incoming;
        incoming.buffer.copy_within(incoming.unread.clone(), 0);
        incoming.unread = 0..incoming.unread.len();
        let mut room = ReadBuf::new(&mut incoming.buffer[incoming.unread.end..]);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut room))?;
        let read = room.filled().len();
        incoming.unread.end += read;
        self.pulse.heard();
        Poll::Ready(Ok(read > 0))
    }

    /// Does what a control frame says, if it is there; `false` when more has to be read.
    fn control(&mut self, frame: Current, control: Control) -> bool {
        let incoming = &mut self.incoming;
        if incoming.unread.len() < frame.left {
            return false;
        }
        let place = incoming.unread.start..incoming.unread.start + frame.left;
        incoming.unread.start = place.end;
        incoming.current = None;
        let payload = &mut incoming.buffer[place];
        match control {
            Control::Ping => {
                apply(payload, frame.mask.unwrap_or_default());
                self.outgoing.pong = Some(payload.to_vec());
            }
            Control::Close => {
                incoming.ended = true;
                self.outgoing.close = true;
            }
            Control::Pong | Control::Reserved(_) => {}
        }
        true
    }

    /// Bytes of messages into `buf`; none at the end.
    fn poll_data(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while !self.incoming.ended && buf.remaining() > 0 {
            let frame = self.incoming.frame(self.role)?;
            let waits = match frame {
                Some(frame) => match frame.opcode {
                    OpCode::Control(control) => !self.control(frame, control),
                    OpCode::Data(_) if frame.left == 0 => {
                        self.incoming.current = None;
                        false
                    }
                    OpCode::Data(_) => {
                        let before = buf.filled().len();
                        let waits = self.incoming.unread.len();
                        if waits > 0 {
                            let taken = frame.left.min(waits).min(buf.remaining());
                            let start = self.incoming.unread.start;
                            buf.put_slice(&self.incoming.buffer[start..start + taken]);
                            self.incoming.unread.start += taken;
                        } else if frame.left.min(buf.remaining()) >= BEGINNING {
                            let mut rest = (&mut self.io).take(frame.left as u64);
                            ready!(Pin::new(&mut rest).poll_read(cx, buf))?;
                            self.pulse.heard();
                            self.incoming.ended = buf.filled().len() == before;
                        }
                        self.incoming.took(&mut buf.filled_mut()[before..]);
                        if buf.filled().len() > before {
                            return Poll::Ready(Ok(()));
                        }
                        true
                    }
                },
                None => true,
            };
            if waits && !self.incoming.ended {
                self.incoming.ended = !ready!(self.poll_beginning(cx))?;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = this.poll_data(cx, buf);
        if read.is_pending() {
            this.poll_pulse(cx)?;
        } else {
            this.poll_answers(cx)?;
        }
        read
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.outgoing.close {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let before = this.poll_out(cx);
        ready!(this.note_writer(cx, before))?;
        let taken = buf.len().min(MESSAGE);
        this.outgoing.put(this.role, OpCode::Data(Data::Binary), &buf[..taken])?;
        // What does not go now goes before the next, or when it is flushed.
        if let Poll::Ready(sent) = this.poll_out(cx) {
            sent?;
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = match this.poll_out(cx) {
            Poll::Ready(Ok(())) => Pin::new(&mut this.io).poll_flush(cx),
            other => other,
        };
        this.note_writer(cx, flushed)
    }

    /// Closes both directions: WebSocket knows no half.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.outgoing.close = true;
        Pin::new(this).poll_flush(cx)
    }
}
