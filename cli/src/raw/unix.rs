//! By the line's settings.

use std::io::{stdin, stdout};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The settings before.
pub(super) struct Before(Termios);

/// Every key goes through as it is.
pub(super) fn begin() -> std::io::Result<Before> {
    let before = tcgetattr(stdin())?;
    let mut raw = before.clone();
    raw.make_raw();
    tcsetattr(stdin(), OptionalActions::Now, &raw)?;
    Ok(Before(before))
}

pub(super) fn end(before: &Before) {
    let _ = tcsetattr(stdin(), OptionalActions::Drain, &before.0);
}

/// Columns and rows, when there is a window.
pub fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(stdout()).or_else(|_| tcgetwinsize(stdin())).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}

/// Hears that the window may have another size.
pub struct Resizes(Signal);

impl Resizes {
    pub fn new() -> std::io::Result<Self> {
        signal(SignalKind::window_change()).map(Self)
    }

    /// `None` when there will be no more.
    pub async fn next(&mut self) -> Option<()> {
        self.0.recv().await
    }
}
