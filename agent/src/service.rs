//! Installs the agent as a service of the system, so that it starts with the machine and comes back by itself.
//!
//! Each step says what it did; doing it again changes nothing. What each system is told is written by pure functions
//! ([`unit`], [`launchd`], [`registered`]), so that every system's tests see all three.

#[cfg(any(unix, test))]
mod launchd;
#[cfg(any(windows, test))]
mod registered;
#[cfg(any(unix, test))]
mod unit;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use unix::{install, status, uninstall};
#[cfg(windows)]
pub use windows::{install, log_file, serve, status, uninstall};

/// How long a service waits before it starts the agent again, in seconds.
const RESTART_S: u32 = 5;

/// Whether the service exists and runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installed {
    Running,
    Stopped,
    No,
}
