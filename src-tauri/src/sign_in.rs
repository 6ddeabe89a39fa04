//! Signing in to a server: a code is shown, a person approves it in a browser, and the bearer goes into the keychain.

use foreman_client::{
    DeviceSignIn, Foreman,
    app::{ServerAddress, ServerId},
};
use foreman_protocol::Me;
use serde::Serialize;
use tauri::ipc::Channel;
use tokio_util::sync::CancellationToken;
use ts_rs::TS;

use crate::{
    desk::{Desk, now, unpoisoned},
    failure::{AppCode, Failure},
};

/// What the person has to see and do.
#[derive(Debug, Clone, Serialize, TS)]
pub struct SignInCode {
    pub user_code: String,
    /// Where it is approved.
    pub page: String,
    /// Seconds until it is worth nothing.
    pub expires_in: u32,
}

/// The attempt that is under way; a new one ends it.
pub struct Waiting {
    pub stop: CancellationToken,
    /// The page with the code in it.
    pub page: String,
}

/// Signs in and adds the server. Nothing is kept before a person approved.
pub async fn sign_in(
    desk: &Desk,
    address: ServerAddress,
    code: Channel<SignInCode>,
) -> Result<ServerId, Failure> {
    let attempt = DeviceSignIn::start(address.as_str(), &client_name()).await?;
    let asked = attempt.code().clone();
    let stop = CancellationToken::new();
    let waiting = Waiting { stop: stop.clone(), page: asked.verification_uri_complete.clone() };
    if let Some(before) = unpoisoned(&desk.waiting).replace(waiting) {
        before.stop.cancel();
    }
    let shown =
        SignInCode { user_code: asked.user_code, page: asked.verification_uri, expires_in: asked.expires_in };
    code.send(shown).map_err(|error| Failure::new(AppCode::Unreadable, error.to_string()))?;
    let approval = tokio::select! {
        decided = attempt.wait() => decided?,
        () = stop.cancelled() => return Err(Failure::new(AppCode::SignInExpired, "The sign-in was given up.")),
    };
    unpoisoned(&desk.waiting).take();
    enter(desk, address, approval.token, false).await
}

/// Adds a server with a bearer that works, and shows it.
pub async fn enter(
    desk: &Desk,
    address: ServerAddress,
    bearer: String,
    runs_here: bool,
) -> Result<ServerId, Failure> {
    let _: Me = Foreman::new(address.as_str(), &bearer)?.me().await?;
    // The keychain is asked first: a server without its bearer would be in the list for nothing.
    desk.secret(|secrets| secrets.get("probe").map(drop)).await?;
    let id = desk.servers().add(address, now(), runs_here)?;
    desk.keep_bearer(&id, bearer).await?;
    Ok(id)
}

/// Shown to whoever approves, and in the list of tokens.
fn client_name() -> String {
    let host = sysname();
    format!("Foreman on {host}").chars().take(64).collect()
}

#[cfg(unix)]
pub fn sysname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
pub fn sysname() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "this computer".to_owned())
}
