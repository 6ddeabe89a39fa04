//! How a running agent is asked to end.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use tokio::sync::Notify;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

static ASKED: Notify = Notify::const_new();

/// Asks this program's agent to end, also one that has not begun to listen.
pub fn ask() {
    ASKED.notify_one();
}

/// Waits to be asked, and says how.
///
/// # Errors
/// When the system does not let its requests be heard.
pub(crate) async fn asked() -> anyhow::Result<&'static str> {
    tokio::select! {
        () = ASKED.notified() => Ok("asked to end"),
        how = system::asked() => how,
    }
}
