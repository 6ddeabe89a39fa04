//! By the console.

use anyhow::Context as _;
use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};

/// Waits to be asked, and says how.
///
/// # Errors
/// When the system does not let the console be heard.
pub(super) async fn asked() -> anyhow::Result<&'static str> {
    let heard = "Cannot listen for the console's events";
    let (mut c, mut pause) = (ctrl_c().context(heard)?, ctrl_break().context(heard)?);
    let (mut close, mut shutdown) = (ctrl_close().context(heard)?, ctrl_shutdown().context(heard)?);
    Ok(tokio::select! {
        _ = c.recv() => "interrupted",
        _ = pause.recv() => "interrupted",
        _ = close.recv() => "its window was closed",
        _ = shutdown.recv() => "Windows ends",
    })
}
