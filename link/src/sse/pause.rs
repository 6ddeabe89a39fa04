//! How long to wait before asking again: at once after a good stream, then longer and longer, forever.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

/// The first retry after a stream that worked: a restart of the server is over in a moment.
const QUICK: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(50))
    .with_max_delay(Duration::from_millis(50))
    .with_jitter()
    .without_max_times();

/// Every retry after it. With jitter, so that many agents do not come back in step.
const LONGER: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(250))
    .with_factor(2.0)
    .with_max_delay(Duration::from_secs(20))
    .with_jitter()
    .without_max_times();

/// A stream that lived this long was good, however it ended.
const GOOD: Duration = Duration::from_secs(10);

pub(super) struct Pause {
    longer: ExponentialBackoff,
    /// The quick retry was used since the last good stream.
    hurried: bool,
    opened: Option<Instant>,
    heard: bool,
}

impl Pause {
    pub(super) fn new() -> Self {
        Self { longer: LONGER.build(), hurried: false, opened: None, heard: false }
    }

    pub(super) fn opened(&mut self) {
        self.opened = Some(Instant::now());
        self.heard = false;
    }

    pub(super) fn heard(&mut self) {
        self.heard = true;
    }

    /// The time to wait now that the stream is gone or was not opened.
    pub(super) fn after_loss(&mut self) -> Duration {
        let opened = self.opened.take();
        let heard = std::mem::take(&mut self.heard);
        if heard && opened.is_some_and(|at| at.elapsed() >= GOOD) {
            self.longer = LONGER.build();
            self.hurried = false;
        }
        // A server that accepts, speaks and hangs up at once is not hammered: the quick retry comes once.
        if opened.is_some() && !self.hurried {
            self.hurried = true;
            return QUICK.build().next().unwrap_or_default();
        }
        self.longer.next().unwrap_or(Duration::from_secs(20))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn quick_once_then_longer_then_quick_again_after_a_good_stream() {
        let mut pause = Pause::new();
        pause.opened();
        pause.heard();
        assert!(pause.after_loss() <= Duration::from_millis(100));
        let waits: Vec<_> = (0..40).map(|_| pause.after_loss()).collect();
        assert!(
            waits[0] >= Duration::from_millis(250) && waits[0] <= Duration::from_millis(500),
            "{waits:?}"
        );
        assert!(waits[39] >= Duration::from_secs(20) && waits[39] <= Duration::from_secs(40), "{waits:?}");
        pause.opened();
        pause.heard();
        assert!(pause.after_loss() >= Duration::from_secs(20), "hung up at once: no hurry");
        pause.opened();
        pause.heard();
        tokio::time::advance(GOOD).await;
        assert!(pause.after_loss() <= Duration::from_millis(100));
    }

    #[test]
    fn a_server_that_never_answered_is_not_hurried() {
        assert!(Pause::new().after_loss() >= Duration::from_millis(250));
    }
}
