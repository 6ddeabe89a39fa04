//! The menu at the top of a Mac's screen: the standard set, with this app's own settings and about. Elsewhere windows
//! have no such bar, and the tray and the pages lead to the same.

use foreman_client::app::notices::Words;
use tauri::{
    AppHandle,
    menu::{AboutMetadata, Menu, MenuBuilder, MenuItemBuilder, SubmenuBuilder},
};

use crate::links;

const SETTINGS: &str = "settings";

/// In its person's language, which the system gives only to apps that are made once for each.
pub fn show(app: &AppHandle, words: Words) {
    if let Err(error) = build(app, words).and_then(|menu| app.set_menu(menu)) {
        tracing::warn!(%error, "there is no menu");
    }
}

fn build(app: &AppHandle, words: Words) -> tauri::Result<Menu<tauri::Wry>> {
    let say = |key: &str| words.say(key, &[]);
    let settings = MenuItemBuilder::with_id(SETTINGS, format!("{} …", say("tray_settings")))
        .accelerator("CmdOrCtrl+,")
        .build(app)?;
    let about =
        AboutMetadata { version: Some(env!("CARGO_PKG_VERSION").to_owned()), ..AboutMetadata::default() };
    let own = SubmenuBuilder::new(app, "Foreman")
        .about_with_text(say("tray_about"), Some(about))
        .separator()
        .item(&settings)
        .separator()
        .services_with_text(say("menu_services"))
        .separator()
        .hide_with_text(say("menu_hide"))
        .hide_others_with_text(say("menu_hide_others"))
        .show_all_with_text(say("menu_show_all"))
        .separator()
        .quit_with_text(say("tray_quit"))
        .build()?;
    let edit = SubmenuBuilder::new(app, say("menu_edit"))
        .undo_with_text(say("menu_undo"))
        .redo_with_text(say("menu_redo"))
        .separator()
        .cut_with_text(say("menu_cut"))
        .copy_with_text(say("menu_copy"))
        .paste_with_text(say("menu_paste"))
        .select_all_with_text(say("menu_select_all"))
        .build()?;
    let window = SubmenuBuilder::new(app, say("menu_window"))
        .minimize_with_text(say("menu_minimize"))
        .maximize_with_text(say("menu_zoom"))
        .fullscreen_with_text(say("menu_full_screen"))
        .close_window_with_text(say("menu_close"))
        .build()?;
    MenuBuilder::new(app).items(&[&own, &edit, &window]).build()
}

/// What was chosen in it.
pub fn chosen(app: &AppHandle, id: &str) {
    if id == SETTINGS {
        links::go_here(app, "/settings".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use foreman_client::app::{Language, notices::Words};

    #[test]
    fn everything_in_the_menu_has_words_in_both_languages() {
        let source = include_str!("menus.rs").split("mod tests").next().unwrap();
        let keys: BTreeSet<&str> =
            source.split("say(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(keys.len(), 19);
        for key in keys {
            let [english, german] = [Language::En, Language::De].map(|one| Words::of(one).say(key, &[]));
            assert!(english != key && german != key && english != german, "{key}");
        }
    }
}
