//! A server that whoever started the app hands over on standard input, signed in already, as `./dev up` does. Only a
//! program of this account can write there: no link and no page.

use std::io::Read;

use foreman_client::app::ServerAddress;
use tauri::{AppHandle, Manager};
use zeroize::Zeroizing;

use crate::{
    desk::Desk,
    failure::{AppCode, Failure},
    sign_in,
};

/// An address and a bearer are far shorter. Bytes
const LIMIT: u64 = 4 * 1_024;

/// Takes it in and shows it, when the app was started with `FOREMAN_HANDED=stdin`: an address on the first line, a
/// bearer on the second.
pub fn take_in(app: &AppHandle) {
    if std::env::var_os("FOREMAN_HANDED").is_none_or(|from| from != "stdin") {
        return;
    }
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        let desk = app.state::<Desk>();
        match enter(&desk).await {
            Ok(()) => begin_again(&app),
            Err(failure) => tracing::error!(reason = failure.message, "the server was not taken over"),
        }
    });
}

async fn enter(desk: &Desk) -> Result<(), Failure> {
    let unreadable = |_| Failure::new(AppCode::NotAnAddress, "Nothing readable was handed over.");
    let text = tokio::task::spawn_blocking(read).await.map_err(unreadable)?;
    let mut lines = text.lines();
    let (Some(address), Some(bearer)) = (lines.next(), lines.next()) else {
        return Err(Failure::new(AppCode::NotAnAddress, "An address and a bearer are wanted."));
    };
    let address = ServerAddress::typed(address)?;
    let known = desk.servers().all().iter().find(|known| known.address == address).cloned();
    let before = match known {
        Some(known) => desk.foreman(&known).await?,
        None => None,
    };
    sign_in::enter(desk, address, bearer.to_owned(), false).await?;
    // One for each start would pile up.
    if let Some(before) = before {
        let _ = before.sign_out().await;
    }
    Ok(())
}

/// The window begins with the server that is selected now.
fn begin_again(app: &AppHandle) {
    if let Some(window) = app.get_webview_window("main")
        && let Ok(mut page) = window.url()
    {
        page.set_path("/");
        let _ = window.navigate(page);
    }
}

fn read() -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::new());
    // What cannot be read is nothing, and then says so.
    let _ = std::io::stdin().take(LIMIT).read_to_string(&mut text);
    text
}
