//! This process's own terminal: its size, and every key as it is typed.

use std::io::{IsTerminal, stdin, stdout};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Every key goes through as it is until this is dropped.
pub struct Raw(Termios);

impl Raw {
    /// Whether somebody types, rather than a file.
    pub fn is_possible() -> bool {
        stdin().is_terminal()
    }

    /// `None` when standard input is no terminal.
    pub fn begin() -> std::io::Result<Option<Self>> {
        if !Self::is_possible() {
            return Ok(None);
        }
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        Ok(Some(Self(before)))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Drain, &self.0);
    }
}

/// Columns and rows, when there is a window.
pub fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(stdout()).or_else(|_| tcgetwinsize(stdin())).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}
