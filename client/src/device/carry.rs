//! Byte streams to where a device may be, and WebSocket messages to the server.

use std::net::SocketAddr;

use bytes::Bytes;
use foreman_link::carrier::{self, Way};
use foreman_protocol::MAX_TERMINAL_FRAME;
use futures_util::{StreamExt, stream, stream::BoxStream};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};

use super::race::{Attempt, race};
use crate::Error;

/// Any way for bytes.
pub(super) type AnyWay = Box<dyn Way>;

pub(super) async fn tcp(address: &str) -> Result<AnyWay, Error> {
    Ok(Box::new(carrier::connect_tcp(address).await?))
}

/// The first of several addresses of one device that answers.
pub(super) async fn first_of(addresses: &[SocketAddr]) -> Result<AnyWay, Error> {
    let attempts = addresses.iter().map(|address| {
        let attempt: Attempt<'_, _, Error> = Box::pin(async move { tcp(&address.to_string()).await });
        (std::time::Duration::ZERO, attempt)
    });
    let nobody = || Error::Unreachable { message: "it announced no address".to_owned() };
    race(attempts.collect(), |_| false).await.map_err(|mut errors| errors.pop().unwrap_or_else(nobody))
}

pub(super) async fn web_socket(
    carrier: &carrier::Dialer,
    address: &str,
    headers: HeaderMap,
) -> Result<AnyWay, Error> {
    Ok(Box::new(carrier.connect_websocket(address, headers).await?))
}

/// What Cloudflare Access wants of a program.
pub(super) fn access_headers(token: Option<&(String, String)>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Some((id, secret)) = token else { return headers };
    for (name, value) in [("cf-access-client-id", id), ("cf-access-client-secret", secret)] {
        if let Ok(mut value) = HeaderValue::from_str(value) {
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers
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
