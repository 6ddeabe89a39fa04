//! On Linux an icon needs somebody on the bus who shows it, and a library of the system. Without the one it would be
//! drawn for nobody; without the other the program would end.

use std::path::Path;

use futures_util::StreamExt;
use tauri::AppHandle;
use zbus::{Connection, fdo::DBusProxy, names::BusName};

const WATCHER: &str = "org.kde.StatusNotifierWatcher";
const LIBRARIES: [&str; 2] = ["libayatana-appindicator3.so.1", "libappindicator3.so.1"];

/// Waits until icons are shown here, now or later, and then has one.
pub async fn wait(app: AppHandle) {
    if !has_library() {
        tracing::info!("no icon in the tray: libayatana-appindicator3 is not installed");
        return;
    }
    if let Err(error) = appears(&app).await {
        tracing::info!(%error, "no icon in the tray");
    }
}

async fn appears(app: &AppHandle) -> zbus::Result<()> {
    let bus = DBusProxy::new(&Connection::session().await?).await?;
    let mut changes = bus.receive_name_owner_changed_with_args(&[(0, WATCHER)]).await?;
    if !bus.name_has_owner(BusName::try_from(WATCHER)?).await? {
        while let Some(change) = changes.next().await {
            if change.args()?.new_owner().is_some() {
                break;
            }
        }
    }
    super::appear(app);
    Ok(())
}

/// Where the loader would look; a program in an AppImage brings its own.
fn has_library() -> bool {
    let named = std::env::var("LD_LIBRARY_PATH").unwrap_or_default();
    let arch = std::env::consts::ARCH;
    let usual = ["/usr/lib64", "/usr/lib", "/lib64", "/lib"].map(str::to_owned);
    let debian = ["/usr/lib", "/lib"].map(|folder| format!("{folder}/{arch}-linux-gnu"));
    let folders = named.split(':').map(str::to_owned).chain(debian).chain(usual);
    folders
        .filter(|folder| !folder.is_empty())
        .any(|folder| LIBRARIES.iter().any(|file| Path::new(&folder).join(file).exists()))
}
