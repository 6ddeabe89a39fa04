//! Whether the server can be heard, for everybody who waits for it.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use foreman_protocol::Millis;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// The state of the command stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum Line {
    /// Not open, since then and why. `error` is empty before the first attempt has failed.
    Down {
        since: Millis,
        error: String,
    },
    Up {
        since: Millis,
    },
}

impl Line {
    #[must_use]
    pub const fn is_up(&self) -> bool {
        matches!(self, Line::Up { .. })
    }
}

/// Between two attempts of the same request.
const RETRY: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(250))
    .with_factor(2.0)
    .with_max_delay(Duration::from_secs(30))
    .with_jitter()
    .without_max_times();

/// Waits between attempts, longer and longer, and no longer than until the line is up again.
pub struct Pause {
    line: watch::Receiver<Line>,
    delays: ExponentialBackoff,
}

impl Pause {
    #[must_use]
    pub fn new(line: watch::Receiver<Line>) -> Self {
        Self { line, delays: RETRY.build() }
    }

    /// The last attempt succeeded.
    pub fn reset(&mut self) {
        self.delays = RETRY.build();
    }

    pub async fn wait(&mut self) {
        let delay = self.delays.next().unwrap_or(Duration::from_secs(30));
        let came_up = async {
            self.line.mark_unchanged();
            while self.line.changed().await.is_ok() {
                if self.line.borrow_and_update().is_up() {
                    return;
                }
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = came_up => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn coming_up_ends_the_wait() {
        let (sender, line) = watch::channel(Line::Down { since: 0, error: String::new() });
        let mut pause = Pause::new(line);
        for _ in 0..10 {
            pause.wait().await;
        }
        let before = tokio::time::Instant::now();
        let (_, ()) = tokio::join!(pause.wait(), async {
            tokio::task::yield_now().await;
            sender.send_replace(Line::Down { since: 1, error: String::new() });
            tokio::task::yield_now().await;
            sender.send_replace(Line::Up { since: 2 });
        });
        assert!(before.elapsed() < Duration::from_secs(1));
    }
}
