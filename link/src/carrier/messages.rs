//! A byte stream over binary messages of a WebSocket that belongs to a server framework.
//!
//! It knows no WebSocket library: a [`Wording`] translates.

use std::{
    error::Error,
    fmt, io,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, Bytes};
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::pulse::Pulse;

/// No message is sent longer, in bytes.
const MESSAGE: usize = 64 * 1024;

/// What a WebSocket message is to a byte stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    Data(Bytes),
    Ping,
    /// Pongs and whatever else carries nothing: a sign of life.
    Other,
    Close,
}

/// How a library words frames.
#[derive(Debug, Clone, Copy)]
pub struct Wording<M> {
    pub read: fn(M) -> Frame,
    /// Asked for `Data` and `Ping` only.
    pub write: fn(Frame) -> M,
}

/// A WebSocket as a byte stream.
pub struct MessageStream<S, M> {
    socket: S,
    wording: Wording<M>,
    unread: Bytes,
    ended: bool,
    pulse: Pulse,
    ping: Ping,
    /// Who waits to write: a WebSocket remembers one waker only, and a ping takes its place.
    writer: Option<Waker>,
    messages: PhantomData<fn(M)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ping {
    None,
    Due,
    /// Given to the socket, not yet to the network.
    Sending,
}

impl<S, M> fmt::Debug for MessageStream<S, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageStream").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl<S, M, E> MessageStream<S, M>
where
    S: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    /// Needs a Tokio runtime with time.
    pub fn new(socket: S, wording: Wording<M>) -> Self {
        Self {
            socket,
            wording,
            unread: Bytes::new(),
            ended: false,
            pulse: Pulse::new(),
            ping: Ping::None,
            writer: None,
            messages: PhantomData,
        }
    }

    /// Pings when it is time.
    fn poll_pings(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.pulse.poll(cx)? {
            self.ping = Ping::Due;
        }
        if self.ping == Ping::None {
            return Ok(());
        }
        if self.ping == Ping::Due && Pin::new(&mut self.socket).poll_ready(cx).map_err(failed)?.is_ready() {
            Pin::new(&mut self.socket).start_send((self.wording.write)(Frame::Ping)).map_err(failed)?;
            self.ping = Ping::Sending;
        }
        if self.ping == Ping::Sending && Pin::new(&mut self.socket).poll_flush(cx).map_err(failed)?.is_ready()
        {
            self.ping = Ping::None;
        }
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
        Ok(())
    }

    fn note_writer<T>(&mut self, cx: &Context<'_>, poll: Poll<T>) -> Poll<T> {
        self.writer = poll.is_pending().then(|| cx.waker().clone());
        poll
    }
}

fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, error)
}

impl<S, M, E> AsyncRead for MessageStream<S, M>
where
    S: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !this.unread.is_empty() {
                let taken = this.unread.len().min(buf.remaining());
                buf.put_slice(&this.unread[..taken]);
                this.unread.advance(taken);
                return Poll::Ready(Ok(()));
            }
            if this.ended {
                return Poll::Ready(Ok(()));
            }
            match Pin::new(&mut this.socket).poll_next(cx) {
                Poll::Ready(Some(message)) => {
                    this.pulse.heard();
                    match (this.wording.read)(message.map_err(failed)?) {
                        Frame::Data(data) => this.unread = data,
                        Frame::Close => this.ended = true,
                        Frame::Ping | Frame::Other => {}
                    }
                }
                Poll::Ready(None) => this.ended = true,
                Poll::Pending => {
                    this.poll_pings(cx)?;
                    return Poll::Pending;
                }
            }
        }
    }
}

impl<S, M, E> AsyncWrite for MessageStream<S, M>
where
    S: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let room = Pin::new(&mut this.socket).poll_ready(cx);
        ready!(this.note_writer(cx, room)).map_err(failed)?;
        let taken = buf.len().min(MESSAGE);
        let message = (this.wording.write)(Frame::Data(Bytes::copy_from_slice(&buf[..taken])));
        Pin::new(&mut this.socket).start_send(message).map_err(failed)?;
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.socket).poll_flush(cx);
        this.note_writer(cx, flushed).map_err(failed)
    }

    /// Closes both directions: WebSocket knows no half.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let closed = Pin::new(&mut this.socket).poll_close(cx);
        this.note_writer(cx, closed).map_err(failed)
    }
}
