//! Messages by a push service, for while the app is closed: on Android by UnifiedPush and one of the person's own choice, on
//! iPhones by Apple's. Who brings them, what opens them and how they are shown is in the Android project
//! (`dev/foreman/app/push`) and in `ios-push/`, because that runs without this program; this only asks it. Elsewhere there
//! are none.

#[cfg(target_os = "android")]
mod android;
#[cfg(target_os = "ios")]
mod apple;
#[cfg(mobile)]
mod pressed;

#[cfg(desktop)]
use foreman_client::app::KnownServer;
use foreman_protocol::PushTarget;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

#[cfg(any(target_os = "android", test))]
use crate::failure::AppCode;
#[cfg(not(target_os = "ios"))]
use crate::failure::Failure;

#[cfg(target_os = "android")]
pub use android::{forget, plugin, register, state};
#[cfg(target_os = "ios")]
pub use apple::{forget, plugin, register, state};
#[cfg(mobile)]
pub use pressed::listen;

/// An app of the phone that brings messages.
#[derive(Serialize, Deserialize, TS)]
pub struct Distributor {
    pub id: String,
    /// As its person knows it.
    pub name: String,
}

/// What there is for one server.
#[derive(Serialize, Deserialize, TS)]
pub struct PushRegistration {
    /// By its id; nothing where the system brings them.
    pub distributor: Option<String>,
    /// What the server writes to, and for whom it seals.
    #[ts(
        type = "{ kind: 'unified_push', endpoint: string, p256dh: string, auth: string, } | { kind: 'apns', token: string, mark?: string, }"
    )]
    pub target: PushTarget,
}

#[derive(Serialize, Deserialize, TS)]
pub struct PushState {
    /// Nothing where the system itself brings messages.
    pub distributors: Option<Vec<Distributor>>,
    /// That of the shown server.
    pub mine: Option<PushRegistration>,
}

/// Who brings messages here and what there is for a server; nothing on systems without such.
///
/// # Errors
/// When the system does not answer.
#[cfg(desktop)]
pub async fn state(_app: &tauri::AppHandle, _server: &KnownServer) -> Result<Option<PushState>, Failure> {
    Ok(None)
}

/// Has messages of a server brought here, also again, and says how it reaches this phone. `key` is what the server signs with.
///
/// # Errors
/// When who should bring them does not, or does not answer.
#[cfg(desktop)]
pub async fn register(
    _app: &tauri::AppHandle,
    _server: &KnownServer,
    _distributor: Option<String>,
    _key: String,
) -> Result<PushRegistration, Failure> {
    Err(Failure::new(crate::failure::AppCode::NotTaken, "Nothing here brings messages to a closed app."))
}

/// Has no messages of a server brought here any more.
#[cfg(desktop)]
pub async fn forget(_app: &tauri::AppHandle, _server: &KnownServer) {}

/// Why it was not registered, by the reason of UnifiedPush.
#[cfg(any(target_os = "android", test))]
fn refused(reason: Option<&str>) -> Failure {
    match reason {
        Some("NETWORK") => Failure::new(AppCode::PushOffline, "It has no connection to its push server."),
        Some("ACTION_REQUIRED") => Failure::new(AppCode::PushWaits, "It waits for its person."),
        Some("STORAGE") => Failure::new(AppCode::Storage, "What was registered could not be kept."),
        reason => {
            let reason = reason.unwrap_or("no reason");
            Failure::new(AppCode::PushRefused, format!("It does not bring messages here: {reason}."))
        }
    }
}

/// The page that a message is about, held to those that a link may open: who sent it is known, and more is not needed.
#[cfg(any(mobile, test))]
fn page_of(text: &str) -> Option<String> {
    use foreman_client::app::AppLink;
    match AppLink::parse(&format!("foreman://open{text}")) {
        Ok(AppLink::Open { server: None, page }) => Some(page),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_it_was_not_registered_is_a_code() {
        for (reason, code) in [
            (Some("NETWORK"), "push_offline"),
            (Some("ACTION_REQUIRED"), "push_waits"),
            (Some("VAPID_REQUIRED"), "push_refused"),
            (Some("of tomorrow"), "push_refused"),
            (None, "push_refused"),
        ] {
            assert_eq!(refused(reason).code, code, "{reason:?}");
        }
    }

    #[test]
    fn a_message_leads_to_pages_that_only_show() {
        for page in ["/", "/devices/0192-af", "/tasks/0192-af", "/settings/notifications"] {
            assert_eq!(page_of(page).as_deref(), Some(page));
        }
        for page in
            ["", "devices", "//elsewhere.example", "/sign-in", "/tasks/1?approve", "/?server=https://x"]
        {
            assert!(page_of(page).is_none_or(|page| page == "/"), "{page}");
        }
    }
}
