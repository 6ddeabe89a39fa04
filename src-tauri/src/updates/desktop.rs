//! By Tauri's updater: a manifest says what there is, and a minisign signature must fit what is fetched and the version
//! that it was signed for, so that no old app can be passed off as a new one.

use std::time::Duration;

use tauri::{AppHandle, Manager, Url, utils::platform::bundle_type};
use tauri_plugin_updater::{Error, Update, UpdaterExt};
use tokio::sync::Mutex;

use crate::{
    commands::updates::{UpdateOffer, UpdateProgress},
    desk::Desk,
    failure::{AppCode, Failure},
};

/// Said when the app is built for others.
const ADDRESS: Option<&str> = option_env!("FOREMAN_UPDATE_ADDRESS");
/// The public key as `tauri signer` prints it.
const KEY: Option<&str> = option_env!("FOREMAN_UPDATE_KEY");

/// For the announcement, and for all of a slow download.
const LIMIT: Duration = Duration::from_secs(600);

/// The last one that was offered: what is installed is what the person saw.
#[derive(Default)]
pub struct Updates(Mutex<Option<Update>>);

struct Source {
    address: Url,
    key: String,
}

impl Updates {
    pub fn are_configured() -> bool {
        source().is_some()
    }

    /// # Errors
    /// When nobody answers, or what is announced makes no sense.
    pub async fn look(&self, app: &AppHandle) -> Result<Option<UpdateOffer>, Failure> {
        let Some(source) = source() else { return Ok(None) };
        let ending = app.clone();
        let updater = app
            .updater_builder()
            .on_before_exit(move || make_way(&ending))
            .endpoints(vec![source.address])
            .and_then(|builder| builder.pubkey(source.key).timeout(LIMIT).build());
        let found = updater.map_err(said)?.check().await.map_err(said)?;
        let offer = found
            .as_ref()
            .map(|update| UpdateOffer { version: update.version.clone(), notes: update.body.clone() });
        *self.0.lock().await = found;
        Ok(offer)
    }

    /// # Errors
    /// When it cannot be fetched, the signature does not fit, or this app did not come as a package. Nothing changed then.
    pub async fn install(&self, version: &str, tell: impl Fn(UpdateProgress)) -> Result<(), Failure> {
        let offered = self.0.lock().await.clone().filter(|update| update.version == version);
        let update = offered.ok_or_else(|| failed("This update is not offered any more. Look again."))?;
        let mut done = 0;
        let heard = |piece: usize, all| {
            done += piece as u64;
            tell(UpdateProgress { done, all });
        };
        let package = update.download(heard, || ()).await.map_err(said)?;
        if bundle_type().is_none() {
            return Err(failed(
                "The update is genuine, but this app did not come as a package and cannot replace itself.",
            ));
        }
        let installing = tokio::task::spawn_blocking(move || update.install(package));
        installing.await.map_err(|_| failed("The update could not be installed."))?.map_err(said)
    }
}

/// On Windows the program ends before its installer runs, which cannot write over programs that run.
fn make_way(app: &AppHandle) {
    let desk = app.state::<Desk>();
    tauri::async_runtime::block_on(async {
        desk.saves.end().await;
        desk.this_computer.end().await;
    });
    app.cleanup_before_exit();
}

/// A build for development takes it from its environment, so that it can be tried.
fn source() -> Option<Source> {
    let said = |name: &str, built: Option<&str>| match built {
        Some(built) => Some(built.to_owned()),
        None if cfg!(debug_assertions) => std::env::var(name).ok(),
        None => None,
    };
    let address = said("FOREMAN_UPDATE_ADDRESS", ADDRESS).filter(|address| !address.is_empty())?;
    let key = said("FOREMAN_UPDATE_KEY", KEY).filter(|key| !key.is_empty())?;
    Some(Source { address: address.parse().ok()?, key })
}

fn failed(message: impl Into<String>) -> Failure {
    Failure::new(AppCode::UpdateFailed, message)
}

fn said(error: Error) -> Failure {
    match error {
        Error::Minisign(_)
        | Error::Base64(_)
        | Error::SignatureUtf8(_)
        | Error::MissingSignedVersion
        | Error::SignedVersionMismatch { .. } => Failure::new(
            AppCode::UpdateForged,
            format!("The update is not signed as it has to be, and was not installed: {error}"),
        ),
        Error::Reqwest(_) | Error::Network(_) | Error::ReleaseNotFound => {
            failed(format!("The updates could not be reached: {error}"))
        }
        other => failed(other.to_string()),
    }
}
