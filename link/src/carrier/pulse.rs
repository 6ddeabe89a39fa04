//! Whether the other end of a WebSocket still lives: boxes on the way forget quiet connections, so it is asked every
//! 25 s, and given up when it leaves two questions without a sign of life.

use std::{io, task::Context, time::Duration};

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// Between two pings.
pub(super) const PING_EVERY: Duration = Duration::from_secs(25);

/// Pings without a sign of life before the peer is given up.
const UNANSWERED: u8 = 2;

pub(super) struct Pulse {
    pings: Interval,
    /// Pings since something was heard.
    unanswered: u8,
}

impl Pulse {
    /// Needs a Tokio runtime with time.
    pub fn new() -> Self {
        let mut pings = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { pings, unanswered: 0 }
    }

    /// The other end said something.
    pub fn heard(&mut self) {
        self.unanswered = 0;
    }

    /// Whether a ping is due. Only a reader asks, so a peer that we do not listen to is not given up.
    ///
    /// # Errors
    /// When the peer is gone.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut due = false;
        while self.pings.poll_tick(cx).is_ready() {
            if self.unanswered >= UNANSWERED {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the other end has not answered for a minute",
                ));
            }
            self.unanswered += 1;
            due = true;
        }
        Ok(due)
    }
}
