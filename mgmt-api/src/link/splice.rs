//! Two WebSockets made into one: every message of one end goes to the other, as it is.
//!
//! It cannot read what it carries: the bytes are sealed between a client and a device. One piece is in flight in
//! each direction, so an end that does not take its bytes holds the other back instead of filling memory. Timers are
//! set when something is waited for, not for each piece.

use std::{
    io,
    pin::pin,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use metrics::Counter;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split},
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval, interval_at, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite::protocol::{
    CloseFrame,
    frame::{Frame, coding::CloseCode},
};

use super::frames::{Frames, Got};

pub const PING_EVERY: Duration = Duration::from_secs(25);
/// An end that has not even answered a ping for this long is gone.
pub const GONE_AFTER: Duration = Duration::from_secs(60);
/// Room that was not filled for this long is given back.
const REST_EVERY: Duration = Duration::from_secs(1);
/// How long saying goodbye may take.
pub const GOODBYE: Duration = Duration::from_secs(2);

/// After so many bytes in one piece others get their turn: somebody may be typing.
const LARGE: usize = 16 * 1024;

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
    /// The device was removed.
    Removed,
    /// The client's account or token may not be here any more.
    SignedOff,
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
            Self::Removed => "removed",
            Self::SignedOff => "signed_off",
            Self::Stopping => "stopping",
        }
    }

    fn goodbye(self) -> Frame {
        let (code, reason) = match self {
            Self::Closed => (CloseCode::Normal, "the other end closed"),
            Self::Broken => (CloseCode::Protocol, "the other end broke off"),
            Self::Gone => (CloseCode::Away, "the other end answers no more"),
            Self::Idle => (CloseCode::Away, "nothing was carried for too long"),
            Self::Removed => (CloseCode::Policy, "the device was disconnected or deleted"),
            Self::SignedOff => (CloseCode::Policy, "the client was signed out"),
            Self::Stopping => (CloseCode::Away, "the server stops; connect again in a moment"),
        };
        Frame::close(Some(CloseFrame { code, reason: reason.into() }))
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

/// A pong that one end is owed; the direction that writes to that end sends it between two pieces.
#[derive(Default)]
struct Owed {
    pong: Mutex<Option<Vec<u8>>>,
    bell: Notify,
}

impl Owed {
    fn set(&self, bytes: Vec<u8>) {
        *self.pong.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes);
        self.bell.notify_one();
    }

    async fn due(&self) -> Vec<u8> {
        loop {
            if let Some(bytes) = self.pong.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return bytes;
            }
            self.bell.notified().await;
        }
    }
}

/// One end, to write to.
struct To<W> {
    io: WriteHalf<W>,
    /// No frame was cut in the middle.
    whole: bool,
}

impl<W: AsyncRead + AsyncWrite> To<W> {
    /// Nothing further is read before this is taken; `false` when it is not.
    async fn write(&mut self, bytes: &[u8]) -> bool {
        self.whole = false;
        let written = timeout(GONE_AFTER, self.io.write_all(bytes)).await;
        self.whole = matches!(written, Ok(Ok(())));
        self.whole
    }

    async fn frame(&mut self, frame: Frame) -> bool {
        let mut bytes = Vec::new();
        frame.format(&mut bytes).is_ok() && self.write(&bytes).await
    }

    /// What is still unread would make the goodbye unheard, so it is read and let go.
    async fn goodbye(&mut self, end: End, mut from: ReadHalf<W>) {
        if self.whole && self.frame(end.goodbye()).await && self.io.shutdown().await.is_ok() {
            let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
        }
    }
}

/// Carries until one end closes or `ending` says why not to go on, then closes both.
pub async fn run<W: AsyncRead + AsyncWrite>(
    client: W,
    device: W,
    idle: Duration,
    ending: impl Future<Output = End>,
) -> End {
    let (mut from_client, to_client) = split(client);
    let (mut from_device, to_device) = split(device);
    let [mut to_client, mut to_device] = [to_client, to_device].map(|io| To { io, whole: true });
    let carried = Carried { since: Instant::now(), last_ms: AtomicU64::new(0) };
    let bytes = |to: &'static str| metrics::counter!("foreman_relay_bytes_total", "to" => to);
    let (client_owed, device_owed) = (Owed::default(), Owed::default());
    let there = Direction {
        from_owed: &client_owed,
        to_owed: &device_owed,
        carried: &carried,
        bytes: bytes("device"),
    };
    let back = Direction {
        from_owed: &device_owed,
        to_owed: &client_owed,
        carried: &carried,
        bytes: bytes("client"),
    };
    let end = tokio::select! {
        end = ending => end,
        () = unused(&carried, idle) => End::Idle,
        end = there.carry(&mut from_client, &mut to_device) => end,
        end = back.carry(&mut from_device, &mut to_client) => end,
    };
    let goodbyes =
        futures_util::future::join(to_client.goodbye(end, from_client), to_device.goodbye(end, from_device));
    let _ = timeout(GOODBYE, goodbyes).await;
    end
}

async fn unused(carried: &Carried, idle: Duration) {
    while carried.last().elapsed() < idle {
        tokio::time::sleep_until(carried.last() + idle).await;
    }
}

struct Direction<'a> {
    from_owed: &'a Owed,
    to_owed: &'a Owed,
    carried: &'a Carried,
    bytes: Counter,
}

impl Direction<'_> {
    /// Carries; also asks the far end now and then whether it is still there.
    async fn carry<W: AsyncRead + AsyncWrite>(&self, from: &mut ReadHalf<W>, to: &mut To<W>) -> End {
        let mut frames = Frames::new(from);
        let mut ping = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut resting = interval(REST_EVERY);
        resting.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        let mut gone = pin!(sleep_until(heard + GONE_AFTER));
        loop {
            let got = tokio::select! {
                biased;
                pong = self.to_owed.due() => match to.frame(Frame::pong(pong)).await {
                    true => continue,
                    false => return End::Gone,
                },
                _ = ping.tick() => match to.frame(Frame::ping(Bytes::new())).await {
                    true => continue,
                    false => return End::Gone,
                },
                _ = resting.tick(), if frames.large() => {
                    frames.rest();
                    continue;
                }
                got = frames.next() => got,
                () = &mut gone => {
                    let until = heard + GONE_AFTER;
                    if until <= Instant::now() {
                        return End::Gone;
                    }
                    gone.as_mut().reset(until);
                    continue;
                }
            };
            match got {
                Ok(Got::Data(piece)) => {
                    if !to.write(frames.frame(&piece)).await {
                        return End::Gone;
                    }
                    self.bytes.increment(piece.carries as u64);
                    self.carried.note();
                    if piece.carries >= LARGE {
                        tokio::task::yield_now().await;
                    }
                }
                Ok(Got::Ping(bytes)) => self.from_owed.set(bytes),
                Ok(Got::Pong) => {}
                Ok(Got::Close) => return End::Closed,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return End::Closed,
                Err(_) => return End::Broken,
            }
            heard = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests;
