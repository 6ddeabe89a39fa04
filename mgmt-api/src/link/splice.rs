//! Two WebSockets made into one: every message of one end goes to the other, as it is.
//!
//! It cannot read what it carries: the bytes are sealed between a client and a device. One message is in flight
//! in each direction, so an end that does not take its bytes holds the other back instead of filling memory.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use axum::{
    extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code},
};
use bytes::Bytes;
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use metrics::Counter;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;

/// The longest message.
pub const MESSAGE_BYTES: usize = 64 * 1024;
/// Read from the network at a time. Small, so that an idle relay is.
const READ_BYTES: usize = 4 * 1024;
pub const PING_EVERY: Duration = Duration::from_secs(25);
/// An end that has not even answered a ping for this long is gone.
pub const GONE_AFTER: Duration = Duration::from_secs(60);
/// How long saying goodbye may take.
pub const GOODBYE: Duration = Duration::from_secs(2);

/// Bounded buffers for either end.
pub fn bounded(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .max_message_size(MESSAGE_BYTES)
        .max_frame_size(MESSAGE_BYTES)
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * MESSAGE_BYTES)
}

/// Why a relay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// One end closed.
    Closed,
    /// One end broke or did not keep to the rules.
    Broken,
    /// One end answers no more.
    Gone,
    /// Nothing was carried for too long.
    Idle,
    /// The server stops.
    Stopping,
}

impl End {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Broken => "broken",
            Self::Gone => "gone",
            Self::Idle => "idle",
            Self::Stopping => "stopping",
        }
    }

    fn goodbye(self) -> Message {
        let (code, reason) = match self {
            Self::Closed => (close_code::NORMAL, "the other end closed"),
            Self::Broken => (close_code::PROTOCOL, "the other end broke off"),
            Self::Gone => (close_code::AWAY, "the other end answers no more"),
            Self::Idle => (close_code::AWAY, "nothing was carried for too long"),
            Self::Stopping => (close_code::AWAY, "the server stops; connect again in a moment"),
        };
        Message::Close(Some(CloseFrame { code, reason: reason.into() }))
    }
}

/// When something was carried last, in either direction.
struct Carried {
    since: Instant,
    last_ms: AtomicU64,
}

impl Carried {
    fn note(&self) {
        let elapsed = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(elapsed, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.since + Duration::from_millis(self.last_ms.load(Ordering::Relaxed))
    }
}

/// Carries until one end closes, then closes both.
pub async fn run(client: WebSocket, device: WebSocket, idle: Duration, closing: CancellationToken) -> End {
    let (mut to_client, from_client) = client.split();
    let (mut to_device, from_device) = device.split();
    let carried = Carried { since: Instant::now(), last_ms: AtomicU64::new(0) };
    let bytes = |to: &'static str| metrics::counter!("foreman_relay_bytes_total", "to" => to);
    let end = tokio::select! {
        () = closing.cancelled() => End::Stopping,
        () = unused(&carried, idle) => End::Idle,
        end = carry(from_client, &mut to_device, &carried, bytes("device")) => end,
        end = carry(from_device, &mut to_client, &carried, bytes("client")) => end,
    };
    let goodbyes = futures_util::future::join(to_client.send(end.goodbye()), to_device.send(end.goodbye()));
    let _ = timeout(GOODBYE, goodbyes).await;
    end
}

async fn unused(carried: &Carried, idle: Duration) {
    while carried.last().elapsed() < idle {
        tokio::time::sleep_until(carried.last() + idle).await;
    }
}

/// One direction; also asks the far end now and then whether it is still there.
async fn carry(
    mut from: SplitStream<WebSocket>,
    to: &mut SplitSink<WebSocket, Message>,
    carried: &Carried,
    bytes: Counter,
) -> End {
    let mut ping = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    loop {
        let message = tokio::select! {
            message = from.next() => message,
            _ = ping.tick() => match sent(to, Message::Ping(Bytes::new())).await {
                true => continue,
                false => return End::Gone,
            },
            () = tokio::time::sleep_until(heard + GONE_AFTER) => return End::Gone,
        };
        match message {
            Some(Ok(Message::Binary(data))) => {
                bytes.increment(data.len() as u64);
                if !sent(to, Message::Binary(data)).await {
                    return End::Gone;
                }
                carried.note();
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(_))) | None => return End::Closed,
            // Text is nothing that a link sends.
            Some(Ok(Message::Text(_)) | Err(_)) => return End::Broken,
        }
        heard = Instant::now();
    }
}

/// Nothing further is read before this one is taken.
async fn sent(to: &mut SplitSink<WebSocket, Message>, message: Message) -> bool {
    matches!(timeout(GONE_AFTER, to.send(message)).await, Ok(Ok(())))
}
