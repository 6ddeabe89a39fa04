//! Records: what was written waits in clear until it is flushed or fills one, then sealed until the way takes it;
//! what came waits sealed until it is whole. Both directions are bounded, and know nothing of sockets.

use std::{io, ops::Range};

use bytes::{Buf, BytesMut};
use snow::TransportState;

/// Noise's tag.
const TAG: usize = 16;
/// A record's length before it.
const HEAD: usize = 2;
/// The most that is put into one record, in clear. A little more could be; so it is one message of a WebSocket.
pub(super) const FULL: usize = 64 * 1024 - TAG - HEAD;
/// With this many sealed bytes waiting, nothing more is taken.
const WAITING_LIMIT: usize = 2 * FULL;
/// Each direction's key moves on after this many records.
pub(super) const REKEY_EVERY: u64 = 1 << 16;

/// What goes out.
#[derive(Default)]
pub(super) struct Outgoing {
    clear: Vec<u8>,
    sealed: Sealed,
    ended: bool,
}

/// Records on their way. The buffer keeps what it held before, so that it need not be made blank for each record.
#[derive(Default)]
struct Sealed {
    buffer: Vec<u8>,
    waiting: Range<usize>,
}

impl Outgoing {
    /// Sealed bytes for the way.
    pub fn waiting(&self) -> &[u8] {
        &self.sealed.buffer[self.sealed.waiting.clone()]
    }

    /// So many of them went.
    pub fn sent(&mut self, bytes: usize) {
        let waiting = &mut self.sealed.waiting;
        waiting.start += bytes;
        if waiting.start == waiting.end {
            *waiting = 0..0;
        }
    }

    pub fn must_drain(&self) -> bool {
        self.sealed.waiting.len() >= WAITING_LIMIT
    }

    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Takes as much as fits into one record; how much.
    pub fn take(&mut self, noise: &mut TransportState, slice: &[u8]) -> io::Result<usize> {
        if self.clear.is_empty() && slice.len() >= FULL {
            self.sealed.add(noise, &slice[..FULL])?;
            return Ok(FULL);
        }
        let taken = slice.len().min(FULL - self.clear.len());
        self.clear.extend_from_slice(&slice[..taken]);
        if self.clear.len() == FULL {
            self.seal(noise)?;
        }
        Ok(taken)
    }

    /// Seals what waits in clear.
    pub fn seal(&mut self, noise: &mut TransportState) -> io::Result<()> {
        if !self.clear.is_empty() {
            self.sealed.add(noise, &self.clear)?;
            self.clear.clear();
        }
        Ok(())
    }

    /// Seals the rest and the end.
    pub fn end(&mut self, noise: &mut TransportState) -> io::Result<()> {
        if !self.ended {
            self.seal(noise)?;
            self.sealed.add(noise, &[])?;
            self.ended = true;
        }
        Ok(())
    }
}

impl Sealed {
    fn add(&mut self, noise: &mut TransportState, clear: &[u8]) -> io::Result<()> {
        let length = clear.len() + TAG;
        let record = self.room(HEAD + length);
        let (head, body) = self.buffer[record.clone()].split_at_mut(HEAD);
        head.copy_from_slice(&u16::try_from(length).map_err(io::Error::other)?.to_be_bytes());
        noise.write_message(clear, body).map_err(io::Error::other)?;
        self.waiting.end = record.end;
        if noise.sending_nonce().is_multiple_of(REKEY_EVERY) {
            noise.rekey_outgoing();
        }
        Ok(())
    }

    /// Where so many bytes go, behind those that wait.
    fn room(&mut self, bytes: usize) -> Range<usize> {
        if self.buffer.len() - self.waiting.end < bytes {
            self.buffer.copy_within(self.waiting.clone(), 0);
            self.waiting = 0..self.waiting.len();
            if self.buffer.len() - self.waiting.end < bytes {
                self.buffer.resize(self.waiting.end + bytes, 0);
            }
        }
        self.waiting.end..self.waiting.end + bytes
    }
}

/// Reads start with this much room, and double it while they fill it.
const LEAST_ROOM: usize = 4 * 1024;
const MOST_ROOM: usize = 128 * 1024;

/// What comes in.
pub(super) struct Incoming {
    sealed: BytesMut,
    room: usize,
    clear: Vec<u8>,
    /// Where in `clear` what was not read yet lies.
    unread: Range<usize>,
    ended: bool,
}

impl Default for Incoming {
    fn default() -> Self {
        Self { sealed: BytesMut::new(), room: LEAST_ROOM, clear: Vec::new(), unread: 0..0, ended: false }
    }
}

impl Incoming {
    pub fn unread(&self) -> &[u8] {
        &self.clear[self.unread.clone()]
    }

    pub fn consume(&mut self, bytes: usize) {
        self.unread.start += bytes;
    }

    /// The other side said that nothing more comes.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Where to put what arrives.
    pub fn room(&mut self) -> &mut BytesMut {
        let missing = self.length().map_or(HEAD, |length| HEAD + length).saturating_sub(self.sealed.len());
        self.sealed.reserve(missing.max(self.room));
        &mut self.sealed
    }

    /// Tells how much arrived and whether there was room for more.
    pub fn arrived(&mut self, bytes: usize, filled: bool) {
        if filled {
            self.room = (self.room * 2).min(MOST_ROOM);
        } else if bytes < self.room / 4 {
            self.room = (self.room / 2).max(LEAST_ROOM);
        }
    }

    fn length(&self) -> Option<usize> {
        self.sealed.first_chunk::<HEAD>().map(|head| usize::from(u16::from_be_bytes(*head)))
    }

    /// The length in clear of the record that comes next, once its head is there.
    pub fn next_length(&self) -> io::Result<Option<usize>> {
        match self.length() {
            Some(length) if length < TAG => Err(broken()),
            length => Ok(length.map(|length| length - TAG)),
        }
    }

    /// Opens the next record, if it is whole: into `direct` if that has room (how much was put there), else to be
    /// read from [`Incoming::unread`].
    pub fn open(&mut self, noise: &mut TransportState, direct: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(clear) = self.next_length()? else { return Ok(None) };
        let whole = HEAD + clear + TAG;
        if self.sealed.len() < whole {
            return Ok(None);
        }
        let directly = direct.len() >= clear + TAG;
        if !directly && self.clear.len() < clear + TAG {
            self.clear.resize(clear + TAG, 0);
        }
        let out = if directly { direct } else { &mut self.clear[..clear + TAG] };
        noise.read_message(&self.sealed[HEAD..whole], out).map_err(|_| broken())?;
        self.sealed.advance(whole);
        if noise.receiving_nonce().is_multiple_of(REKEY_EVERY) {
            noise.rekey_incoming();
        }
        self.ended = clear == 0;
        if !directly {
            self.unread = 0..clear;
        }
        Ok(Some(if directly { clear } else { 0 }))
    }
}

fn broken() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the link was changed, repeated or reordered on its way; it is closed",
    )
}
