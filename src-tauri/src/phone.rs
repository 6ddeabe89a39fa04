//! What phones have beside their screen: a tap that is felt, and a way to tell whether whoever holds it is its person.
//! Desktops have none of it here.

use std::path::Path;

use serde::Deserialize;
use tauri::AppHandle;
use ts_rs::TS;

use crate::failure::{AppCode, Failure};

/// What is felt.
#[derive(Debug, Clone, Copy, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Tick {
    /// Letting go here does something.
    Threshold,
    Done,
    /// Something is at stake.
    Warning,
}

#[cfg(desktop)]
pub fn tick(_app: &AppHandle, _tick: Tick) {}

/// Whether it can be told who holds it.
#[cfg(desktop)]
pub fn knows_person(_app: &AppHandle) -> bool {
    false
}

/// Asks whoever holds it to show who they are; waits for them, so not on a thread that others wait for.
///
/// # Errors
/// When they could not.
#[cfg(desktop)]
pub fn ask_person(_app: &AppHandle, _reason: String) -> Result<(), Failure> {
    Err(Failure::new(AppCode::NotTheirs, "This computer is not asked who uses it."))
}

#[cfg(mobile)]
pub fn tick(app: &AppHandle, tick: Tick) {
    use tauri_plugin_haptics::{HapticsExt, NotificationFeedbackType};
    let haptics = app.haptics();
    let felt = match tick {
        Tick::Threshold => haptics.selection_feedback(),
        Tick::Done => haptics.notification_feedback(NotificationFeedbackType::Success),
        Tick::Warning => haptics.notification_feedback(NotificationFeedbackType::Warning),
    };
    if let Err(error) = felt {
        tracing::debug!(%error, "nothing was felt");
    }
}

#[cfg(mobile)]
pub fn knows_person(app: &AppHandle) -> bool {
    use tauri_plugin_biometric::BiometricExt;
    app.biometric().status().is_ok_and(|status| status.is_available)
}

#[cfg(mobile)]
pub fn ask_person(app: &AppHandle, reason: String) -> Result<(), Failure> {
    use tauri_plugin_biometric::{AuthOptions, BiometricExt};
    // Its code counts too: a wet finger must not lock anybody out.
    let options = AuthOptions { allow_device_credential: true, ..AuthOptions::default() };
    let refused = |error: tauri_plugin_biometric::Error| Failure::new(AppCode::NotTheirs, error.to_string());
    app.biometric().authenticate(reason, options).map_err(refused)
}

/// The system stops an app that nobody looks at: its clocks stand still, and what it had connected ends unheard.
#[cfg(mobile)]
pub fn window_event(window: &tauri::Window, event: &tauri::WindowEvent) {
    use tauri::Manager;
    if let tauri::WindowEvent::Resumed = event
        && let Some(desk) = window.try_state::<crate::desk::Desk>()
    {
        crate::watch::woke(&desk);
    }
}

/// Offers a file to the phone's other apps.
///
/// # Errors
/// When nothing takes files.
#[cfg(mobile)]
pub fn share(app: &AppHandle, path: &Path) -> Result<(), Failure> {
    use tauri::Manager;
    use tauri_plugin_sharekit::{ShareExt, ShareFileOptions};
    let failed = |error: String| Failure::new(AppCode::ProgramFailed, error);
    let window = app.get_webview_window("main").ok_or_else(|| failed("there is no window".to_owned()))?;
    let address =
        tauri::Url::from_file_path(path).map_err(|()| failed("the file has no address".to_owned()))?;
    app.share()
        .share_file(window, address.to_string(), ShareFileOptions::default())
        .map_err(|error| failed(error.to_string()))
}

/// Shows a file where it lies.
///
/// # Errors
/// When nothing here shows files.
#[cfg(desktop)]
pub fn share(app: &AppHandle, path: &Path) -> Result<(), Failure> {
    use tauri_plugin_opener::OpenerExt;
    let failed = |error: tauri_plugin_opener::Error| Failure::new(AppCode::ProgramFailed, error.to_string());
    app.opener().reveal_item_in_dir(path).map_err(failed)
}
