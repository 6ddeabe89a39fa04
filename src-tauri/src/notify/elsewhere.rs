//! Notifications of the other systems, by their own services. They have no buttons there, and what is pressed is not
//! heard; opening the app is what a press does.

use std::{
    collections::HashMap,
    sync::{Mutex, OnceLock},
};

use tauri::AppHandle;
use tauri_plugin_notification::{NotificationExt, PermissionState};
use tokio::sync::mpsc;

use super::{Card, Name, ScreenState, Touched};
use crate::{
    desk::unpoisoned,
    failure::{AppCode, Failure},
};

/// Where notifications are shown.
pub struct Screen {
    app: OnceLock<AppHandle>,
    shown: Mutex<HashMap<Name, i32>>,
    _touched: mpsc::UnboundedSender<Touched>,
}

impl Screen {
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Touched>) {
        let (touched, heard) = mpsc::unbounded_channel();
        (Self { app: OnceLock::new(), shown: Mutex::default(), _touched: touched }, heard)
    }

    /// Who shows them here is asked through the app.
    pub fn through(&self, app: AppHandle) {
        let _ = self.app.set(app);
    }

    fn is_granted(&self) -> bool {
        let Some(app) = self.app.get() else { return false };
        let known = app.notification().permission_state();
        let state = match known {
            Ok(PermissionState::Granted) => return true,
            Ok(PermissionState::Denied) | Err(_) => return false,
            Ok(_) => app.notification().request_permission(),
        };
        matches!(state, Ok(PermissionState::Granted))
    }

    pub async fn state(&self) -> ScreenState {
        ScreenState { available: self.is_granted(), by: None, buttons: false }
    }

    /// # Errors
    /// When the system does not let this app.
    pub async fn show(&self, name: Name, card: &Card) -> Result<(), Failure> {
        let refused = |why: String| {
            Failure::new(AppCode::NoNotifications, format!("No notification could be shown: {why}"))
        };
        let app = self.app.get().filter(|_| self.is_granted());
        let app = app.ok_or_else(|| refused("the system does not allow it".to_owned()))?;
        let id = {
            let mut shown = unpoisoned(&self.shown);
            let next = i32::try_from(shown.len()).unwrap_or_default() + 1;
            *shown.entry(name).or_insert(next)
        };
        let builder = app.notification().builder().id(id).title(&card.title).body(&card.body);
        builder.show().map_err(|error| refused(error.to_string()))
    }

    pub async fn withdraw(&self, name: &Name) {
        let _gone = unpoisoned(&self.shown).get(name).copied();
        #[cfg(mobile)]
        if let (Some(app), Some(id)) = (self.app.get(), _gone) {
            let _ = app.notification().remove_active(vec![id]);
        }
    }

    pub async fn withdraw_all(&self) {
        #[cfg(mobile)]
        if let Some(app) = self.app.get() {
            let _ = app.notification().remove_all_active();
        }
    }
}
