//! The icon in the tray: how the fleet is, and the ways in. Where nobody shows icons there is none, and nothing else
//! differs.

mod lines;
#[cfg(target_os = "linux")]
mod watcher;

use std::sync::Mutex;

use tauri::{
    AppHandle, Manager,
    menu::{Menu, MenuBuilder, MenuItemBuilder},
    tray::TrayIconBuilder,
};

use crate::{
    desk::{Desk, unpoisoned},
    links,
};
use lines::Line;

const ID: &str = "fleet";

/// What the icon's menu says now, so that it is drawn again only when that changes.
#[derive(Default)]
pub struct Tray(Mutex<Vec<Line>>);

/// Shows the icon as soon as there is somebody to show it.
pub fn begin(app: &AppHandle) {
    #[cfg(target_os = "linux")]
    tauri::async_runtime::spawn(watcher::wait(app.clone()));
    #[cfg(not(target_os = "linux"))]
    appear(app);
}

/// Whether there is an icon, so that a window that is hidden can be found again.
pub fn is_shown(app: &AppHandle) -> bool {
    app.tray_by_id(ID).is_some()
}

fn appear(app: &AppHandle) {
    let handle = app.clone();
    let draw = move || {
        if is_shown(&handle) {
            return;
        }
        let lines = lines::of(&handle);
        if let Err(error) = build(&handle, &lines) {
            tracing::warn!(%error, "there is no icon in the tray");
            return;
        }
        *unpoisoned(&handle.state::<Desk>().tray.0) = lines;
    };
    let _ = app.run_on_main_thread(draw);
}

fn build(app: &AppHandle, lines: &[Line]) -> tauri::Result<()> {
    let menu = menu(app, lines)?;
    let icon = TrayIconBuilder::with_id(ID)
        .menu(&menu)
        .tooltip("Foreman")
        .show_menu_on_left_click(true)
        .on_menu_event(|app, event| chosen(app, event.id().as_ref()));
    let icon = match app.default_window_icon() {
        Some(image) => icon.icon(image.clone()),
        None => icon,
    };
    icon.build(app).map(drop)
}

/// Says what is so now.
pub fn refresh(app: &AppHandle) {
    let handle = app.clone();
    let draw = move || {
        let Some(icon) = handle.tray_by_id(ID) else { return };
        let lines = lines::of(&handle);
        {
            let desk = handle.state::<Desk>();
            let mut said = unpoisoned(&desk.tray.0);
            if *said == lines {
                return;
            }
            said.clone_from(&lines);
        }
        let drawn = menu(&handle, &lines).and_then(|menu| icon.set_menu(Some(menu)));
        if let Err(error) = drawn {
            tracing::warn!(%error, "the menu in the tray is old");
        }
    };
    let _ = app.run_on_main_thread(draw);
}

fn menu(app: &AppHandle, lines: &[Line]) -> tauri::Result<Menu<tauri::Wry>> {
    let mut menu = MenuBuilder::new(app);
    for (at, line) in lines.iter().enumerate() {
        menu = match line {
            Line::Between => menu.separator(),
            Line::Words(words) => {
                menu.item(&MenuItemBuilder::with_id(id(at), literal(words)).enabled(false).build(app)?)
            }
            Line::Page { words, .. } | Line::Open(words) | Line::Quit(words) => {
                menu.item(&MenuItemBuilder::with_id(id(at), literal(words)).build(app)?)
            }
        };
    }
    menu.build()
}

fn id(at: usize) -> String {
    format!("tray-{at}")
}

/// An ampersand in a name is no key to press.
fn literal(words: &str) -> String {
    words.replace('&', "&&")
}

fn chosen(app: &AppHandle, chosen: &str) {
    let line = {
        let desk = app.state::<Desk>();
        let lines = unpoisoned(&desk.tray.0);
        lines.iter().enumerate().find(|(at, _)| id(*at) == chosen).map(|(_, line)| line.clone())
    };
    match line {
        Some(Line::Open(_)) => crate::show(app),
        Some(Line::Quit(_)) => app.exit(0),
        Some(Line::Page { server: Some(server), page, .. }) => {
            if let Err(failure) = links::go(app, &server, page) {
                tracing::warn!(reason = failure.message, "a page could not be opened from the tray");
            }
        }
        Some(Line::Page { server: None, page, .. }) => links::go_here(app, page),
        Some(Line::Words(_) | Line::Between) | None => {}
    }
}
