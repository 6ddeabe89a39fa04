//! What the system around the window offers.

use serde::Serialize;
use tauri::{AppHandle, State, ipc::Channel};
use tauri_plugin_opener::OpenerExt;
use ts_rs::TS;

use crate::{
    desk::Desk,
    failure::{AppCode, Failure},
};

/// What is told to the window without being asked.
#[derive(Debug, Clone, Serialize, TS)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AppNews {
    /// A pairing link was opened; the person is asked.
    Pair { link: String },
    /// Go to this page.
    Open { page: String },
    /// Another server is shown: begin again at this page.
    Enter { page: String },
    /// Show the palette: keys asked for it, which phones have none of.
    #[cfg(desktop)]
    Palette,
}

/// A page began: what an earlier one had open is closed, and news go here from now on.
#[tauri::command]
pub fn begin(desk: State<'_, Desk>, news: Channel<AppNews>) {
    desk.close_all();
    desk.news.listen(news);
}

/// Opens a web address in the browser.
#[tauri::command]
pub fn open_outside(app: AppHandle, address: String) -> Result<(), Failure> {
    let web = address.starts_with("https://") || address.starts_with("http://");
    if !web || address.len() > 4_096 {
        return Err(Failure::new(AppCode::NotAnAddress, "Only web addresses are opened in the browser."));
    }
    let failed = |error: tauri_plugin_opener::Error| Failure::new(AppCode::ProgramFailed, error.to_string());
    app.opener().open_url(address, None::<&str>).map_err(failed)
}
