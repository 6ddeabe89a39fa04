//! By the console's mode. The console says nothing when its window changes, so it is looked at.

use std::time::Duration;

use tokio::time::sleep;

const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The library remembers what was before.
pub(super) struct Before;

/// Every key goes through as it is.
pub(super) fn begin() -> std::io::Result<Before> {
    crossterm::terminal::enable_raw_mode().map(|()| Before)
}

pub(super) fn end(_before: &Before) {
    let _ = crossterm::terminal::disable_raw_mode();
}

/// Columns and rows, when there is a window.
pub fn size() -> Option<(u16, u16)> {
    crossterm::terminal::size().ok().filter(|(cols, rows)| *cols > 0 && *rows > 0)
}

/// Sees that the window has another size.
pub struct Resizes(Option<(u16, u16)>);

impl Resizes {
    #[allow(clippy::unnecessary_wraps, reason = "elsewhere it may fail")]
    pub fn new() -> std::io::Result<Self> {
        Ok(Self(size()))
    }

    /// Without an end.
    pub async fn next(&mut self) -> Option<()> {
        loop {
            sleep(LOOK_EVERY).await;
            let now = size();
            if now != self.0 {
                self.0 = now;
                return Some(());
            }
        }
    }
}
