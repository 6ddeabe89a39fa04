//! A WebSocket as a stream of bytes, for the links that end in this process.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, future::ready};
use tokio::io::{AsyncRead, AsyncWrite, join};
use tokio_util::io::{CopyToBytes, SinkWriter, StreamReader};

/// Its binary messages, one after the other.
pub fn bytes(socket: WebSocket) -> impl AsyncRead + AsyncWrite + Unpin + Send + 'static {
    let (sink, stream) = socket.split();
    let arriving = stream.filter_map(|message| ready(arrived(message).transpose()));
    let sealed = sink
        .with(|data: Bytes| ready(Ok::<_, axum::Error>(Message::Binary(data))))
        .sink_map_err(io::Error::other);
    join(StreamReader::new(arriving), Pieces(SinkWriter::new(CopyToBytes::new(sealed))))
}

/// Bytes in one message: well under what the other end takes.
const PIECE: usize = 32 * 1024;

/// Writes in pieces, each of which becomes a message.
struct Pieces<W>(W);

impl<W: AsyncWrite + Unpin> AsyncWrite for Pieces<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, &bytes[..bytes.len().min(PIECE)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

fn arrived(message: Result<Message, axum::Error>) -> io::Result<Option<Bytes>> {
    match message.map_err(io::Error::other)? {
        Message::Binary(data) => Ok(Some(data)),
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) => Ok(None),
        Message::Text(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "text on a link")),
    }
}
