//! Unattended unlock with a key in the system's keychain, made when there is none: for a server in the session of a
//! person, who opens the keychain by signing in. It is named by the data that it is for, so that two servers of one
//! person do not take each other's.
//!
//! Calls block, on Linux until the person has answered the keychain's question, and must keep no server from starting or
//! ending: they are made on a thread of their own, which nobody waits for.

use std::sync::Arc;

use foreman_protocol::TenantId;
use keyring_core::{CredentialStore, Entry, Error, Result};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::{sealed::Key, unattended::BYTES};

/// What the keychain's own tool shows as the owner of the entries.
const SERVICE: &str = "dev.foreman.server";

/// What comes of asking; nothing ever, when the thread could not even begin.
pub type Answer = oneshot::Receiver<Result<Key>>;

pub fn ask(tenant: TenantId) -> Answer {
    let (answer, asked) = oneshot::channel();
    let asking = std::thread::Builder::new().name("keychain".to_owned());
    let begun = asking.spawn(move || drop(answer.send(key(tenant))));
    if let Err(error) = begun {
        tracing::warn!(%error, "no thread could be had to ask the system's keychain");
    }
    asked
}

fn key(tenant: TenantId) -> Result<Key> {
    let entry = system_store()?.build(SERVICE, &tenant.to_string(), None)?;
    match read(&entry) {
        Err(Error::NoEntry) => {
            let mut fresh = Zeroizing::new([0; BYTES]);
            rand::fill(fresh.as_mut_slice());
            entry.set_secret(fresh.as_slice())?;
            // What another server may have put there in the same moment counts.
            read(&entry)
        }
        found => found,
    }
}

fn read(entry: &Entry) -> Result<Key> {
    let bytes = Zeroizing::new(entry.get_secret()?);
    Key::from_bytes(&bytes)
        .ok_or_else(|| Error::BadStoreFormat(format!("the entry of {SERVICE} is not {BYTES} bytes long")))
}

#[cfg(target_os = "linux")]
fn system_store() -> Result<Arc<CredentialStore>> {
    Ok(zbus_secret_service_keyring_store::Store::new()?)
}

#[cfg(target_os = "macos")]
fn system_store() -> Result<Arc<CredentialStore>> {
    Ok(apple_native_keyring_store::keychain::Store::new()?)
}

#[cfg(windows)]
fn system_store() -> Result<Arc<CredentialStore>> {
    Ok(windows_native_keyring_store::Store::new()?)
}
