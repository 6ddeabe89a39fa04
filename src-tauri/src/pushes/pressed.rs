//! What is pressed on what a push service brought. It leads somewhere and does nothing.

use serde::{Deserialize, Serialize};
use tauri::{
    AppHandle, Manager, Wry,
    ipc::{Channel, InvokeResponseBody},
    plugin::PluginHandle,
};

use super::page_of;
use crate::{desk::Desk, links};

/// The part of the phone's project that is asked.
pub struct Phone(pub PluginHandle<Wry>);

#[derive(Serialize)]
struct Listen {
    handler: Channel,
}

/// Somebody pressed what was shown, perhaps before this program ran.
#[derive(Deserialize)]
struct Press {
    /// By this app's own id of it.
    server: Option<String>,
    page: Option<String>,
    /// The app showed it itself.
    #[cfg(target_os = "ios")]
    #[serde(flatten)]
    own: Option<super::apple::Own>,
}

/// From now on a press leads somewhere, the one that started the app included.
pub fn listen(app: &AppHandle) {
    let heard = app.clone();
    let handler = Channel::new(move |said| {
        if let InvokeResponseBody::Json(text) = said
            && let Ok(press) = serde_json::from_str::<Press>(&text)
        {
            pressed(&heard, press);
        }
        Ok(())
    });
    if let Err(error) = app.state::<Phone>().0.run_mobile_plugin::<()>("listen", Listen { handler }) {
        tracing::warn!(%error, "what is pressed on messages is not heard");
    }
}

fn pressed(app: &AppHandle, press: Press) {
    let desk = app.state::<Desk>();
    #[cfg(target_os = "ios")]
    if let Some(own) = press.own {
        return desk.screen.pressed(&own.name, &own.action);
    }
    let known =
        desk.servers().all().iter().find(|one| Some(one.id.as_str()) == press.server.as_deref()).cloned();
    let Some(known) = known else { return };
    let page = press.page.as_deref().and_then(page_of).unwrap_or_else(|| "/".to_owned());
    if let Err(failure) = links::go(app, &known.id, page) {
        tracing::warn!(reason = failure.message, "a press on a message led nowhere");
    }
}
