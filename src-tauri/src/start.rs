//! A start that comes to nothing, and how people hear of it.

/// Ends the program with the reason: on standard error, and on Windows, where nobody reads that, in a window.
pub fn failed(reason: &str) -> ! {
    eprintln!("foreman-app: {reason}");
    #[cfg(windows)]
    rfd::MessageDialog::new()
        .set_level(rfd::MessageLevel::Error)
        .set_title("Foreman")
        .set_description(reason)
        .show();
    std::process::exit(1);
}

/// Windows 10 comes without it where nobody installed it, and what is not put in place by the installer does not fetch it.
#[cfg(windows)]
pub fn need_web_view() {
    if let Err(error) = tauri::webview_version() {
        tracing::warn!(%error, "there is no web view");
        failed(without_web_view(&sys_locale::get_locale().unwrap_or_default()));
    }
}

#[cfg(any(windows, test))]
fn without_web_view(language: &str) -> &'static str {
    if language == "de" || language.starts_with("de-") {
        "Foreman braucht die Microsoft Edge WebView2 Runtime, und auf diesem Computer ist keine.\n\n\
         Hol sie dir von https://developer.microsoft.com/microsoft-edge/webview2 und starte Foreman noch einmal. \
         Das Installationsprogramm von Foreman macht das von selbst."
    } else {
        "Foreman needs the Microsoft Edge WebView2 Runtime, and this computer has none.\n\n\
         Get it from https://developer.microsoft.com/microsoft-edge/webview2 and start Foreman again. \
         Foreman's installer does that by itself."
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_in_the_language_of_the_system_and_where_to_get_it() {
        for (language, begins) in [
            ("de-AT", "Foreman braucht"),
            ("de", "Foreman braucht"),
            ("den", "Foreman needs"),
            ("", "Foreman needs"),
        ] {
            let said = without_web_view(language);
            assert!(
                said.starts_with(begins) && said.contains("https://developer.microsoft.com/"),
                "{language}: {said}"
            );
        }
    }
}
