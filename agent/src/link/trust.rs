//! Whom this device trusts: the owners whose grants count here, and how far its own server is let in.
//!
//! One file that only people on this device change, with `foreman-agent connect` and `foreman-agent trust`. The running
//! agent follows it. What is missing is not trusted.

use std::{fs, io, path::Path};

use anyhow::{Context, bail};
use clap::ValueEnum;
use ed25519_dalek::VerifyingKey;
use foreman_link::grant::decode_key;
use foreman_protocol::{Level, Millis};
use serde::{Deserialize, Serialize};

use crate::state::replace_file;

/// The contents of `trust.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trust {
    pub owners: Vec<Owner>,
    pub dashboard: Dashboard,
    /// The server's X25519 link key, standard base64, as it was told at `connect`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_link_key: Option<String>,
}

/// Someone whose signed grants this device takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Ed25519, standard base64.
    pub key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// By this device's clock.
    pub since: Millis,
}

/// What the server, and so its dashboard, may do on this device over the link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Dashboard {
    /// Nothing; tasks of the server are refused too.
    #[default]
    None,
    /// Watch terminals, read files and logs; tasks are refused.
    View,
    /// Also open terminals, change files, forward ports and run tasks.
    Operate,
    /// Also end and record what others opened.
    Admin,
}

impl Dashboard {
    #[must_use]
    pub const fn level(self) -> Option<Level> {
        match self {
            Self::None => None,
            Self::View => Some(Level::View),
            Self::Operate => Some(Level::Operate),
            Self::Admin => Some(Level::Admin),
        }
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.level().map_or("none", Level::as_str)
    }
}

impl Trust {
    /// The trust in a file; in nobody, the server included, when there is none.
    ///
    /// # Errors
    /// When the file cannot be read or understood. Then nobody may be trusted.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        Ok(Self::kept(path)?.unwrap_or_default())
    }

    /// The trust that a machine joins with: where nothing was said yet, its server may do what the policy allows.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_for_joining(path: &Path) -> anyhow::Result<Self> {
        Ok(Self::kept(path)?.unwrap_or(Self { dashboard: Dashboard::Operate, ..Self::default() }))
    }

    /// The trust in a file; `None` when there is none.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn kept(path: &Path) -> anyhow::Result<Option<Self>> {
        let unusable = || {
            format!(
                "{} cannot be read, so nobody is trusted. Correct it; or remove it, which trusts nobody either, and say \
                 again whom to trust with `foreman-agent trust add` and `foreman-agent trust dashboard`",
                path.display()
            )
        };
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.with_context(unusable)?,
        };
        serde_json::from_slice(&bytes).with_context(unusable)
    }

    /// Writes the trust so that it survives a power failure.
    ///
    /// # Errors
    /// When the file system refuses; the old file is then untouched.
    pub fn save(&self, path: &Path) -> anyhow::Result<()> {
        replace_file(path, &serde_json::to_vec_pretty(self)?, true).with_context(|| {
            format!("Cannot write {}. Whom this device trusts was not changed", path.display())
        })
    }

    /// Adds an owner, or renames one; `false` when that changes nothing.
    pub fn add(&mut self, key: &str, name: Option<&str>, now: Millis) -> bool {
        if let Some(owner) = self.owners.iter_mut().find(|owner| owner.key == key) {
            let renamed = name.is_some() && owner.name.as_deref() != name;
            if renamed {
                owner.name = name.map(str::to_owned);
            }
            return renamed;
        }
        self.owners.push(Owner { key: key.to_owned(), name: name.map(str::to_owned), since: now });
        true
    }

    /// Removes an owner by key or name; the owner that was removed.
    pub fn remove(&mut self, key_or_name: &str) -> Option<Owner> {
        let is_it = |owner: &Owner| owner.key == key_or_name || owner.name.as_deref() == Some(key_or_name);
        let at = self.owners.iter().position(is_it)?;
        Some(self.owners.remove(at))
    }
}

/// An owner's key as people paste it.
///
/// # Errors
/// When it is no such key, with what to do.
pub fn owner_key(text: &str) -> anyhow::Result<String> {
    let text = text.trim();
    let usable = decode_key(text)
        .ok()
        .and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok())
        .is_some_and(|key| !key.is_weak());
    if !usable {
        bail!(
            "{text:?} is not an owner's key. Nothing was changed. Copy the key whole: 44 characters that end in `=`"
        );
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use foreman_link::grant::Issuer;

    use super::*;

    #[test]
    fn what_is_trusted_is_kept_and_a_damaged_file_trusts_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trust.json");
        assert_eq!(Trust::load(&path).unwrap(), Trust::default());
        fs::write(&path, "{}").unwrap();
        assert_eq!(
            Trust::load_for_joining(&path).unwrap().dashboard.level(),
            None,
            "what it does not say, too"
        );
        fs::remove_file(&path).unwrap();
        let mut trust = Trust::load_for_joining(&path).unwrap();
        assert_eq!((trust.owners.len(), trust.dashboard), (0, Dashboard::Operate));
        let (mia, tom) = (Issuer::generate().public(), Issuer::generate().public());
        assert!(trust.add(&mia, None, 5));
        assert!(trust.add(&mia, Some("Mia"), 6) && !trust.add(&mia, None, 7));
        assert!(trust.add(&tom, None, 8));
        trust.dashboard = Dashboard::View;
        trust.save(&path).unwrap();
        let mut loaded = Trust::load(&path).unwrap();
        assert_eq!(loaded, trust);
        assert_eq!(loaded.remove("Mia").unwrap().since, 5);
        assert!(loaded.remove("Mia").is_none());
        assert_eq!(loaded.remove(&tom).unwrap().key, tom);

        fs::write(&path, "[").unwrap();
        assert!(Trust::load(&path).unwrap_err().to_string().contains("nobody is trusted"));
        assert!(Trust::load_for_joining(&path).is_err());
        assert_eq!(Trust::default().dashboard.level(), None);
    }

    #[test]
    fn only_real_keys_are_owners() {
        let key = Issuer::generate().public();
        assert_eq!(owner_key(&format!(" {key}\n")).unwrap(), key);
        // The identity point: everything would be signed by it.
        let weak = foreman_link::grant::encode_key(&{
            let mut one = [0; 32];
            one[0] = 1;
            one
        });
        for wrong in ["", "mia", &key[1..], &weak] {
            assert!(owner_key(wrong).is_err(), "{wrong}");
        }
    }
}
