//! Links of the system to this app. A link is read strictly and then only shown: it never connects, sends or approves.

use foreman_client::app::{AppLink, ServerId};
use tauri::{AppHandle, Manager};
use tauri_plugin_deep_link::DeepLinkExt;

use crate::{commands::shell::AppNews, desk::Desk, failure::Failure};

/// Hands every link to the window, those of a start by link included.
pub fn listen(app: &AppHandle) -> Result<(), tauri_plugin_deep_link::Error> {
    for url in app.deep_link().get_current()?.unwrap_or_default() {
        came(app, url.as_str());
    }
    let handle = app.clone();
    app.deep_link().on_open_url(move |event| {
        for url in event.urls() {
            came(&handle, url.as_str());
        }
    });
    Ok(())
}

/// An app that was not installed tells the system where it is; what is installed did so already. On Linux that runs
/// programs of the system, which take longer than the window does and may be missing.
#[cfg(any(target_os = "linux", all(debug_assertions, windows)))]
pub fn register(app: &AppHandle) {
    let app = app.clone();
    tauri::async_runtime::spawn_blocking(move || {
        if let Err(error) = app.deep_link().register_all() {
            tracing::warn!(%error, "links to this app are not known to the system");
        }
        #[cfg(target_os = "linux")]
        if let Err(error) = name_plainly(&app) {
            tracing::warn!(%error, "some desktops may not open links to this app");
        }
    });
}

/// The plugin puts the path of the program in quotes, as it may. `xdg-open` up to 1.1, where no desktop helps it, takes them for
/// a part of the name.
#[cfg(target_os = "linux")]
fn name_plainly(app: &AppHandle) -> Result<(), Box<dyn std::error::Error>> {
    let program = tauri::utils::platform::current_exe()?;
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let file = app.path().data_dir()?.join("applications").join(format!("{name}-handler.desktop"));
    let said = std::fs::read_to_string(&file)?;
    let plain: String = said.lines().map(|line| format!("{}\n", plain(line))).collect();
    if plain != said {
        std::fs::write(&file, plain)?;
    }
    Ok(())
}

/// A line without quotes around a path that needs none.
#[cfg(target_os = "linux")]
fn plain(line: &str) -> String {
    let quoted = line.strip_prefix("Exec=\"").and_then(|rest| rest.split_once('"'));
    let harmless = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    match quoted {
        Some((path, rest)) if path.chars().all(harmless) => format!("Exec={path}{rest}"),
        _ => line.to_owned(),
    }
}

fn came(app: &AppHandle, link: &str) {
    let desk = app.state::<Desk>();
    match AppLink::parse(link) {
        Ok(AppLink::Pair(_)) => desk.news.tell(AppNews::Pair { link: link.to_owned() }),
        Ok(AppLink::Open { server, page }) => {
            let shown = desk.selected().ok().map(|known| known.address);
            // A link to another server would show this one's page under a wrong name.
            if server.is_none() || server == shown {
                desk.news.tell(AppNews::Open { page });
            }
        }
        Ok(AppLink::Returned(returned)) => desk.providers.came_back(returned),
        Ok(AppLink::SignedIn(returned)) => {
            if !desk.returns.came_back(returned) {
                tracing::warn!("a link was left alone: it belongs to no sign-in that was begun here");
            }
        }
        // The link itself is not logged: it may hold what somebody hoped would be.
        Err(error) => tracing::warn!(%error, "a link was left alone"),
    }
    crate::show(app);
}

/// A page of one server, in front; the window changes to that server when it shows another.
///
/// # Errors
/// When the choice cannot be kept.
pub fn go(app: &AppHandle, server: &ServerId, page: String) -> Result<(), Failure> {
    let desk = app.state::<Desk>();
    if desk.selected().is_ok_and(|shown| shown.id == *server) {
        desk.news.tell(AppNews::Open { page });
    } else if desk.servers().select(server)? {
        desk.news.tell(AppNews::Enter { page });
    }
    crate::show(app);
    Ok(())
}

/// A page of whatever server is shown, in front.
#[cfg(desktop)]
pub fn go_here(app: &AppHandle, page: String) {
    let desk = app.state::<Desk>();
    if desk.selected().is_ok() {
        desk.news.tell(AppNews::Open { page });
    }
    crate::show(app);
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::plain;

    #[test]
    fn a_path_that_needs_no_quotes_has_none() {
        for (written, wanted) in [
            ("Exec=\"/opt/foreman/foreman-app\" %u", "Exec=/opt/foreman/foreman-app %u"),
            ("Exec=\"/home/mia/my apps/foreman-app\" %u", "Exec=\"/home/mia/my apps/foreman-app\" %u"),
            ("Exec=/usr/bin/foreman-app %u", "Exec=/usr/bin/foreman-app %u"),
            ("Name=\"Foreman\"", "Name=\"Foreman\""),
        ] {
            assert_eq!(plain(written), wanted);
        }
    }
}
