//! How a running server is asked to end.

use tokio::sync::oneshot;

/// Resolves on Ctrl-C or SIGTERM.
#[cfg(unix)]
pub(super) async fn asked() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupt = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = interrupt => {}
            _ = terminate.recv() => {}
        },
        Err(_) => {
            let _ = interrupt.await;
        }
    }
}

/// Resolves on Ctrl-C or Ctrl-Break, when the console's window is closed, and when Windows ends.
#[cfg(windows)]
pub(super) async fn asked() {
    use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};
    match (ctrl_c(), ctrl_break(), ctrl_close(), ctrl_shutdown()) {
        (Ok(mut c), Ok(mut pause), Ok(mut close), Ok(mut shutdown)) => tokio::select! {
            _ = c.recv() => {}
            _ = pause.recv() => {}
            _ = close.recv() => {}
            _ = shutdown.recv() => {}
        },
        _ => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

/// Resolves when standard input has ended. To be asked for once.
pub(super) async fn input_ended() {
    let (ended, heard) = oneshot::channel();
    foreman_services::when_input_ends(|| {
        let _ = ended.send(());
    });
    let _ = heard.await;
}
