//! Asks the plugin in the Android project.

use std::time::Duration;

use foreman_client::app::KnownServer;
use serde::{Deserialize, Serialize};
use tauri::{
    AppHandle, Manager, Wry,
    ipc::{Channel, InvokeResponseBody},
    plugin::{Builder, PluginHandle, TauriPlugin, mobile::PluginInvokeError},
};

use super::{PushRegistration, PushState, page_of, refused};
use crate::{
    desk::Desk,
    failure::{AppCode, Failure},
    links,
};

/// A distributor asks its server, which may be far away.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a distributor shows of a registration, in bytes.
const LONGEST_PURPOSE: usize = 100;

struct Phone(PluginHandle<Wry>);

#[derive(Serialize)]
struct OfServer<'a> {
    server: &'a str,
}

#[derive(Serialize)]
struct Register<'a> {
    server: &'a str,
    distributor: String,
    vapid: String,
    purpose: &'a str,
}

#[derive(Serialize)]
struct Listen {
    handler: Channel,
}

/// Somebody pressed what was shown, perhaps before this program ran.
#[derive(Deserialize)]
struct Press {
    server: String,
    page: Option<String>,
}

pub fn plugin() -> TauriPlugin<Wry> {
    Builder::new("push")
        .setup(|app, api| {
            app.manage(Phone(api.register_android_plugin("dev.foreman.app.push", "PushPlugin")?));
            Ok(())
        })
        .build()
}

/// From now on a press leads somewhere, the one that started the app included.
pub fn listen(app: &AppHandle) {
    let heard = app.clone();
    let handler = Channel::new(move |said| {
        if let InvokeResponseBody::Json(text) = said
            && let Ok(press) = serde_json::from_str::<Press>(&text)
        {
            pressed(&heard, &press);
        }
        Ok(())
    });
    if let Err(error) = app.state::<Phone>().0.run_mobile_plugin::<()>("listen", Listen { handler }) {
        tracing::warn!(%error, "what is pressed on messages is not heard");
    }
}

fn pressed(app: &AppHandle, press: &Press) {
    let known =
        app.state::<Desk>().servers().all().iter().find(|one| one.id.as_str() == press.server).cloned();
    let Some(known) = known else { return };
    let page = press.page.as_deref().and_then(page_of).unwrap_or_else(|| "/".to_owned());
    if let Err(failure) = links::go(app, &known.id, page) {
        tracing::warn!(reason = failure.message, "a press on a message led nowhere");
    }
}

pub async fn state(app: &AppHandle, server: &KnownServer) -> Result<Option<PushState>, Failure> {
    let of = OfServer { server: server.id.as_str() };
    let phone = app.state::<Phone>();
    phone.0.run_mobile_plugin_async("state", of).await.map(Some).map_err(failure)
}

pub async fn register(
    app: &AppHandle,
    server: &KnownServer,
    distributor: String,
    key: String,
) -> Result<PushRegistration, Failure> {
    let purpose = &server.name[..server.name.floor_char_boundary(LONGEST_PURPOSE)];
    let asked = Register { server: server.id.as_str(), distributor, vapid: key, purpose };
    let phone = app.state::<Phone>();
    tokio::time::timeout(PATIENCE, phone.0.run_mobile_plugin_async("register", asked))
        .await
        .map_err(|_| Failure::new(AppCode::PushUnanswered, "It did not answer."))?
        .map_err(failure)
}

pub async fn forget(app: &AppHandle, server: &KnownServer) {
    let of = OfServer { server: server.id.as_str() };
    let phone = app.state::<Phone>();
    if let Err(error) = phone.0.run_mobile_plugin_async::<()>("unregister", of).await {
        tracing::warn!(%error, "messages of a server are still brought here");
    }
}

fn failure(error: PluginInvokeError) -> Failure {
    match error {
        PluginInvokeError::InvokeRejected(said) => refused(said.code.as_deref()),
        error => Failure::new(AppCode::NotTaken, error.to_string()),
    }
}
