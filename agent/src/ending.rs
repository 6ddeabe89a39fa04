//! How a running agent is asked to end.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::asked;
#[cfg(windows)]
pub(crate) use windows::{ask, asked};
