//! The pseudo-terminal: the agent's end of it.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use portable_pty::PtySize;

#[cfg(unix)]
pub(super) use unix::{Child, Children, Pty, start};
#[cfg(windows)]
pub(super) use windows::{Child, Children, Pty, start};

/// How a terminal's process ended.
pub(super) struct Left {
    pub(super) exit_code: Option<i32>,
    /// Its name, where there are signals.
    pub(super) signal: Option<String>,
}

/// What was taken of the output.
pub(super) struct Taken {
    /// So many bytes are in the buffer.
    pub(super) count: usize,
    /// There will be no more.
    pub(super) over: bool,
}

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize { cols, rows, pixel_width: 0, pixel_height: 0 }
}
