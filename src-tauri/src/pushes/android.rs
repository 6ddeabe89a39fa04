//! Asks the plugin in the Android project.

use std::time::Duration;

use foreman_client::app::KnownServer;
use serde::Serialize;
use tauri::{
    AppHandle, Manager, Wry,
    plugin::{Builder, TauriPlugin, mobile::PluginInvokeError},
};

use super::{PushRegistration, PushState, pressed::Phone, refused};
use crate::failure::{AppCode, Failure};

/// A distributor asks its server, which may be far away.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a distributor shows of a registration, in bytes.
const LONGEST_PURPOSE: usize = 100;

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

pub fn plugin() -> TauriPlugin<Wry> {
    Builder::new("push")
        .setup(|app, api| {
            app.manage(Phone(api.register_android_plugin("dev.foreman.app.push", "PushPlugin")?));
            Ok(())
        })
        .build()
}

pub async fn state(app: &AppHandle, server: &KnownServer) -> Result<Option<PushState>, Failure> {
    let of = OfServer { server: server.id.as_str() };
    let phone = app.state::<Phone>();
    phone.0.run_mobile_plugin_async("state", of).await.map(Some).map_err(failure)
}

pub async fn register(
    app: &AppHandle,
    server: &KnownServer,
    distributor: Option<String>,
    key: String,
) -> Result<PushRegistration, Failure> {
    let nobody = || Failure::new(AppCode::NotTaken, "Nobody was chosen to bring messages.");
    let distributor = distributor.ok_or_else(nobody)?;
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
