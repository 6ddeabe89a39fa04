//! Updates of this app: looked for when a person asks, and installed when the person says so. There are none, and
//! nothing speaks of them, until whoever packs the app says where they are announced and which key signs them.

use serde::Serialize;
use tauri::{AppHandle, State, ipc::Channel};
use ts_rs::TS;

use crate::{desk::Desk, failure::Failure};

/// A newer app than this one.
#[derive(Debug, Clone, Serialize, TS)]
pub struct UpdateOffer {
    pub version: String,
    pub notes: Option<String>,
}

/// How much of it is here, in bytes.
#[derive(Debug, Clone, Copy, Serialize, TS)]
pub struct UpdateProgress {
    #[ts(type = "number")]
    pub done: u64,
    /// Absent when it was not said.
    #[ts(type = "number | null")]
    pub all: Option<u64>,
}

/// What is offered now; nothing when this is the newest.
#[tauri::command]
pub async fn look_for_update(desk: State<'_, Desk>, app: AppHandle) -> Result<Option<UpdateOffer>, Failure> {
    desk.updates.look(&app).await
}

/// Fetches what was offered, proves that the key signed it for this very version, installs it and starts anew.
#[tauri::command]
pub async fn install_update(
    desk: State<'_, Desk>,
    app: AppHandle,
    version: String,
    progress: Channel<UpdateProgress>,
) -> Result<(), Failure> {
    desk.updates.install(&version, move |step| drop(progress.send(step))).await?;
    app.restart()
}
