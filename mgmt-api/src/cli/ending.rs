//! How a running server is asked to end.

use tokio::sync::oneshot;

/// Resolves on Ctrl-C or SIGTERM, which are heard from this call on.
#[cfg(unix)]
pub(super) fn asked() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let heard = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    async {
        match heard {
            (Ok(mut interrupt), Ok(mut terminate)) => tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            },
            _ => {
                let _ = tokio::signal::ctrl_c().await;
            }
        }
    }
}

/// Resolves on Ctrl-C or Ctrl-Break, when the console's window is closed, and when Windows ends; heard from this call on.
#[cfg(windows)]
pub(super) fn asked() -> impl Future<Output = ()> {
    use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};
    let heard = (ctrl_c(), ctrl_break(), ctrl_close(), ctrl_shutdown());
    async {
        match heard {
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
}

/// Resolves when standard input has ended. To be asked for once.
pub(super) async fn input_ended() {
    let (ended, heard) = oneshot::channel();
    foreman_services::when_input_ends(|| {
        let _ = ended.send(());
    });
    let _ = heard.await;
}
