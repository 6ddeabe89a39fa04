//! Servers: looking at one, signing in, switching, leaving.

use foreman_client::app::{AppLink, Encryption, KnownServer, ServerAddress, ServerId, ServerLooks};
use serde::Serialize;
use tauri::{AppHandle, State, ipc::Channel};
use tauri_plugin_opener::OpenerExt;
use ts_rs::TS;

use crate::{
    desk::{Desk, unpoisoned},
    failure::{AppCode, Failure},
    pushes, shell,
    sign_in::{self, SignInCode},
    this_computer::{Looks, Step, ThisComputer},
};

#[derive(Debug, Clone, Serialize, TS)]
pub struct ServerEntry {
    pub id: String,
    pub name: String,
    pub address: String,
    /// This app runs it.
    pub runs_here: bool,
    pub selected: bool,
}

#[derive(Debug, Clone, Serialize, TS)]
pub struct ServerList {
    pub servers: Vec<ServerEntry>,
    /// Whether "Use this computer" can be offered.
    pub this_computer: bool,
}

/// Who could read along on the way to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    ThisMachine,
    Encrypted,
    Anybody,
}

/// A server before anything is sent there, for a person to confirm.
#[derive(Debug, Clone, Serialize, TS)]
pub struct ServerPreview {
    pub address: String,
    pub host: String,
    pub reading: Reading,
    /// SHA-256 of its certificate, 64 hexadecimal digits.
    pub fingerprint: Option<String>,
    /// The link named a fingerprint, and it is this one.
    pub as_linked: bool,
    pub needs_setup: bool,
}

impl ServerEntry {
    fn of(server: &KnownServer, selected: Option<&KnownServer>) -> Self {
        Self {
            id: server.id.as_str().to_owned(),
            name: server.name.clone(),
            address: server.address.as_str().to_owned(),
            runs_here: server.runs_here,
            selected: selected.is_some_and(|one| one.id == server.id),
        }
    }
}

#[tauri::command]
pub fn servers(desk: State<'_, Desk>) -> ServerList {
    let servers = desk.servers();
    let all = servers.all().iter().map(|server| ServerEntry::of(server, servers.selected())).collect();
    ServerList { servers: all, this_computer: ThisComputer::is_possible() }
}

/// What is at an address or behind a pairing link. Nothing is kept and nobody is signed in.
#[tauri::command]
pub async fn look_at_server(text: String) -> Result<ServerPreview, Failure> {
    let (address, wanted) = if text.trim_start().starts_with("foreman:") {
        match AppLink::parse(text.trim())? {
            AppLink::Pair(pair) => (pair.server, pair.fingerprint),
            AppLink::Open { .. } | AppLink::Returned(_) | AppLink::SignedIn(_) => {
                return Err(Failure::new(AppCode::NotAnAddress, "This link adds no server."));
            }
        }
    } else {
        (ServerAddress::typed(&text)?, None)
    };
    let looks = ServerLooks::of(&address).await?;
    let (reading, fingerprint) = match looks.encryption {
        Encryption::ThisMachine => (Reading::ThisMachine, None),
        Encryption::Certificate(fingerprint) => (Reading::Encrypted, Some(fingerprint)),
        Encryption::None => (Reading::Anybody, None),
    };
    if wanted.is_some() && wanted != fingerprint {
        let message = "The server shows another certificate than the link said. Nothing was sent there.";
        return Err(Failure::new(AppCode::OtherCertificate, message));
    }
    Ok(ServerPreview {
        host: address.host(),
        address: address.into(),
        reading,
        fingerprint,
        as_linked: wanted.is_some(),
        needs_setup: looks.needs_setup,
    })
}

/// Signs in by the browser, which it opens; answers when a person allowed it there and the browser came back.
#[tauri::command]
pub async fn sign_in_by_browser(
    desk: State<'_, Desk>,
    app: tauri::AppHandle,
    address: String,
) -> Result<String, Failure> {
    let address = ServerAddress::typed(&address)?;
    let id = sign_in::by_browser(&desk, address, |page| open_outside(&app, page)).await?;
    Ok(id.as_str().to_owned())
}

