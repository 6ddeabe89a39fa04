//! Other programs on this machine, by their numbers.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::{began, end, lives};
#[cfg(windows)]
pub(crate) use windows::{began, end, lives};
