//! Notifications of the other systems, by their own services. They outlive the app there: what a press means goes with
//! each, so that it is understood also by an app that the press started.

use std::{
    collections::BTreeMap,
    sync::{Mutex, OnceLock},
};

use tauri::{AppHandle, Manager};
use tauri_plugin_notification::{Action, ActionPerformed, ActionType, NotificationExt, PermissionState};
use tokio::sync::mpsc;

use super::{Act, Card, Name, ScreenState, Touched, press};
use crate::{
    desk::{Desk, unpoisoned},
    failure::{AppCode, Failure},
};

/// What of a notification says which one it is.
const NAME: &str = "name";

/// Where notifications are shown.
pub struct Screen {
    app: OnceLock<AppHandle>,
    /// The sets of buttons that the system knows, with their words.
    buttons: Mutex<BTreeMap<String, Vec<(&'static str, String)>>>,
    touched: mpsc::UnboundedSender<Touched>,
}

impl Screen {
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Touched>) {
        let (touched, heard) = mpsc::unbounded_channel();
        (Self { app: OnceLock::new(), buttons: Mutex::default(), touched }, heard)
    }

    /// Who shows them here is asked through the app, and tells it what is pressed.
    pub fn through(&self, app: AppHandle) {
        let (touched, asked) = (self.touched.clone(), app.clone());
        let heard = app.notification().on_action(move |press| {
            if let Some(press) = understood(&asked, press) {
                let _ = touched.send(press);
            }
        });
        if let Err(error) = heard {
            tracing::warn!(%error, "what is pressed on notifications is not heard");
        }
        let _ = self.app.set(app);
    }

    /// On an iPhone the plugin does not say what was given along, so its press comes by another way.
    #[cfg(target_os = "ios")]
    pub fn pressed(&self, written: &str, action: &str) {
        if let Some(app) = self.app.get()
            && let Some(touched) = touched(app, written, action)
        {
            let _ = self.touched.send(touched);
        }
    }

    fn permission(&self) -> Option<PermissionState> {
        self.app.get()?.notification().permission_state().ok()
    }

    fn is_granted(&self) -> bool {
        matches!(self.permission(), Some(PermissionState::Granted))
    }

    pub async fn state(&self) -> ScreenState {
        let permission = self.permission();
        let available = matches!(permission, Some(PermissionState::Granted));
        let unasked = !available && !matches!(permission, None | Some(PermissionState::Denied));
        ScreenState { available, by: None, buttons: true, unasked }
    }

    /// Has the system ask its person, where it has not yet. Waits for them.
    pub async fn ask(&self) {
        let Some(app) = self.app.get().cloned() else { return };
        if self.state().await.unasked {
            let asked = move || app.notification().request_permission();
            let _ = tauri::async_runtime::spawn_blocking(asked).await;
        }
    }

    /// # Errors
    /// When the system does not let this app.
    pub async fn show(&self, name: Name, card: &Card) -> Result<(), Failure> {
        let refused = |why: String| {
            Failure::new(AppCode::NoNotifications, format!("No notification could be shown: {why}"))
        };
        let app = self.app.get().filter(|_| self.is_granted());
        let app = app.ok_or_else(|| refused("the system does not allow it".to_owned()))?;
        let mut builder = app
            .notification()
            .builder()
            .id(press::id_of(&name))
            .extra(NAME, press::written(&name))
            .title(&card.title)
            .body(&card.body)
            .auto_cancel();
        if let Some(buttons) = self.offer(app, card) {
            builder = builder.action_type_id(buttons);
        }
        builder.show().map_err(|error| refused(error.to_string()))
    }

    /// The name of the card's set of buttons, which the system knows then. It forgets all that are not named with it.
    fn offer(&self, app: &AppHandle, card: &Card) -> Option<String> {
        let wanted: Vec<_> =
            press::buttons(card).into_iter().map(|(key, words)| (key, words.to_owned())).collect();
        let name = wanted.iter().map(|(key, _)| *key).collect::<Vec<_>>().join(" ");
        if name.is_empty() {
            return None;
        }
        let mut known = unpoisoned(&self.buttons);
        if known.get(&name) != Some(&wanted) {
            known.insert(name.clone(), wanted);
            let types = known.iter().map(|(name, buttons)| action_type(name, buttons)).collect();
            if let Err(error) = app.notification().register_action_types(types) {
                tracing::warn!(%error, "a notification has no buttons");
                known.remove(&name);
                return None;
            }
        }
        Some(name)
    }

    pub async fn withdraw(&self, name: &Name) {
        if let Some(app) = self.app.get() {
            let _ = app.notification().remove_active(vec![press::id_of(name)]);
        }
    }

    pub async fn withdraw_all(&self) {
        if let Some(app) = self.app.get() {
            let _ = app.notification().remove_all_active();
        }
    }
}

fn action_type(name: &str, buttons: &[(&'static str, String)]) -> ActionType {
    let actions = buttons.iter().map(|(key, words)| {
        let stops = *key == Act::StopTask.key();
        Action::builder(*key, words).destructive(stops).requires_authentication(stops).build()
    });
    ActionType::builder(name).actions(actions.collect()).build()
}

/// What was pressed, where the notification is one of this app's things.
fn understood(app: &AppHandle, press: &ActionPerformed) -> Option<Touched> {
    touched(app, press.notification()?.extra().get(NAME)?.as_str()?, press.action_id())
}

fn touched(app: &AppHandle, written: &str, action: &str) -> Option<Touched> {
    let name = press::read(written)?;
    // A press that started the app comes before its desk is there: then it is asked for.
    let guarded = app
        .try_state::<Desk>()
        .is_none_or(|desk| desk.is_locked() || desk.preferences().get().ask_before_acts);
    Some(Touched { name, act: press::act_of(action, guarded) })
}
