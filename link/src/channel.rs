//! The sealed channel to a device: Noise over any byte stream, so that nothing between the two can read or change
//! what is said, and each knows the other's key.
//!
//! The client sends a preamble in clear (magic, version, session id), then both do `Noise_IK_25519_AESGCM_SHA256`
//! without payloads; preamble and the device's identity are bound into it. From then on all is records: a
//! big-endian `u16` length and that many sealed bytes. The client's first says who it is ([`Hello`]), the device's
//! first whether it may stay; until the client's first one opens, the device keeps nothing, so recorded
//! handshakes sent again come to nothing. A record with nothing in it ends a direction, so a cut is told from an
//! end. Keys move on every 65,536 records.
//!
//! This module must not know what travels inside, who is trusted, or which path the bytes take.

mod buffers;
mod crypto;
mod handshake;
mod io;
mod preamble;
#[cfg(test)]
mod tests;

use foreman_protocol::{Grant, Hello, Level, Millis, RefusedBecause};
use serde::{Deserialize, Serialize};

use crate::grant::{BadKey, LinkSecret, decode_key};

pub use handshake::{HANDSHAKE_TIMEOUT, accept, connect, turn_away};
pub use io::Channel;
pub use preamble::is_link_preamble;

/// What a client needs to reach one device.
#[derive(Debug, Clone)]
pub struct ClientKeys {
    /// The client's own key, which its grant names.
    pub secret: LinkSecret,
    /// The device's Ed25519 identity, as pinned.
    pub device: [u8; 32],
    /// The device's X25519 link key, as [`crate::grant::verify_link_key`] gave it.
    pub link_key: [u8; 32],
}

impl ClientKeys {
    /// From standard base64. The link key has to be verified before.
    ///
    /// # Errors
    /// When one is not a key.
    pub fn new(secret: LinkSecret, device: &str, link_key: &str) -> Result<Self, BadKey> {
        Ok(Self { secret, device: decode_key(device)?, link_key: decode_key(link_key)? })
    }
}

/// What a device answers callers with.
#[derive(Debug, Clone)]
pub struct DeviceKeys {
    /// Its Ed25519 identity, the public half.
    pub identity: [u8; 32],
    /// Its current link key.
    pub secret: LinkSecret,
}

/// What a device lets this client do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    pub level: Level,
    pub expires_at: Millis,
}

/// A device's first record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Ok(Welcome),
    Refused(RefusedBecause),
}

/// A caller that proved its key and was let in.
#[derive(Debug)]
pub struct Accepted<IO> {
    pub channel: Channel<IO>,
    /// The X25519 key that did the handshake, standard base64.
    pub client: String,
    pub hello: Hello,
    /// As the check gave it.
    pub grant: Grant,
}

/// Why there is no channel to the device.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("the way to the device broke: {0}")]
    Io(#[from] std::io::Error),
    #[error("the device did not answer within {} seconds", HANDSHAKE_TIMEOUT.as_secs())]
    TimedOut,
    #[error(
        "what answered is not the device that was pinned, or its link key was rotated; nothing was told to it. Fetch the device's link key again"
    )]
    NotTheDevice,
    #[error("the device speaks version {0} of the link, this program version {ours}. Update the older one", ours = foreman_protocol::LINK_VERSION)]
    Version(u16),
    /// What answered did not look at the caller. No more than a hint: nobody has proven to be the device.
    #[error("too many failed tries from here: wait {0} s, then try again")]
    TurnedAway(u64),
    /// The device turned the grant away.
    #[error("the device refused: {0:?}")]
    Refused(RefusedBecause),
    #[error("the device said something this program does not understand. Update the older one")]
    NotUnderstood,
}

/// Why a caller was not let in.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    #[error("the caller's way broke: {0}")]
    Io(#[from] std::io::Error),
    #[error("the caller did not finish within {} seconds", HANDSHAKE_TIMEOUT.as_secs())]
    TimedOut,
    /// Other bytes than a link's.
    #[error("the caller does not speak the device link")]
    NotALink,
    #[error("the caller speaks version {0} of the link, this device version {ours}", ours = foreman_protocol::LINK_VERSION)]
    Version(u16),
    /// Made for another key, sent again, or changed on its way.
    #[error("the caller's handshake does not fit this device's key")]
    Handshake,
    /// Its key is proven, its grant did not pass.
    #[error("the caller {client} was refused: {because:?}")]
    Refused { client: String, because: RefusedBecause },
}

impl AcceptError {
    /// For counting and reporting; `None` when it was just a broken connection.
    #[must_use]
    pub fn because(&self) -> Option<RefusedBecause> {
        match self {
            Self::Io(_) => None,
            Self::TimedOut | Self::NotALink | Self::Version(_) | Self::Handshake => {
                Some(RefusedBecause::Handshake)
            }
            Self::Refused { because, .. } => Some(*because),
        }
    }
}
