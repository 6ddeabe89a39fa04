//! This process's own terminal: its size, and every key as it is typed.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::io::{IsTerminal, stdin};

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

pub use system::{Resizes, size};

/// Every key goes through as it is until this is dropped.
pub struct Raw(system::Before);

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
        system::begin().map(|before| Some(Self(before)))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        system::end(&self.0);
    }
}
