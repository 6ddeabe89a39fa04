//! Signing in to a server: a person allows it in a browser, which comes back by a link, or approves a code that is shown;
//! the bearer goes into the keychain.

use foreman_client::{
    BrowserSignIn, DeviceSignIn, Foreman,
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
    /// What the browser is led to, with a code or a state in it; empty until the server was asked.
    pub page: String,
}

/// One attempt, from its first question on: it can be given up at any time until a person decided.
struct Attempt<'d> {
    desk: &'d Desk,
    stop: CancellationToken,
}

impl<'d> Attempt<'d> {
    fn begin(desk: &'d Desk) -> Self {
        let stop = CancellationToken::new();
        let waiting = Waiting { stop: stop.clone(), page: String::new() };
        if let Some(before) = unpoisoned(&desk.waiting).replace(waiting) {
            before.stop.cancel();
        }
        Self { desk, stop }
    }

    fn lead_to(&self, page: &str) {
        let mut waiting = unpoisoned(&self.desk.waiting);
        if let Some(waiting) = waiting.as_mut().filter(|_| !self.stop.is_cancelled()) {
            page.clone_into(&mut waiting.page);
        }
    }

    async fn unless_given_up<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {
                Err(Failure::new(AppCode::SignInExpired, "The sign-in was given up."))
            }
            done = work => Ok(done),
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut waiting = unpoisoned(&self.desk.waiting);
        if !self.stop.is_cancelled() {
            waiting.take();
        }
    }
}

/// Signs in by the browser and adds the server. Nothing is kept before a person allowed it there.
pub async fn by_browser(
    desk: &Desk,
    address: ServerAddress,
    open: impl FnOnce(&str) -> Result<(), Failure>,
) -> Result<ServerId, Failure> {
    let attempt = Attempt::begin(desk);
    let name = client_name();
    let away = BrowserSignIn::begin_for_app(address.as_str(), &name);
    let away = attempt.unless_given_up(away).await??;
    let waiting = desk.returns.expect(&away);
    attempt.lead_to(away.page());
    open(away.page())?;
    let returned = attempt.unless_given_up(waiting.returned()).await??;
    drop(attempt);
    let approval = away.finish(returned).await?;
    enter(desk, address, approval.token, false).await
}

/// Signs in by a code and adds the server. Nothing is kept before a person approved.
pub async fn sign_in(
    desk: &Desk,
    address: ServerAddress,
    code: Channel<SignInCode>,
) -> Result<ServerId, Failure> {
    let attempt = Attempt::begin(desk);
    let name = client_name();
    let away = DeviceSignIn::start(address.as_str(), &name);
    let away = attempt.unless_given_up(away).await??;
    let asked = away.code().clone();
    attempt.lead_to(&asked.verification_uri_complete);
    let shown =
        SignInCode { user_code: asked.user_code, page: asked.verification_uri, expires_in: asked.expires_in };
    code.send(shown).map_err(|error| Failure::new(AppCode::Unreadable, error.to_string()))?;
    let approval = attempt.unless_given_up(away.wait()).await??;
    drop(attempt);
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
