//! Reading and writing at a place in a file, wherever others read it.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::{read_at, write_all_at};
#[cfg(windows)]
pub(crate) use windows::{read_at, write_all_at};
