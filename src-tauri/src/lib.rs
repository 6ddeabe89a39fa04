//! The app: the dashboard in a window of its own, thin over the SDK. It owns what a page cannot: the keychain, links of
//! the system, programs beside it, and the sealed way straight to devices. The page asks by a few commands and never
//! sees a token. Business rules are elsewhere.

mod ask;
#[cfg(test)]
mod bounds;
mod commands;
mod desk;
mod failure;
mod handed;
mod held;
mod keychain;
mod last_known;
mod links;
#[cfg(desktop)]
mod menus;
mod news;
mod notify;
mod outbox;
mod outputs;
mod phone;
mod providers;
mod pushes;
mod saves;
mod secrets;
mod shell;
mod sign_in;
mod start;
mod terminals;
mod this_computer;
#[cfg(desktop)]
mod tray;
#[cfg(test)]
mod types;
mod updates;
mod watch;

use std::time::Duration;

use foreman_client::app::ServerId;
use tauri::{AppHandle, Manager, RunEvent, WebviewUrl, WebviewWindowBuilder};

use desk::Desk;
use failure::Failure;
use this_computer::Step;

/// Where the system's language is none (`LANG=C`), the web view says so to the page, and formatting a number fails.
const LANGUAGE: &str = "try { new Intl.Locale(navigator.language) } \
    catch { Object.defineProperty(navigator, 'language', { get: () => 'en' }) }";

/// How often the programs beside the app are looked after.
const LOOK_AFTER: Duration = Duration::from_secs(2);

/// Runs until the last window is closed.
///
/// Where it cannot begin the program ends with the reason on standard error, and on Windows in a window.
#[cfg_attr(mobile, tauri::mobile_entry_point)]
pub fn run() {
    let _ = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::WARN)
        .try_init();
    #[cfg(windows)]
    start::need_web_view();
    let built = plugins(tauri::Builder::default())
        .invoke_handler(commands::answer())
        .setup(|app| set_up(app.handle()).or_else(|error| start::failed(&error.to_string())))
        .build(tauri::generate_context!());
    match built {
        Ok(app) => app.run(|app, event| {
            if let RunEvent::Exit = event
                && let Some(desk) = app.try_state::<Desk>()
            {
                tauri::async_runtime::block_on(async {
                    desk.saves.end().await;
                    desk.watch.end();
                    desk.screen.withdraw_all().await;
                    desk.this_computer.end().await;
                });
            }
        }),
        Err(error) => start::failed(&error.to_string()),
    }
}

fn plugins(builder: tauri::Builder<tauri::Wry>) -> tauri::Builder<tauri::Wry> {
    // First of all, so that a second start only hands over its link.
    #[cfg(desktop)]
    let builder = shell::plugins(builder).on_window_event(shell::window_event);
    #[cfg(not(target_os = "linux"))]
    let builder = builder.plugin(tauri_plugin_notification::init());
    #[cfg(mobile)]
    let builder = builder
        .on_window_event(phone::window_event)
        .plugin(tauri_plugin_barcode_scanner::init())
        .plugin(tauri_plugin_biometric::init())
        .plugin(tauri_plugin_haptics::init())
        .plugin(tauri_plugin_sharekit::init());
    #[cfg(mobile)]
    let builder = builder.plugin(pushes::plugin());
    builder.plugin(tauri_plugin_deep_link::init()).plugin(tauri_plugin_opener::init())
}

fn set_up(app: &AppHandle) -> Result<(), Box<dyn std::error::Error>> {
    // On Windows the part of the profile that stays on this machine: an agent's identity is of one machine.
    let folder = app.path().app_local_data_dir()?;
    std::fs::create_dir_all(&folder)?;
    let (screen, touched) = notify::Screen::new();
    #[cfg(not(target_os = "linux"))]
    screen.through(app.clone());
    app.manage(Desk::open(folder, screen).map_err(|failure| failure.message)?);
    let window = WebviewWindowBuilder::new(app, "main", first_page(app)).initialization_script(LANGUAGE);
    #[cfg(desktop)]
    let window = window
        .title("Foreman")
        .inner_size(1_180.0, 800.0)
        .min_inner_size(360.0, 480.0)
        .visible(!shell::is_hidden_start(&app.state::<Desk>()));
    // Only the app's own pages: whatever else a page leads to is not opened here.
    window.on_navigation(is_own_page).build()?;
    // The page is under way: whatever does not need to be there before it comes now.
    links::listen(app)?;
    #[cfg(mobile)]
    pushes::listen(app);
    #[cfg(any(target_os = "linux", all(debug_assertions, windows)))]
    links::register(app);
    handed::take_in(app);
    let kept = app.clone();
    tauri::async_runtime::spawn(async move { keep_here(&kept).await });
    tauri::async_runtime::spawn(watch::keep(app.clone()));
    tauri::async_runtime::spawn(outbox::keep(app.clone()));
    app.state::<Desk>().saves.go_on(app);
    tauri::async_runtime::spawn(providers::keep(app.clone()));
    tauri::async_runtime::spawn(watch::heed(app.clone(), touched));
    #[cfg(desktop)]
    shell::begin(app);
    #[cfg(unix)]
    end_when_asked(app.clone());
    Ok(())
}

/// Where no server is known there is no use in asking one first.
fn first_page(app: &AppHandle) -> WebviewUrl {
    match app.state::<Desk>().selected() {
        Ok(_) => WebviewUrl::default(),
        Err(_) => WebviewUrl::App("welcome".into()),
    }
}

/// A signal to end is answered in order, so that what runs beside the app ends too.
#[cfg(unix)]
fn end_when_asked(app: AppHandle) {
    use tokio::signal::unix::{SignalKind, signal};
    for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()] {
        let app = app.clone();
        tauri::async_runtime::spawn(async move {
            if let Ok(mut asked) = signal(kind)
                && asked.recv().await.is_some()
            {
                app.exit(0);
            }
        });
    }
}

/// The addresses that the dashboard inside the app has.
fn is_own_page(url: &tauri::Url) -> bool {
    url.scheme() == "tauri" || (url.scheme() == "http" && url.host_str() == Some("tauri.localhost"))
}

/// The window, in front. On phones the system does that.
fn show(app: &AppHandle) {
    #[cfg(desktop)]
    if let Some(window) = app.get_webview_window("main") {
        let _ = window.show().and_then(|()| window.unminimize()).and_then(|()| window.set_focus());
    }
    #[cfg(mobile)]
    let _ = app;
}

/// Starts what runs beside the app when it ran before, and looks after it.
async fn keep_here(app: &AppHandle) {
    let desk = app.state::<Desk>();
    if commands::servers::here(&desk).is_some()
        && let Err(failure) = begin_here(&desk, |_| ()).await
    {
        tracing::warn!(reason = failure.message, "the server on this computer could not be started");
    }
    loop {
        tokio::time::sleep(LOOK_AFTER).await;
        if let Err(failure) = desk.this_computer.look_after().await {
            tracing::warn!(
                reason = failure.message,
                "a program beside the app ended and could not be started again"
            );
        }
    }
}

/// Starts the server and the agent here, with the bearer of an earlier start when there was one, and shows it.
async fn begin_here(desk: &Desk, tell: impl Fn(Step) + Send) -> Result<ServerId, Failure> {
    let owner = desk.store().await?.owner_key()?.public();
    let known = commands::servers::here(desk);
    let bearer = match &known {
        Some(id) => desk.bearer(id).await?,
        None => None,
    };
    let began = desk.this_computer.begin(bearer, &owner, tell).await?;
    sign_in::enter(desk, began.address, began.bearer, true).await
}
