//! The app in its system: the window and what keeps it, what starts it and what calls it. Phones have none of it.

#[cfg(desktop)]
mod desktop;

#[cfg(desktop)]
use foreman_client::app::notices::Words;
use foreman_client::app::{Language, Preferences};
use tauri::AppHandle;

use crate::{
    commands::preferences::{AppChoice, AppPreferences},
    failure::Failure,
};

#[cfg(desktop)]
pub use desktop::{begin, is_hidden_start, plugins, window_event};

/// The keys that bring the palette, where a person wants any.
#[cfg(desktop)]
pub const KEYS: &str = "CmdOrCtrl+Shift+Space";

/// What is chosen, as the system has it.
#[cfg(desktop)]
pub fn preferences(app: &AppHandle, kept: &Preferences) -> AppPreferences {
    AppPreferences {
        choice: AppChoice {
            start_at_login: desktop::starts_at_login(app),
            background: kept.background,
            shortcut: kept.shortcut.is_some(),
        },
        tray: crate::tray::is_shown(app),
        keys: KEYS.replace("CmdOrCtrl", if cfg!(target_os = "macos") { "⌘" } else { "Ctrl" }),
    }
}

#[cfg(mobile)]
pub fn preferences(_app: &AppHandle, kept: &Preferences) -> AppPreferences {
    let choice = AppChoice { start_at_login: false, background: kept.background, shortcut: false };
    AppPreferences { choice, tray: false, keys: String::new() }
}

/// # Errors
/// When the system does not take one of them; those before it stand.
#[cfg(desktop)]
pub fn choose(app: &AppHandle, choice: &AppChoice) -> Result<(), Failure> {
    desktop::choose(app, choice)
}

#[cfg(mobile)]
pub fn choose(_app: &AppHandle, _choice: &AppChoice) -> Result<(), Failure> {
    Ok(())
}

/// What is said once for a language is said in this one.
pub fn speak(app: &AppHandle, language: Language) {
    #[cfg(desktop)]
    if cfg!(target_os = "macos") {
        crate::menus::show(app, Words::of(language));
    }
    #[cfg(mobile)]
    let _ = (app, language);
}

/// In another language, or of a server with another name.
pub fn say_again(app: &AppHandle) {
    #[cfg(desktop)]
    crate::tray::refresh(app);
    #[cfg(mobile)]
    let _ = app;
}
