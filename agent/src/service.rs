//! Installs the agent as a service of the system, so that it starts with the machine and comes back by itself.
//!
//! Each step says what it did; doing it again changes nothing.

#[cfg(unix)]
mod unit;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use unix::{install, status, uninstall};
#[cfg(windows)]
pub use windows::{install, log_file, serve, status, uninstall};

/// The agent ends with this code when the server let it go for good; systemd then leaves it stopped.
pub const EXIT_FOR_GOOD: u8 = 78;

/// How long a service waits before it starts the agent again, in seconds.
const RESTART_S: u32 = 5;

/// Whether the service exists and runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installed {
    Running,
    Stopped,
    No,
}
