//! Files and directories for the agent's own user alone.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use unix::{make_directory, options};
#[cfg(windows)]
pub use windows::{make_directory, options};
