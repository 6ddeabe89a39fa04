//! The system's keychain. Calls block, on Linux until the user has unlocked it, so they are made off the async threads.

use std::{path::PathBuf, sync::Arc};

use foreman_client::app::{SecretError, SecretFile, SecretStore};
use keyring_core::{CredentialStore, Entry, Error};
use zeroize::Zeroizing;

/// What the keychain's own tool shows as the owner of the entries.
const SERVICE: &str = "dev.foreman.app";

/// In the app's folder, where there is no keychain and the person agreed to it.
pub const FILE: &str = "secrets.json";

/// The keychain. A file in its place stays in use once there is one: what is kept must not lie at two places.
///
/// # Errors
/// [`SecretError::PassphraseNeeded`] for a file; see [`Keychain::open`].
pub fn open(file: PathBuf) -> Result<Arc<dyn SecretStore>, SecretError> {
    if SecretFile::is_there(&file) {
        return Err(SecretError::PassphraseNeeded);
    }
    let keychain = Keychain::open()?;
    // Some systems say only then that nobody keeps anything.
    keychain.get("probe")?;
    Ok(Arc::new(keychain))
}

/// The file in place of a keychain, made when there is none.
///
/// # Errors
/// See [`SecretFile`].
pub fn open_file(file: PathBuf, passphrase: &str) -> Result<Arc<dyn SecretStore>, SecretError> {
    let there = SecretFile::is_there(&file);
    let opened = if there { SecretFile::open(file, passphrase) } else { SecretFile::make(file, passphrase) };
    Ok(Arc::new(opened?))
}

/// Opened by [`Keychain::open`].
pub struct Keychain(Arc<CredentialStore>);

impl Keychain {
    /// # Errors
    /// [`SecretError::Missing`] where there is none.
    pub fn open() -> Result<Self, SecretError> {
        system_store().map(Self).map_err(said)
    }

    fn entry(&self, name: &str) -> Result<Entry, SecretError> {
        self.0.build(SERVICE, name, None).map_err(said)
    }
}

impl SecretStore for Keychain {
    fn get(&self, name: &str) -> Result<Option<Zeroizing<String>>, SecretError> {
        match self.entry(name)?.get_password() {
            Ok(secret) => Ok(Some(Zeroizing::new(secret))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(said(error)),
        }
    }

    fn set(&self, name: &str, secret: &str) -> Result<(), SecretError> {
        self.entry(name)?.set_password(secret).map_err(said)
    }

    fn remove(&self, name: &str) -> Result<(), SecretError> {
        match self.entry(name)?.delete_credential() {
            Ok(()) | Err(Error::NoEntry) => Ok(()),
            Err(error) => Err(said(error)),
        }
    }
}

/// Errors may carry what was read: only their kind and the system's reason are told.
fn said(error: Error) -> SecretError {
    match error {
        Error::NoStorageAccess(reason) => SecretError::Locked { reason: reason.to_string() },
        Error::BadEncoding(_) | Error::BadDataFormat(..) | Error::BadStoreFormat(_) => {
            SecretError::Damaged { reason: "it holds something else than was put there".to_owned() }
        }
        Error::PlatformFailure(reason) => SecretError::Missing { reason: reason.to_string() },
        other => SecretError::Missing { reason: other.to_string() },
    }
}

#[cfg(target_os = "linux")]
fn system_store() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(zbus_secret_service_keyring_store::Store::new()?)
}

#[cfg(target_os = "macos")]
fn system_store() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(apple_native_keyring_store::keychain::Store::new()?)
}

#[cfg(target_os = "ios")]
fn system_store() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(apple_native_keyring_store::protected::Store::new()?)
}

#[cfg(windows)]
fn system_store() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(windows_native_keyring_store::Store::new()?)
}

#[cfg(target_os = "android")]
fn system_store() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(android_native_keyring_store::Store::new()?)
}
