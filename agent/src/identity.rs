//! Who this device is: the server it belongs to and the key that proves it, made here and never sent.

use std::{fmt, fs, path::Path};

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::SigningKey;
use foreman_protocol::DeviceId;
use serde::{Deserialize, Serialize};

use crate::state::replace_file;

/// A device of a server.
#[derive(Clone)]
pub struct Identity {
    /// Without a slash at the end.
    pub server: String,
    pub device_id: DeviceId,
    /// As it was when the device joined.
    pub name: String,
    pub key: SigningKey,
}

/// As the file holds it.
#[derive(Serialize, Deserialize)]
struct Stored {
    server: String,
    device_id: DeviceId,
    name: String,
    /// Standard base64.
    secret_key: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("server", &self.server).field("device_id", &self.device_id).finish()
    }
}

/// A new key from the system's randomness.
#[must_use]
pub fn fresh_key() -> SigningKey {
    SigningKey::from_bytes(&rand::random())
}

/// The public half, as the server registers it.
#[must_use]
pub fn public_key(key: &SigningKey) -> String {
    STANDARD.encode(key.verifying_key().as_bytes())
}

impl Identity {
    /// The identity in a file; `None` when there is none.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn load(path: &Path) -> anyhow::Result<Option<Self>> {
        let unusable = || {
            format!(
                "{} cannot be read. Restore it, or remove it and connect this device with a new token",
                path.display()
            )
        };
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.with_context(unusable)?,
        };
        Self::parse(&bytes).with_context(unusable).map(Some)
    }

    fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let stored: Stored = serde_json::from_slice(bytes)?;
        let secret = STANDARD.decode(&stored.secret_key).context("the key is not base64")?;
        let secret: [u8; 32] = secret.try_into().ok().context("the key does not have 32 bytes")?;
        let key = SigningKey::from_bytes(&secret);
        Ok(Self { server: stored.server, device_id: stored.device_id, name: stored.name, key })
    }

    /// Writes the identity so that it survives a power failure.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn save(&self, path: &Path) -> anyhow::Result<()> {
        let stored = Stored {
            server: self.server.clone(),
            device_id: self.device_id,
            name: self.name.clone(),
            secret_key: STANDARD.encode(self.key.to_bytes()),
        };
        replace_file(path, &serde_json::to_vec_pretty(&stored)?, true)
            .with_context(|| format!("Cannot write {}", path.display()))
    }

    /// Goes on with the same server at another address, and keeps that.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn move_to(&mut self, server: String, path: &Path) -> anyhow::Result<()> {
        if self.server == server {
            return Ok(());
        }
        self.server = server;
        self.save(path)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_saved_is_loaded_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.json");
        assert!(Identity::load(&path).unwrap().is_none());
        let identity = Identity {
            server: "http://127.0.0.1:3001".to_owned(),
            device_id: DeviceId::fresh(),
            name: "Spark".to_owned(),
            key: fresh_key(),
        };
        identity.save(&path).unwrap();
        let loaded = Identity::load(&path).unwrap().unwrap();
        assert_eq!((loaded.device_id, &loaded.server), (identity.device_id, &identity.server));
        assert_eq!(loaded.key.to_bytes(), identity.key.to_bytes());
        let mut moved = loaded;
        moved.move_to("https://foreman.example.org".to_owned(), &path).unwrap();
        assert_eq!(Identity::load(&path).unwrap().unwrap().server, "https://foreman.example.org");
        assert!(!format!("{identity:?}").contains(&STANDARD.encode(identity.key.to_bytes())));
    }

    proptest! {
        #[test]
        fn any_file_is_read_or_refused(bytes: Vec<u8>) {
            let _ = Identity::parse(&bytes);
        }
    }
}
