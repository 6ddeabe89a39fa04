//! What somebody decides about the ways to this device. Said once, to `connect` or `run`, it is kept: the service that
//! goes on is started without options, and must not open what was switched off.

use std::{fs, io, path::Path};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::listener::Listen;
use crate::state::replace_file;

/// What is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choices {
    pub listen: Listen,
    /// Tell the local network that this device is here.
    pub mdns: bool,
    /// Offer the listener in the tailnet by `tailscale serve`.
    pub tailscale: bool,
    /// Whether a Cloudflare Tunnel of the server is run. Absent: where the server may run commands here anyway.
    pub cloudflare: Option<bool>,
}

/// What was said; the rest stays as it was said before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wishes {
    /// As [`Listen`] reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<Listen>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_mdns: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tailscale: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloudflare: Option<bool>,
}

impl Wishes {
    /// Together with what was said before, which is kept in a file.
    ///
    /// # Errors
    /// When the file cannot be read or written: what was switched off there must not be opened.
    pub fn kept(self, path: &Path) -> anyhow::Result<Choices> {
        let before = Self::load(path)?;
        let now = Self {
            listen: self.listen.or(before.listen),
            no_mdns: self.no_mdns.or(before.no_mdns),
            tailscale: self.tailscale.or(before.tailscale),
            cloudflare: self.cloudflare.or(before.cloudflare),
        };
        if now != before {
            replace_file(path, &serde_json::to_vec_pretty(&now)?, true)
                .with_context(|| format!("Cannot write {}. Nothing was changed", path.display()))?;
        }
        Ok(Choices {
            listen: now.listen.unwrap_or_default(),
            mdns: !now.no_mdns.unwrap_or_default(),
            tailscale: now.tailscale.unwrap_or_default(),
            cloudflare: now.cloudflare,
        })
    }

    fn load(path: &Path) -> anyhow::Result<Self> {
        let unusable = || {
            format!(
                "{} cannot be read. Correct it, or remove it and say again how the device link is reached",
                path.display()
            )
        };
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            bytes => bytes.with_context(unusable)?,
        };
        serde_json::from_slice(&bytes).with_context(unusable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_switched_off_stays_off_until_it_is_said_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("link.json");
        let usual = Wishes::default().kept(&path).unwrap();
        assert_eq!(usual, Choices { listen: Listen::Usual, mdns: true, tailscale: false, cloudflare: None });
        assert!(!path.exists());
        let off = Wishes { listen: Some(Listen::Off), no_mdns: Some(true), ..Wishes::default() };
        off.kept(&path).unwrap();
        let later = Wishes { tailscale: Some(true), ..Wishes::default() }.kept(&path).unwrap();
        assert_eq!(later, Choices { listen: Listen::Off, mdns: false, tailscale: true, cloudflare: None });
        let at: Listen = "127.0.0.1:7000".parse().unwrap();
        let on = Wishes { listen: Some(at), ..Wishes::default() }.kept(&path).unwrap();
        assert_eq!((on.listen, on.mdns), (at, false));
        fs::write(&path, "{").unwrap();
        assert!(Wishes::default().kept(&path).is_err());
    }
}
