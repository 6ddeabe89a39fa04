//! The menu at the top of a Mac's screen: the standard set, with this app's own settings and about. Elsewhere windows
//! have no such bar, and the tray and the pages lead to the same.

use foreman_client::app::notices::Words;
use tauri::{
    AppHandle,
    menu::{AboutMetadata, Menu, MenuBuilder, MenuItemBuilder, SubmenuBuilder},
};

use crate::links;

const SETTINGS: &str = "settings";

/// The menu of a Mac.
pub fn build(app: &AppHandle, words: Words) -> tauri::Result<Menu<tauri::Wry>> {
    let settings = MenuItemBuilder::with_id(SETTINGS, format!("{} …", words.say("tray_settings", &[])))
        .accelerator("CmdOrCtrl+,")
        .build(app)?;
    let about =
        AboutMetadata { version: Some(env!("CARGO_PKG_VERSION").to_owned()), ..AboutMetadata::default() };
    let own = SubmenuBuilder::new(app, "Foreman")
        .about(Some(about))
        .separator()
        .item(&settings)
        .separator()
        .services()
        .separator()
        .hide()
        .hide_others()
        .show_all()
        .separator()
        .quit()
        .build()?;
    let edit = SubmenuBuilder::new(app, "Edit")
        .undo()
        .redo()
        .separator()
        .cut()
        .copy()
        .paste()
        .select_all()
        .build()?;
    let window =
        SubmenuBuilder::new(app, "Window").minimize().maximize().fullscreen().close_window().build()?;
    MenuBuilder::new(app).items(&[&own, &edit, &window]).build()
}

/// What was chosen in it.
pub fn chosen(app: &AppHandle, id: &str) {
    if id == SETTINGS {
        links::go_here(app, "/settings".to_owned());
    }
}
