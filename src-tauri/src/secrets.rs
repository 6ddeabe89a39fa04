//! Where the app's secrets are: in the system's keychain, or in a file in its place. A file stays in use once there is one:
//! what is kept must not lie at two places.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use foreman_client::app::{SecretError, SecretFile, SecretStore};
use zeroize::Zeroizing;

use crate::{desk::unpoisoned, keychain::Keychain};

/// In the app's folder, where no keychain opens and the person agreed to it.
const FILE: &str = "secrets.json";

/// Calls block: a keychain may be waiting for its person.
pub struct Secrets {
    path: PathBuf,
    file: Mutex<Option<Arc<SecretFile>>>,
    keychain: Keychain,
}

impl Secrets {
    /// `folder`: the app's.
    pub fn at(folder: &Path) -> Self {
        Self { path: folder.join(FILE), file: Mutex::default(), keychain: Keychain::new() }
    }

    /// Nobody is asked for a password by the next call.
    pub fn are_open(&self) -> bool {
        self.are_in_file() || (!SecretFile::is_there(&self.path) && self.keychain.answers())
    }

    /// A file stands in for the keychain, and is open.
    pub fn are_in_file(&self) -> bool {
        unpoisoned(&self.file).is_some()
    }

    /// What the keychain has still that a file took the place of. It may ask its person.
    ///
    /// # Errors
    /// As every call of the keychain.
    pub fn before(&self, name: &str) -> Result<Option<Zeroizing<String>>, SecretError> {
        if self.are_in_file() { self.keychain.get(name) } else { Ok(None) }
    }

    /// Opens the file that stands in for a keychain, or makes it where none answers. What the keychain has stays there.
    ///
    /// # Errors
    /// See [`SecretFile`].
    pub fn open_file(&self, passphrase: &str) -> Result<(), SecretError> {
        let mut file = unpoisoned(&self.file);
        if file.is_some() {
            return Ok(());
        }
        let opened = if SecretFile::is_there(&self.path) {
            SecretFile::open(self.path.clone(), passphrase)?
        } else if self.keychain.answers() {
            // It opened meanwhile.
            return Ok(());
        } else {
            SecretFile::make(self.path.clone(), passphrase)?
        };
        *file = Some(Arc::new(opened));
        Ok(())
    }

    fn with<T>(
        &self,
        act: impl FnOnce(&dyn SecretStore) -> Result<T, SecretError>,
    ) -> Result<T, SecretError> {
        let file = unpoisoned(&self.file).clone();
        match file {
            Some(file) => act(&*file),
            None if SecretFile::is_there(&self.path) => Err(SecretError::PassphraseNeeded),
            None => act(&self.keychain),
        }
    }
}

impl SecretStore for Secrets {
    fn get(&self, name: &str) -> Result<Option<Zeroizing<String>>, SecretError> {
        self.with(|secrets| secrets.get(name))
    }

    fn set(&self, name: &str, secret: &str) -> Result<(), SecretError> {
        self.with(|secrets| secrets.set(name, secret))
    }

    fn remove(&self, name: &str) -> Result<(), SecretError> {
        self.with(|secrets| secrets.remove(name))
    }
}

#[cfg(test)]
mod tests {
    use std::{io, time::Duration};

    use keyring_core::{CredentialStore, Error, mock};

    use super::*;
    use crate::keychain::Open;

    const PASSPHRASE: &str = "correct horse";

    fn secrets(folder: &Path, open: Open) -> Secrets {
        Secrets { keychain: Keychain::with(open, Duration::from_secs(60)), ..Secrets::at(folder) }
    }

    #[test]
    fn a_file_takes_the_place_of_a_keychain_that_does_not_open_and_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let refused = || Err(Error::NoStorageAccess(Box::new(io::Error::other("dismissed"))));
        let made = secrets(folder.path(), Box::new(refused));
        assert!(matches!(made.get("a"), Err(SecretError::Locked { .. })));
        assert!(!made.are_open());
        made.open_file(PASSPHRASE).unwrap();
        made.set("a", "in the file").unwrap();
        assert!(made.are_open());

        // The next start has a keychain that opens: what is kept must not lie at two places.
        let store: Arc<CredentialStore> = mock::Store::new().unwrap();
        let next = secrets(folder.path(), Box::new(move || Ok(store.clone())));
        assert_eq!(next.get("a"), Err(SecretError::PassphraseNeeded));
        assert_eq!(next.open_file("wrong horse"), Err(SecretError::WrongPassphrase));
        assert!(!next.are_open());
        next.keychain.set("a", "in the keychain").unwrap();
        assert_eq!(next.before("a"), Ok(None), "nobody may read on before the file is open");
        next.open_file(PASSPHRASE).unwrap();
        assert_eq!(next.get("a").unwrap().unwrap().as_str(), "in the file");
        assert_eq!(next.before("a").unwrap().unwrap().as_str(), "in the keychain");
    }

    #[test]
    fn no_file_is_made_beside_a_keychain_that_answers() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<CredentialStore> = mock::Store::new().unwrap();
        let secrets = secrets(folder.path(), Box::new(move || Ok(store.clone())));
        secrets.set("a", "in the keychain").unwrap();
        secrets.open_file(PASSPHRASE).unwrap();
        assert!(!SecretFile::is_there(&folder.path().join(FILE)));
        assert_eq!(secrets.get("a").unwrap().unwrap().as_str(), "in the keychain");
    }
}
