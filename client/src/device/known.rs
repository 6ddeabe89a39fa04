//! A device as this client knows it: enough to call it with no server around, and what may not change.
//!
//! The identity is pinned at the first meeting; from then on a server that names another one is not believed. A link
//! key must be signed by it, and a key older than one seen before is dead.

use foreman_link::grant::{LinkKeyError, decode_key, verify_link_key};
use foreman_protocol::{Device, DeviceId, DeviceLink, Level, LinkKey, Millis};
use serde::{Deserialize, Serialize};

/// Why a device is not taken for what it claims to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotBelieved {
    #[error(
        "{name} shows another identity ({claimed}) than the one this client knows ({pinned}): it was set up anew, or \
         somebody stands between. Nothing was sent. Compare with `foreman-agent trust list` on the device; when it is \
         right, `foreman devices forget {name}` and try again"
    )]
    OtherIdentity { name: String, pinned: String, claimed: String },
    #[error(
        "{name} shows the identity {claimed}, and {expected} was asked for. Nothing was sent, and nothing kept of it. \
         Compare with `foreman-agent status` on the device"
    )]
    NotAsExpected { name: String, expected: String, claimed: String },
    #[error("the link key of {name} is not signed by its identity: it was not made there. Nothing was sent")]
    BadSignature { name: String },
}

/// What is kept of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownDevice {
    pub id: DeviceId,
    pub name: String,
    /// Ed25519, standard base64; pinned.
    pub identity: String,
    /// The one with the highest serial ever seen.
    pub key: LinkKey,
    #[serde(default)]
    pub addresses: Vec<String>,
    #[serde(default)]
    pub tailscale: Option<String>,
    #[serde(default)]
    pub tunnel_hostname: Option<String>,
    /// What it lets its server do.
    #[serde(default)]
    pub server_level: Option<Level>,
    /// Signed, for this client's key.
    #[serde(default)]
    pub grant: Option<String>,
    /// When it last refused this client.
    #[serde(default)]
    pub refused_at: Option<Millis>,
}

impl KnownDevice {
    /// The first meeting. `None` for a device whose agent has no link.
    ///
    /// # Errors
    /// [`NotBelieved::BadSignature`].
    pub fn first_met(device: &Device) -> Result<Option<Self>, NotBelieved> {
        let Some(link) = &device.link else { return Ok(None) };
        let mut known = Self {
            id: device.id,
            name: device.name.clone(),
            identity: link.identity.clone(),
            key: link.key.clone(),
            addresses: Vec::new(),
            tailscale: None,
            tunnel_hostname: None,
            server_level: None,
            grant: None,
            refused_at: None,
        };
        known.keys()?;
        known.learn(device)?;
        Ok(Some(known))
    }

    /// What the server says now, as far as it is believed.
    ///
    /// # Errors
    /// [`NotBelieved`]; then nothing was changed.
    pub fn learn(&mut self, device: &Device) -> Result<(), NotBelieved> {
        if let Some(link) = &device.link {
            self.learn_link(link)?;
        }
        self.name.clone_from(&device.name);
        self.tunnel_hostname.clone_from(&device.tunnel_hostname);
        Ok(())
    }

    fn learn_link(&mut self, link: &DeviceLink) -> Result<(), NotBelieved> {
        if link.identity != self.identity {
            return Err(NotBelieved::OtherIdentity {
                name: self.name.clone(),
                pinned: self.identity.clone(),
                claimed: link.identity.clone(),
            });
        }
        self.check_key(&link.key)?;
        if link.key.serial > self.key.serial {
            self.key = link.key.clone();
        }
        self.addresses.clone_from(&link.addresses);
        self.tailscale.clone_from(&link.tailscale);
        self.server_level = link.server_level;
        Ok(())
    }

    /// A key older than the one known is no error: some server has not heard of the new one yet.
    fn check_key(&self, key: &LinkKey) -> Result<(), NotBelieved> {
        match verify_link_key(key, &self.identity, Some(&self.key)) {
            Ok(_) | Err(LinkKeyError::Older { .. }) => Ok(()),
            Err(LinkKeyError::Forged) => Err(NotBelieved::BadSignature { name: self.name.clone() }),
        }
    }

    /// The pinned Ed25519 key and the current X25519 one.
    ///
    /// # Errors
    /// [`NotBelieved::BadSignature`] when the record was tampered with.
    pub(crate) fn keys(&self) -> Result<([u8; 32], [u8; 32]), NotBelieved> {
        let forged = || NotBelieved::BadSignature { name: self.name.clone() };
        let key = verify_link_key(&self.key, &self.identity, None).map_err(|_| forged())?;
        Ok((decode_key(&self.identity).map_err(|_| forged())?, key))
    }
}

#[cfg(test)]
mod tests {
    use foreman_link::grant::{Issuer, encode_key, sign_link_key};
    use serde_json::json;

    use super::*;

    fn device(identity: &Issuer, key: [u8; 32], serial: u64) -> Device {
        serde_json::from_value(json!({
            "id": DeviceId::fresh(), "name": "anvil", "type": "inference", "status": "online", "status_since": 1,
            "created_at": 1, "version": 1, "link": {
                "identity": identity.public(), "addresses": ["192.0.2.1:9981"],
                "key": sign_link_key(encode_key(&key), serial, identity),
            }
        }))
        .unwrap()
    }

    #[test]
    fn a_newer_key_is_taken_and_an_older_one_is_dead() {
        let identity = Issuer::from_bytes(&[1; 32]);
        let mut known = KnownDevice::first_met(&device(&identity, [2; 32], 4)).unwrap().unwrap();
        known.learn(&device(&identity, [3; 32], 5)).unwrap();
        assert_eq!(known.keys().unwrap().1, [3; 32]);
        known.learn(&device(&identity, [2; 32], 4)).unwrap();
        assert_eq!((known.keys().unwrap().1, known.key.serial), ([3; 32], 5));
    }

    #[test]
    fn another_identity_or_an_unsigned_key_changes_nothing() {
        let (identity, thief) = (Issuer::from_bytes(&[1; 32]), Issuer::from_bytes(&[9; 32]));
        let known = KnownDevice::first_met(&device(&identity, [2; 32], 4)).unwrap().unwrap();
        let mut same = known.clone();
        let other = same.learn(&device(&thief, [8; 32], 9)).unwrap_err();
        assert!(matches!(other, NotBelieved::OtherIdentity { .. }));
        let mut forged = device(&identity, [8; 32], 9);
        forged.link.as_mut().unwrap().key.serial = 10;
        assert!(matches!(same.learn(&forged), Err(NotBelieved::BadSignature { .. })));
        assert_eq!(same, known);
        assert!(KnownDevice::first_met(&forged).is_err());
    }
}
