//! The way from the app's program to the Swift in `ios/`, which asks Apple's push service and hears presses. What is asked and
//! what a press means is the app's (`src-tauri/src/pushes`); this must not know it.

#![cfg(target_os = "ios")]

use tauri::{
    AppHandle, Wry,
    plugin::{Builder, PluginHandle, TauriPlugin},
};

tauri::ios_plugin_binding!(init_plugin_foreman_push);

/// `hold` is given whom to ask. It comes after the plugin that shows notifications, and goes on asking that one.
pub fn plugin(hold: fn(&AppHandle, PluginHandle<Wry>)) -> TauriPlugin<Wry> {
    Builder::new("push")
        .setup(move |app, api| {
            hold(app, api.register_ios_plugin(init_plugin_foreman_push)?);
            Ok(())
        })
        .build()
}
