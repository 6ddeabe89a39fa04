//! The desktop's part: start at login, keys from anywhere, a window that may be closed without an end.

use foreman_client::app::notices::Words;
use tauri::{AppHandle, Builder, Manager, Window, WindowEvent, Wry};
use tauri_plugin_autostart::ManagerExt;
use tauri_plugin_global_shortcut::{
    GlobalShortcut, GlobalShortcutExt, Shortcut, ShortcutEvent, ShortcutState,
};
use tauri_plugin_window_state::StateFlags;

use super::KEYS;
use crate::{
    commands::{preferences::AppChoice, shell::AppNews},
    desk::Desk,
    failure::{AppCode, Failure},
    menus, tray,
};

/// Given to a start at login, which needs no window when the app goes on without one anyway.
const AT_LOGIN: &str = "--at-login";

/// What only desktops have. The first of them must stay first: a second start only hands over its link.
pub fn plugins(builder: Builder<Wry>) -> Builder<Wry> {
    builder
        .plugin(tauri_plugin_single_instance::init(|app, _arguments, _folder| crate::show(app)))
        // The window comes back where it was; whether it is seen is decided anew.
        .plugin(
            tauri_plugin_window_state::Builder::default()
                .with_state_flags(StateFlags::all() & !StateFlags::VISIBLE)
                .build(),
        )
        .plugin(tauri_plugin_autostart::Builder::new().arg(AT_LOGIN).app_name("Foreman").build())
        .plugin(tauri_plugin_updater::Builder::new().build())
}

/// After the window was made.
pub fn begin(app: &AppHandle) {
    tray::begin(app);
    let desk = app.state::<Desk>();
    let kept = desk.preferences().get().clone();
    if cfg!(target_os = "macos") {
        app.on_menu_event(|app, event| menus::chosen(app, event.id().as_ref()));
        menus::show(app, Words::of(kept.language.unwrap_or_default()));
    }
    if let Some(keys) = &kept.shortcut
        && let Err(failure) = listen_for(app, Some(keys))
    {
        tracing::warn!(reason = failure.message, "the keys for the search belong to somebody else");
    }
}

/// Whether this start needs no window.
pub fn is_hidden_start(desk: &Desk) -> bool {
    desk.preferences().get().background && std::env::args().any(|argument| argument == AT_LOGIN)
}

pub fn window_event(window: &Window, event: &WindowEvent) {
    let Some(desk) = window.try_state::<Desk>() else { return };
    match event {
        WindowEvent::CloseRequested { api, .. } if desk.preferences().get().background => {
            api.prevent_close();
            let _ = window.hide();
        }
        WindowEvent::Focused(true) => desk.watch.front(),
        _ => {}
    }
}

fn refused(error: impl ToString) -> Failure {
    Failure::new(AppCode::NotTaken, error.to_string())
}

pub fn starts_at_login(app: &AppHandle) -> bool {
    app.autolaunch().is_enabled().unwrap_or_default()
}

pub fn choose(app: &AppHandle, choice: &AppChoice) -> Result<(), Failure> {
    if choice.start_at_login != starts_at_login(app) {
        let login = app.autolaunch();
        if choice.start_at_login { login.enable() } else { login.disable() }.map_err(refused)?;
    }
    let keys = choice.shortcut.then_some(KEYS);
    listen_for(app, keys)?;
    let desk = app.state::<Desk>();
    desk.preferences().change(|kept| {
        kept.background = choice.background;
        kept.shortcut = keys.map(str::to_owned);
    })?;
    Ok(())
}

/// Listens for these keys everywhere, and for no others.
fn listen_for(app: &AppHandle, keys: Option<&str>) -> Result<(), Failure> {
    let listens = app.try_state::<GlobalShortcut<Wry>>().is_some();
    if listens {
        app.global_shortcut().unregister_all().map_err(refused)?;
    }
    let Some(keys) = keys else { return Ok(()) };
    // Only where somebody wants it: on Linux whoever listens looks for keys twenty times a second.
    if !listens {
        app.plugin(tauri_plugin_global_shortcut::Builder::new().build()).map_err(refused)?;
    }
    let called = |app: &AppHandle, _keys: &Shortcut, event: ShortcutEvent| {
        if event.state() == ShortcutState::Pressed {
            crate::show(app);
            app.state::<Desk>().news.tell(AppNews::Palette);
        }
    };
    app.global_shortcut().on_shortcut(keys, called).map_err(refused)
}
