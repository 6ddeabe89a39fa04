//! Changes that wait for their server: kept by the SDK's outbox, sent in order as soon as the server is there.

use std::time::Duration;

use foreman_client::app::{Outbox, Step};
use tauri::{AppHandle, Manager};
use tokio::{
    sync::{Mutex, Notify, OnceCell, watch},
    time::{sleep, timeout},
};

use crate::{
    desk::Desk,
    failure::{AppCode, Failure},
};

/// How often it is tried while something waits and nothing says that the server is back.
const AGAIN: Duration = Duration::from_secs(10);
/// One change is answered within this, or is tried again: it is made once all the same.
const ANSWER: Duration = Duration::from_secs(30);

#[derive(Default)]
pub struct Waiting {
    pub opened: OnceCell<Outbox>,
    /// Held while one is on its way, so that none is changed meanwhile.
    pub sending: Mutex<()>,
    changed: watch::Sender<u64>,
    due: Notify,
}

impl Waiting {
    /// There is something to send, or the server is back.
    pub fn nudge(&self) {
        self.due.notify_one();
    }

    /// What waits is not what it was.
    pub fn say_changed(&self) {
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

/// Sends what waits, for as long as the app runs.
pub async fn keep(app: AppHandle) {
    let desk = app.state::<Desk>();
    loop {
        tokio::select! {
            () = desk.outbox.due.notified() => {}
            () = sleep(AGAIN) => {}
        }
        // Nothing was ever put there: no keychain is asked for it.
        if desk.outbox.opened.initialized() || desk.outbox_file().exists() {
            send(&desk).await;
        }
    }
}

async fn send(desk: &Desk) {
    let outbox = match desk.outbox().await {
        Ok(outbox) => outbox,
        Err(failure) => {
            tracing::warn!(failure.message, "what waits to be sent cannot be read");
            return;
        }
    };
    let known = desk.servers().all().to_vec();
    for server in known {
        // With nothing to send nobody is asked who is signed in.
        if !matches!(outbox.next(&server.id).await, Ok(Some(_))) {
            continue;
        }
        let Ok(Some(foreman)) = desk.foreman(&server).await else { continue };
        loop {
            let held = desk.outbox.sending.lock().await;
            let step = timeout(ANSWER, outbox.send_next(&server.id, &foreman)).await;
            drop(held);
            match step {
                Ok(Ok(Step::Settled)) => desk.outbox.say_changed(),
                Ok(Ok(Step::Nothing | Step::Later)) | Err(_) => break,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "what became of a change cannot be written down");
                    break;
                }
            }
        }
    }
}

impl From<foreman_client::app::OutboxError> for Failure {
    fn from(error: foreman_client::app::OutboxError) -> Self {
        Self::new(AppCode::Storage, error.to_string())
    }
}