/// Signs in; answers when a person approved. The code to compare comes first.
#[tauri::command]
pub async fn sign_in(
    desk: State<'_, Desk>,
    address: String,
    code: Channel<SignInCode>,
) -> Result<String, Failure> {
    let address = ServerAddress::typed(&address)?;
    Ok(sign_in::sign_in(&desk, address, code).await?.as_str().to_owned())
}

/// Opens the page of the sign-in that is under way, in the browser.
#[tauri::command]
pub fn open_sign_in_page(desk: State<'_, Desk>, app: tauri::AppHandle) -> Result<(), Failure> {
    let page = unpoisoned(&desk.waiting).as_ref().map(|waiting| waiting.page.clone());
    let Some(page) = page.filter(|page| page.starts_with("https://") || page.starts_with("http://")) else {
        return Ok(());
    };
    open_outside(&app, &page)
}

fn open_outside(app: &tauri::AppHandle, page: &str) -> Result<(), Failure> {
    let failed = |error: tauri_plugin_opener::Error| Failure::new(AppCode::ProgramFailed, error.to_string());
    app.opener().open_url(page, None::<&str>).map_err(failed)
}

#[tauri::command]
pub fn stop_sign_in(desk: State<'_, Desk>) {
    if let Some(waiting) = unpoisoned(&desk.waiting).take() {
        waiting.stop.cancel();
    }
}

#[tauri::command]
pub async fn use_this_computer(desk: State<'_, Desk>, steps: Channel<Step>) -> Result<String, Failure> {
    let id = crate::begin_here(&desk, move |step| drop(steps.send(step))).await?;
    Ok(id.as_str().to_owned())
}

/// How the server and the agent on this computer are run.
#[tauri::command]
pub async fn this_computer(desk: State<'_, Desk>) -> Result<Looks, Failure> {
    Ok(desk.this_computer.looks().await)
}

/// Makes them services, or runs them beside the app again.
#[tauri::command]
pub async fn keep_this_computer(desk: State<'_, Desk>, keep: bool) -> Result<Looks, Failure> {
    if keep {
        desk.this_computer.keep().await?;
    } else {
        desk.this_computer.take_back().await?;
    }
    Ok(desk.this_computer.looks().await)
}

/// Starts services that are stopped.
#[tauri::command]
pub async fn start_this_computer(desk: State<'_, Desk>) -> Result<Looks, Failure> {
    desk.this_computer.start_services().await?;
    Ok(desk.this_computer.looks().await)
}

#[tauri::command]
pub fn select_server(desk: State<'_, Desk>, id: String) -> Result<bool, Failure> {
    let known = find(&desk, &id)?;
    Ok(desk.servers().select(&known.id)?)
}

#[tauri::command]
pub fn rename_server(
    app: tauri::AppHandle,
    desk: State<'_, Desk>,
    id: String,
    name: String,
) -> Result<(), Failure> {
    let known = find(&desk, &id)?;
    desk.servers().rename(&known.id, &name)?;
    shell::say_again(&app);
    Ok(())
}

/// Signs out: the bearer is taken back on the server where it can be reached, and forgotten here in any case.
#[tauri::command]
pub async fn leave_server(
    desk: State<'_, Desk>,
    app: AppHandle,
    id: String,
    forget: bool,
) -> Result<bool, Failure> {
    let known = find(&desk, &id)?;
    pushes::forget(&app, &known).await;
    let revoked = match desk.foreman(&known).await? {
        Some(foreman) => foreman.sign_out().await.is_ok(),
        None => true,
    };
    if known.runs_here && forget {
        desk.this_computer.end_for_good().await?;
    }
    desk.forget_bearer(&known.id).await?;
    if forget {
        desk.servers().forget(&known.id)?;
        desk.preferences().change(|kept| kept.forget(&known.id))?;
    }
    Ok(revoked)
}

pub fn find(desk: &Desk, id: &str) -> Result<KnownServer, Failure> {
    let servers = desk.servers();
    let found = servers.all().iter().find(|server| server.id.as_str() == id);
    found.cloned().ok_or_else(Failure::no_server)
}

/// The id of the server that runs here, when there is one.
pub fn here(desk: &Desk) -> Option<ServerId> {
    desk.servers().all().iter().find(|server| server.runs_here).map(|server| server.id.clone())
}
