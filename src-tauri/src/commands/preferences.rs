//! Notifications and what is chosen for the app on this device.

use std::collections::BTreeSet;

use foreman_client::app::{
    Language,
    notices::{NoticeKind, NoticeRules, QuietHours, Words},
};
use foreman_protocol::{DeviceId, PROTOCOL_VERSION};
use serde::{Deserialize, Serialize};
use tauri::{AppHandle, State};
use ts_rs::TS;

use crate::{
    desk::Desk,
    failure::Failure,
    notify::{self, Name},
    updates::Updates,
};

/// A part of each day, in minutes since midnight by this device's clock.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, TS)]
pub struct QuietTime {
    pub from: u16,
    pub to: u16,
}

/// What is told of the shown server.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct NoticeChoice {
    pub on: bool,
    #[ts(
        type = "Array<'offline' | 'online' | 'task_started' | 'task_finished' | 'task_failed' | 'gpu_memory'>"
    )]
    pub kinds: BTreeSet<NoticeKind>,
    /// Devices that nothing is told of.
    #[ts(type = "Array<string>")]
    pub muted: BTreeSet<DeviceId>,
    pub quiet: Option<QuietTime>,
}

/// Whether notifications arrive here, and which are wanted.
#[derive(Debug, Clone, Serialize, TS)]
pub struct NoticeState {
    /// The system shows them.
    pub available: bool,
    /// Who shows them, when that is known.
    pub by: Option<String>,
    pub buttons: bool,
    /// The system will ask the person at the first try.
    pub unasked: bool,
    pub choice: NoticeChoice,
}

/// What is chosen for the app itself.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct AppChoice {
    pub start_at_login: bool,
    /// Goes on when its window is closed.
    pub background: bool,
    /// Keys bring the palette from anywhere.
    pub shortcut: bool,
}

/// It, and what this desktop has.
#[derive(Debug, Clone, Serialize, TS)]
pub struct AppPreferences {
    pub choice: AppChoice,
    /// An icon brings a hidden window back.
    pub tray: bool,
    /// The keys, as they are written.
    pub keys: String,
}

/// What this program is.
#[derive(Debug, Clone, Serialize, TS)]
pub struct AppFacts {
    pub version: String,
    pub protocol_version: u32,
    pub system: String,
    /// It can look for newer ones.
    pub updates: bool,
}

impl From<NoticeRules> for NoticeChoice {
    fn from(rules: NoticeRules) -> Self {
        let quiet = rules.quiet.map(|QuietHours { from, to }| QuietTime { from, to });
        Self { on: rules.on, kinds: rules.kinds, muted: rules.muted, quiet }
    }
}

impl From<NoticeChoice> for NoticeRules {
    fn from(choice: NoticeChoice) -> Self {
        let quiet = choice.quiet.map(|QuietTime { from, to }| QuietHours { from, to });
        Self { on: choice.on, kinds: choice.kinds, muted: choice.muted, quiet }
    }
}

#[tauri::command]
pub async fn notices(desk: State<'_, Desk>) -> Result<NoticeState, Failure> {
    let server = desk.selected()?;
    let screen = desk.screen.state().await;
    let choice = desk.preferences().get().notices(&server.id).into();
    let notify::ScreenState { available, by, buttons, unasked } = screen;
    Ok(NoticeState { available, by, buttons, unasked, choice })
}

#[tauri::command]
pub fn choose_notices(desk: State<'_, Desk>, choice: NoticeChoice) -> Result<(), Failure> {
    let server = desk.selected()?;
    Ok(desk.preferences().change(|kept| kept.set_notices(&server.id, choice.into()))?)
}

/// Shows one, to see whether they arrive. A person pressed for it, so it is the one thing that has the system ask.
#[tauri::command]
pub async fn try_notice(desk: State<'_, Desk>) -> Result<(), Failure> {
    let words = Words::of(desk.preferences().get().language.unwrap_or_default());
    desk.screen.ask().await;
    desk.screen.show(Name::Test, &notify::of_test(words)).await
}

/// The language that the dashboard speaks: what is said outside the window follows.
#[tauri::command]
pub fn speak(desk: State<'_, Desk>, app: AppHandle, language: Language) -> Result<(), Failure> {
    let changed = desk.preferences().get().language != Some(language);
    desk.preferences().change(|kept| kept.language = Some(language))?;
    if changed {
        crate::shell::speak(&app, language);
    }
    crate::shell::say_again(&app);
    Ok(())
}

#[tauri::command]
pub fn preferences(desk: State<'_, Desk>, app: AppHandle) -> AppPreferences {
    crate::shell::preferences(&app, desk.preferences().get())
}

#[tauri::command]
pub fn choose_preferences(
    desk: State<'_, Desk>,
    app: AppHandle,
    choice: AppChoice,
) -> Result<AppPreferences, Failure> {
    crate::shell::choose(&app, &choice)?;
    Ok(crate::shell::preferences(&app, desk.preferences().get()))
}

#[tauri::command]
pub fn app_facts() -> AppFacts {
    AppFacts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol_version: PROTOCOL_VERSION,
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        updates: Updates::are_configured(),
    }
}
