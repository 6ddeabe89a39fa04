//! The pseudo-terminal: the agent's end of it.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use portable_pty::PtySize;

#[cfg(unix)]
pub(super) use unix::{Child, Children, Output, Pty, start};
#[cfg(windows)]
pub(super) use windows::{Child, Children, Output, Pty, start};

/// At most this much is taken before viewers are woken.
const PIECE: usize = super::attach::MOST_OUTPUT;

/// How a terminal's process ended.
pub(super) struct Left {
    pub(super) exit_code: Option<i32>,
    /// Its name, where there are signals.
    pub(super) signal: Option<String>,
}

/// What was taken of the output.
pub(super) struct Taken<'a> {
    pub(super) piece: &'a [u8],
    /// There will be no more.
    pub(super) over: bool,
}

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize { cols, rows, pixel_width: 0, pixel_height: 0 }
}
