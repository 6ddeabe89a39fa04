//! By a signal.

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

/// Waits to be asked, and says how.
///
/// # Errors
/// When the system does not let signals be heard.
pub(super) async fn asked() -> anyhow::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate()).context("Cannot listen for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("Cannot listen for signals")?;
    Ok(tokio::select! {
        _ = terminate.recv() => "asked to end",
        _ = interrupt.recv() => "interrupted",
    })
}
