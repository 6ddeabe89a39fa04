//! What is sealed with the keychain's keys since a file took the keychain's place: it is kept, and comes back when the
//! keychain opens.

use serde::Serialize;
use tauri::State;
use ts_rs::TS;

use crate::{desk::Desk, failure::Failure};

/// Of the shown server.
#[derive(Debug, Clone, Copy, Serialize, TS)]
pub struct Aside {
    pub changes: u32,
    pub drafts: u32,
}

#[tauri::command]
pub async fn aside(desk: State<'_, Desk>) -> Result<Aside, Failure> {
    count(&desk).await
}

/// Takes in what the keychain opens. Says what is left.
#[tauri::command]
pub async fn take_in_aside(desk: State<'_, Desk>) -> Result<Aside, Failure> {
    let server = desk.selected()?.id;
    let [outbox, drafts] = desk.keys_before().await?;
    if let Some(key) = outbox {
        let held = desk.outbox.sending.lock().await;
        desk.outbox().await?.take_in(&server, key).await?;
        drop(held);
        desk.outbox.say_changed();
        desk.outbox.nudge();
    }
    if let Some(key) = drafts {
        desk.drafts().await?.take_in(&server, key).await?;
    }
    count(&desk).await
}

/// It is not wanted any more.
#[tauri::command]
pub async fn drop_aside(desk: State<'_, Desk>) -> Result<(), Failure> {
    let server = desk.selected()?.id;
    if !desk.is_without_keychain() {
        return Ok(());
    }
    desk.outbox().await?.forget_aside(&server).await?;
    desk.drafts().await?.forget_aside(&server).await?;
    Ok(())
}

/// Nobody is asked for a key where nothing was ever kept.
async fn count(desk: &Desk) -> Result<Aside, Failure> {
    let (server, mut aside) = (desk.selected()?.id, Aside { changes: 0, drafts: 0 });
    if !desk.is_without_keychain() {
        return Ok(aside);
    }
    let counted = |count| u32::try_from(count).unwrap_or(u32::MAX);
    if desk.outbox_file().exists() {
        aside.changes = counted(desk.outbox().await?.aside(&server).await?);
    }
    if desk.drafts_file().exists() {
        aside.drafts = counted(desk.drafts().await?.aside(&server).await?);
    }
    Ok(aside)
}
