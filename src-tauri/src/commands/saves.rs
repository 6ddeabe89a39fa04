//! Files that are saved on this machine.

use std::{path::PathBuf, time::Duration};

use percent_encoding::percent_decode_str;
use tauri::{
    AppHandle, Manager, State,
    ipc::{Channel, InvokeBody, Request},
};

use crate::{
    ask::AskHead,
    desk::Desk,
    failure::{AppCode, Failure},
    saves::Save,
};

/// The header with the name of what the window itself made, percent-encoded.
const NAME: &str = "x-foreman-name";
/// Progress is told so often at most.
const PACE: Duration = Duration::from_millis(200);

/// Where a browser would put them.
fn folder(app: &AppHandle) -> Result<PathBuf, Failure> {
    let failed = |error: tauri::Error| Failure::new(AppCode::Storage, error.to_string());
    let path = app.path();
    // What iOS calls downloads, no person can open.
    if cfg!(target_os = "ios") {
        return path.document_dir().map_err(failed);
    }
    // A desktop that names no folder for them has none yet.
    path.download_dir().or_else(|_| Ok(path.home_dir().map_err(failed)?.join("Downloads")))
}

/// Begins to fetch what is asked for into a file; without a name it is called as the answer says.
#[tauri::command]
pub async fn begin_save(
    desk: State<'_, Desk>,
    app: AppHandle,
    head: AskHead,
    name: Option<String>,
) -> Result<u32, Failure> {
    if head.method != "GET" {
        return Err(Failure::new(AppCode::Unreadable, "Only what is read can be saved."));
    }
    desk.saves.begin(&app, head, name.as_deref(), &folder(&app)?).await
}

/// Saves the body, which the window made, as a file.
#[tauri::command]
pub async fn save_content(
    desk: State<'_, Desk>,
    app: AppHandle,
    request: Request<'_>,
) -> Result<u32, Failure> {
    let wrong = || Failure::new(AppCode::Unreadable, "The window saved in a shape that is not known.");
    let name = request.headers().get(NAME).and_then(|name| name.to_str().ok()).ok_or_else(wrong)?;
    let name = percent_decode_str(name).decode_utf8().map_err(|_| wrong())?;
    let InvokeBody::Raw(content) = request.body() else { return Err(wrong()) };
    desk.saves.put(content, &name, &folder(&app)?)
}

/// Tells all of them, now and whenever something changes, until the stream is closed.
#[tauri::command]
pub fn watch_saves(desk: State<'_, Desk>, news: Channel<Vec<Save>>) -> u32 {
    let saves = desk.saves.clone();
    let mut changed = saves.watch();
    let task = tauri::async_runtime::spawn(async move {
        loop {
            changed.borrow_and_update();
            if news.send(saves.list()).is_err() {
                return;
            }
            tokio::time::sleep(PACE).await;
            if changed.changed().await.is_err() {
                return;
            }
        }
    });
    let number = desk.streams.number();
    desk.streams.put(number, task.inner().abort_handle());
    number
}

#[tauri::command]
pub fn pause_save(desk: State<'_, Desk>, number: u32) {
    desk.saves.pause(number);
}

#[tauri::command]
pub fn resume_save(desk: State<'_, Desk>, app: AppHandle, number: u32) {
    desk.saves.go(&app, number);
}

#[tauri::command]
pub fn remove_save(desk: State<'_, Desk>, number: u32) {
    desk.saves.remove(number);
}

/// Shows the file in its folder; a phone offers it to its other apps instead.
#[tauri::command]
pub async fn show_save(desk: State<'_, Desk>, app: AppHandle, number: u32) -> Result<(), Failure> {
    let gone = || Failure::new(AppCode::Storage, "The file is not there.");
    let path = desk.saves.path(number).filter(|path| path.exists()).ok_or_else(gone)?;
    crate::phone::share(&app, &path)
}
