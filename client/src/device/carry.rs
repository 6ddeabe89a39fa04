//! Byte streams to where a device may be, and WebSocket messages to the server.

use bytes::Bytes;
use foreman_link::carrier::{self, Way};
use foreman_protocol::MAX_TERMINAL_FRAME;
use futures_util::{StreamExt, stream, stream::BoxStream};
use reqwest::header::HeaderMap;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};

use crate::Error;

/// Any way for bytes.
pub(super) type AnyWay = Box<dyn Way>;

pub(super) async fn tcp(address: &str) -> Result<AnyWay, Error> {
    Ok(Box::new(carrier::connect_tcp(address).await?))
}

pub(super) async fn web_socket(
    carrier: &carrier::Dialer,
    address: &str,
    headers: HeaderMap,
) -> Result<AnyWay, Error> {
    Ok(Box::new(carrier.connect_websocket(address, headers).await?))
}

/// A WebSocket whose messages are taken one by one: what is put into the sender goes out as one message each, and
/// each item of the stream is one that came.
pub(super) async fn messages(
    carrier: &carrier::Dialer,
    address: &str,
    headers: HeaderMap,
) -> Result<(mpsc::Sender<Bytes>, BoxStream<'static, Result<Bytes, Error>>), Error> {
    let socket: AnyWay = Box::new(carrier.connect_messages(address, headers).await?);
    let (reader, mut writer) = tokio::io::split(socket);
    let (sender, mut outgoing) = mpsc::channel::<Bytes>(16);
    tokio::spawn(async move {
        while let Some(message) = outgoing.recv().await {
            // One write of at most 64 KiB is one message.
            let sent = async {
                writer.write_all(&message).await?;
                writer.flush().await
            };
            if sent.await.is_err() {
                return;
            }
        }
        let _ = writer.shutdown().await;
    });
    let state = Some((reader, vec![0; MAX_TERMINAL_FRAME + 1]));
    let incoming = stream::unfold(state, |state| async move {
        let (mut reader, mut buffer) = state?;
        // With room for the longest, one read is one message.
        match reader.read(&mut buffer).await {
            Ok(0) => None,
            Ok(length) => {
                let message = Bytes::copy_from_slice(&buffer[..length]);
                Some((Ok(message), Some((reader, buffer))))
            }
            Err(error) => Some((Err(Error::Unreachable { message: error.to_string() }), None)),
        }
    });
    Ok((sender, incoming.boxed()))
}
