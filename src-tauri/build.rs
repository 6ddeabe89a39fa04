//! Writes what Tauri needs from its configuration: each command is a permission of its own, given in `capabilities/`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const COMMANDS: &[&str] = &[
        "ask",
        "open_stream",
        "close_stream",
        "watch_path",
        "owner_key",
        "attach_terminal",
        "type_terminal",
        "resize_terminal",
        "pause_terminal",
        "close_terminal",
        "servers",
        "look_at_server",
        "sign_in",
        "sign_in_by_browser",
        "open_sign_in_page",
        "stop_sign_in",
        "use_this_computer",
        "select_server",
        "rename_server",
        "leave_server",
        "begin",
        "open_outside",
        "notices",
        "choose_notices",
        "try_notice",
        "speak",
        "preferences",
        "choose_preferences",
        "app_facts",
        "provider_sign_ins",
        "begin_provider_sign_in",
        "open_provider_page",
        "cancel_provider_sign_in",
        "sign_out_of_provider",
        "keep_provider_sign_in",
        "configure_provider",
        "forget_provider",
        "open_secret_file",
        "look_for_update",
        "install_update",
    ];
    let manifest = tauri_build::AppManifest::new().commands(COMMANDS);
    tauri_build::try_build(tauri_build::Attributes::new().app_manifest(manifest))?;
    Ok(())
}
