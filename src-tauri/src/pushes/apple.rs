//! Asks Apple's push service by the Swift in `ios-push/`. It knows this app by one token, which each server is given.

use std::time::Duration;

use foreman_client::app::KnownServer;
use foreman_protocol::{AppleDevice, PushTarget};
use serde::Deserialize;
use tauri::{AppHandle, Manager, Wry, plugin::TauriPlugin};

use super::{PushRegistration, PushState, pressed::Phone};
use crate::{
    desk::Desk,
    failure::{AppCode, Failure},
};

/// Without a network Apple says nothing.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct Given {
    token: String,
}

/// A press on what the app showed itself, by what it was given along.
#[derive(Deserialize)]
pub struct Own {
    pub name: String,
    pub action: String,
}

pub fn plugin() -> TauriPlugin<Wry> {
    foreman_ios_push::plugin(|app, handle| {
        app.manage(Phone(handle));
    })
}

pub async fn state(app: &AppHandle, server: &KnownServer) -> Result<Option<PushState>, Failure> {
    let token = app.state::<Desk>().preferences().get().apple_token(&server.id).map(str::to_owned);
    let mine = token.map(|token| registration(server, token));
    Ok(Some(PushState { distributors: None, mine }))
}

pub async fn register(
    app: &AppHandle,
    server: &KnownServer,
    _distributor: Option<String>,
    _key: String,
) -> Result<PushRegistration, Failure> {
    let desk = app.state::<Desk>();
    if !desk.screen.state().await.available {
        return Err(Failure::new(AppCode::NoNotifications, "This app may not show notifications."));
    }
    let phone = app.state::<Phone>();
    let Given { token } = tokio::time::timeout(PATIENCE, phone.0.run_mobile_plugin_async("register", ()))
        .await
        .map_err(|_| Failure::new(AppCode::PushOffline, "Apple did not answer."))?
        .map_err(|error| Failure::new(AppCode::PushRefused, error.to_string()))?;
    desk.preferences().change(|kept| kept.set_apple_token(&server.id, token.clone()))?;
    Ok(registration(server, token))
}

pub async fn forget(app: &AppHandle, server: &KnownServer) {
    let mut is_last = false;
    let kept = app.state::<Desk>().preferences().change(|kept| is_last = kept.forget_apple_token(&server.id));
    if let Err(error) = kept {
        tracing::warn!(%error, "that a server is not told of Apple's token any more was not kept");
    }
    if is_last {
        let phone = app.state::<Phone>();
        if let Err(error) = phone.0.run_mobile_plugin_async::<()>("unregister", ()).await {
            tracing::warn!(%error, "Apple still brings messages here");
        }
    }
}

/// Apple's message says by the mark whose it is.
fn registration(server: &KnownServer, token: String) -> PushRegistration {
    let device = AppleDevice { token, mark: Some(server.id.as_str().to_owned()) };
    PushRegistration { distributor: None, target: PushTarget::Apns(device) }
}
