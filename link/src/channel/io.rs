//! A sealed channel as a byte stream. What is written goes out when it is flushed or fills a record; shutting down
//! seals an end of that direction and leaves the other one open.

use std::{
    fmt, io,
    io::IoSlice,
    pin::Pin,
    task::{Context, Poll, ready},
};

use snow::TransportState;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::buffers::{Incoming, Outgoing};

/// After so many bytes that came without a pause others get their turn: somebody may be typing beside a download.
const TURN: usize = 128 * 1024;

/// Two sealed directions over one byte stream. Dropping it without shutting down is a cut for the other side.
pub struct Channel<IO> {
    io: IO,
    noise: TransportState,
    incoming: Incoming,
    outgoing: Outgoing,
    /// Bytes that came since there was a pause.
    in_a_row: usize,
    /// What came cannot be trusted: nothing is read or written any more.
    broken: bool,
}

impl<IO> fmt::Debug for Channel<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("broken", &self.broken).finish_non_exhaustive()
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Channel<IO> {
    pub(super) fn new(io: IO, noise: TransportState) -> Self {
        let (incoming, outgoing) = (Incoming::default(), Outgoing::default());
        Self { io, noise, incoming, outgoing, in_a_row: 0, broken: false }
    }

    /// One whole record, which must not be longer than `limit`.
    pub(super) async fn read_record(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        std::future::poll_fn(|cx| {
            loop {
                if self.incoming.next_length()?.is_some_and(|length| length > limit) {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "too long")));
                }
                if self.incoming.open(&mut self.noise, &mut [])?.is_some() {
                    let record = self.incoming.unread().to_vec();
                    self.incoming.consume(record.len());
                    return Poll::Ready(Ok(record));
                }
                ready!(self.poll_arrival(cx))?;
            }
        })
        .await
    }

    /// Reads from the way what is there; an error when it ends without an end.
    fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let in_a_row = std::mem::take(&mut self.in_a_row);
        if in_a_row >= TURN {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let room = self.incoming.room();
        let arrived = ready!(poll_read_buf(Pin::new(&mut self.io), cx, room))?;
        self.in_a_row = in_a_row + arrived;
        let filled = room.capacity() == room.len();
        if arrived == 0 {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the link was cut off; what came before is whole",
            )));
        }
        self.incoming.arrived(arrived, filled);
        Poll::Ready(Ok(()))
    }

    fn poll_some(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let unread = self.incoming.unread();
            if !unread.is_empty() {
                let taken = unread.len().min(buf.remaining());
                buf.put_slice(&unread[..taken]);
                self.incoming.consume(taken);
                return Poll::Ready(Ok(()));
            }
            if self.incoming.ended() {
                return Poll::Ready(Ok(()));
            }
            let direct = match self.incoming.next_length()? {
                Some(length) if buf.remaining() >= length + 16 => buf.initialize_unfilled_to(length + 16),
                _ => &mut [],
            };
            match self.incoming.open(&mut self.noise, direct)? {
                Some(0) => {}
                Some(direct) => {
                    buf.advance(direct);
                    return Poll::Ready(Ok(()));
                }
                None => ready!(self.poll_arrival(cx))?,
            }
        }
    }

    /// Gives the way what waits, until `enough`.
    fn poll_drain(
        &mut self,
        cx: &mut Context<'_>,
        enough: impl Fn(&Outgoing) -> bool,
    ) -> Poll<io::Result<()>> {
        while !enough(&self.outgoing) {
            let sent = ready!(Pin::new(&mut self.io).poll_write(cx, self.outgoing.waiting()))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outgoing.sent(sent);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut Outgoing, &mut TransportState) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if self.broken || self.outgoing.ended() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(self.poll_drain(cx, |outgoing| !outgoing.must_drain()))?;
        Poll::Ready(take(&mut self.outgoing, &mut self.noise))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Channel<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let channel = self.get_mut();
        if channel.broken {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let read = channel.poll_some(cx, buf);
        if let Poll::Ready(Err(error)) = &read {
            channel.broken = error.kind() == io::ErrorKind::InvalidData;
        }
        read
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Channel<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_take(cx, |outgoing, noise| outgoing.take(noise, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_take(cx, |outgoing, noise| {
            let mut taken = 0;
            for slice in slices {
                let from_this = outgoing.take(noise, slice)?;
                taken += from_this;
                if from_this < slice.len() || outgoing.must_drain() {
                    break;
                }
            }
            Ok(taken)
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let channel = self.get_mut();
        channel.outgoing.seal(&mut channel.noise)?;
        ready!(channel.poll_drain(cx, |outgoing| outgoing.waiting().is_empty()))?;
        Pin::new(&mut channel.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let channel = self.get_mut();
        channel.outgoing.end(&mut channel.noise)?;
        ready!(channel.poll_drain(cx, |outgoing| outgoing.waiting().is_empty()))?;
        ready!(Pin::new(&mut channel.io).poll_flush(cx))?;
        // Some ways (WebSocket) can only be closed whole, so the first to end leaves that to the other.
        if channel.incoming.ended() {
            Pin::new(&mut channel.io).poll_shutdown(cx)
        } else {
            Poll::Ready(Ok(()))
        }
    }
}
