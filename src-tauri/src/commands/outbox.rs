//! What waits to be sent to the shown server.

use foreman_client::app::{Change, Queued};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tauri::{State, ipc::Channel};
use ts_rs::TS;

use crate::{
    desk::{Desk, now},
    failure::Failure,
};

/// A change that the page could not make now.
#[derive(Debug, Clone, Deserialize, TS)]
pub struct NewChange {
    /// Made with the change, so that it is made once.
    pub key: String,
    pub method: String,
    pub path: String,
    /// JSON.
    pub body: String,
    /// What it changes: changes of one thing are made one after the other or not at all.
    pub about: String,
    /// For whoever shows it.
    #[ts(type = "unknown")]
    pub label: Value,
}

#[derive(Debug, Clone, Serialize, TS)]
pub struct WaitingChange {
    #[ts(type = "number")]
    pub place: i64,
    /// Milliseconds since the epoch.
    #[ts(type = "number")]
    pub at: i64,
    pub about: String,
    #[ts(type = "unknown")]
    pub label: Value,
    /// What the server said to it; then it waits for a person.
    pub refused: Option<Failure>,
}

impl From<Queued> for WaitingChange {
    fn from(Queued { place, at, change, refused }: Queued) -> Self {
        let refused = refused.map(|refusal| Failure {
            code: refusal.code,
            message: refusal.message,
            status: refusal.status,
            details: Value::Object(Default::default()),
        });
        Self { place, at, about: change.about, label: change.label, refused }
    }
}

/// Keeps a change until the server is there.
#[tauri::command]
pub async fn queue_change(desk: State<'_, Desk>, change: NewChange) -> Result<(), Failure> {
    let server = desk.selected()?;
    let NewChange { key, method, path, body, about, label } = change;
    let change = Change { key, method, path, body, about, label };
    desk.outbox().await?.add(&server.id, change, now()).await?;
    desk.outbox.say_changed();
    desk.outbox.nudge();
    Ok(())
}

/// Says what waits for the shown server, and each change of that, until the stream is closed.
#[tauri::command]
pub async fn watch_queue(desk: State<'_, Desk>, news: Channel<Vec<WaitingChange>>) -> Result<u32, Failure> {
    let server = desk.selected()?;
    let outbox = desk.outbox().await?;
    let mut changes = desk.outbox.changes();
    let task = tokio::spawn(async move {
        loop {
            changes.mark_unchanged();
            let waiting = outbox.list(&server.id).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "what waits to be sent cannot be read");
                Vec::new()
            });
            let waiting = waiting.into_iter().map(WaitingChange::from).collect();
            if news.send(waiting).is_err() || changes.changed().await.is_err() {
                return;
            }
        }
    });
    let number = desk.streams.number();
    desk.streams.put(number, task.abort_handle());
    Ok(number)
}

/// It is not wanted any more. One that is on its way at this moment may have been made.
#[tauri::command]
pub async fn drop_change(desk: State<'_, Desk>, place: i64) -> Result<(), Failure> {
    let server = desk.selected()?;
    let outbox = desk.outbox().await?;
    let held = desk.outbox.sending.lock().await;
    outbox.remove(&server.id, place).await?;
    drop(held);
    desk.outbox.say_changed();
    desk.outbox.nudge();
    Ok(())
}

/// Sends it once more, and whatever waits at once.
#[tauri::command]
pub async fn retry_change(desk: State<'_, Desk>, place: i64) -> Result<(), Failure> {
    let server = desk.selected()?;
    let outbox = desk.outbox().await?;
    let held = desk.outbox.sending.lock().await;
    outbox.mark(&server.id, place, None).await?;
    drop(held);
    desk.outbox.say_changed();
    desk.outbox.nudge();
    Ok(())
}
