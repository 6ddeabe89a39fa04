//! The device's link key: X25519, made here, kept in one private file, signed by the identity.
//!
//! It is apart from the identity so that it can be changed: a new one has the next serial, clients take no lower one,
//! and the old secret is gone with the file that held it. This must not know who may call.

use std::{fs, io, path::Path};

use anyhow::Context;
use foreman_link::grant::{Issuer, LinkSecret, decode_key, encode_key, sign_link_key};
use foreman_protocol::LinkKey;
use serde::{Deserialize, Serialize};

use crate::state::replace_file;

/// The key that callers must know to reach this device, and its place in the row of its keys.
#[derive(Debug, Clone)]
pub struct LinkKeys {
    pub secret: LinkSecret,
    pub serial: u64,
}

/// As the file holds it.
#[derive(Serialize, Deserialize)]
struct Stored {
    serial: u64,
    /// Standard base64.
    secret_key: String,
}

impl LinkKeys {
    /// The key in a file; `None` when there is none.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn load(path: &Path) -> anyhow::Result<Option<Self>> {
        let unusable = || {
            format!(
                "The link key {} cannot be read, so nobody is let in over the device link. Restore it, or make a new one \
                 with `foreman-agent rotate-key`",
                path.display()
            )
        };
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.with_context(unusable)?,
        };
        Self::parse(&bytes).with_context(unusable).map(Some)
    }

    fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let stored: Stored = serde_json::from_slice(bytes)?;
        let secret = decode_key(&stored.secret_key)?;
        Ok(Self { secret: LinkSecret::from_bytes(&secret), serial: stored.serial })
    }

    /// The key in a file, made when there is none.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn load_or_make(path: &Path) -> anyhow::Result<Self> {
        match Self::load(path)? {
            Some(keys) => Ok(keys),
            None => Self::fresh(1).kept(path),
        }
    }

    /// Replaces the key in a file by a new one with the next serial; the old secret is gone when this returns.
    ///
    /// # Errors
    /// When it cannot be written; then the old one is still in force.
    pub fn rotate(path: &Path, now_s: u64) -> anyhow::Result<Self> {
        let serial = match Self::load(path) {
            Ok(Some(keys)) => keys.serial.saturating_add(1),
            Ok(None) => 1,
            // How often it was rotated is lost with it; the time is above every number that counting reaches.
            Err(_) => now_s,
        };
        Self::fresh(serial).kept(path)
    }

    /// What clients are shown.
    #[must_use]
    pub fn signed(&self, identity: &Issuer) -> LinkKey {
        sign_link_key(self.secret.public(), self.serial, identity)
    }

    fn fresh(serial: u64) -> Self {
        Self { secret: LinkSecret::generate(), serial }
    }

    fn kept(self, path: &Path) -> anyhow::Result<Self> {
        let secret_key = encode_key(&self.secret.to_bytes());
        let stored = Stored { serial: self.serial, secret_key };
        replace_file(path, &serde_json::to_vec_pretty(&stored)?, true)
            .with_context(|| format!("The link key {} cannot be written", path.display()))?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use foreman_link::grant::verify_link_key;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_rotated_key_is_the_next_one_and_the_old_one_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("link-key.json");
        let identity = Issuer::generate();
        let first = LinkKeys::load_or_make(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(LinkKeys::load_or_make(&path).unwrap().secret.public(), first.secret.public());

        let second = LinkKeys::rotate(&path, 0).unwrap();
        assert_eq!((first.serial, second.serial), (1, 2));
        let (old, new) = (first.signed(&identity), second.signed(&identity));
        assert!(verify_link_key(&new, &identity.public(), Some(&old)).is_ok());
        assert!(verify_link_key(&old, &identity.public(), Some(&new)).is_err());
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&encode_key(&first.secret.to_bytes())));
    }

    #[test]
    fn a_damaged_key_is_said_and_replaced_by_one_that_is_surely_later() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("link-key.json");
        fs::write(&path, "{").unwrap();
        let error = LinkKeys::load_or_make(&path).unwrap_err().to_string();
        assert!(error.contains("rotate-key"), "{error}");
        assert_eq!(LinkKeys::rotate(&path, 1_790_000_000).unwrap().serial, 1_790_000_000);
        assert_eq!(LinkKeys::load(&path).unwrap().unwrap().serial, 1_790_000_000);
    }

    proptest! {
        #[test]
        fn any_file_is_read_or_refused(bytes: Vec<u8>) {
            let _ = LinkKeys::parse(&bytes);
        }
    }
}
