//! A device's link key, signed by its identity. A client goes only forward in serials, so a key that was rotated
//! away stays dead even when a server hands out the old answer.

use base64::{Engine, engine::general_purpose::STANDARD};
use foreman_protocol::{LinkKey, link_key_message};

use super::keys::{Issuer, decode_key, signed_by};

/// Why a device's link key is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkKeyError {
    #[error("the device's link key is not signed by the device that was pinned; nothing was sent to it")]
    Forged,
    #[error(
        "the device's link key {offered} is older than {seen}, which it has used already; nothing was sent to it"
    )]
    Older { offered: u64, seen: u64 },
}

/// Says that `public_key` (X25519, standard base64) is this device's key number `serial`.
#[must_use]
pub fn sign_link_key(public_key: String, serial: u64, identity: &Issuer) -> LinkKey {
    let signature = STANDARD.encode(identity.sign(&link_key_message(&public_key, serial)));
    LinkKey { public_key, serial, signature }
}

/// The key's bytes, when the pinned `identity` (Ed25519, standard base64) signed it and it does not go back behind
/// `seen`, the newest key this client has used.
///
/// # Errors
/// See [`LinkKeyError`]; a second key with the serial of another one is forged.
pub fn verify_link_key(
    key: &LinkKey,
    identity: &str,
    seen: Option<&LinkKey>,
) -> Result<[u8; 32], LinkKeyError> {
    let signature: Option<[u8; 64]> =
        STANDARD.decode(&key.signature).ok().and_then(|bytes| bytes.try_into().ok());
    let signed = signature.is_some_and(|signature| {
        signed_by(identity, &link_key_message(&key.public_key, key.serial), &signature)
    });
    let bytes = decode_key(&key.public_key).ok().filter(|_| signed).ok_or(LinkKeyError::Forged)?;
    match seen {
        Some(seen) if key.serial < seen.serial => {
            Err(LinkKeyError::Older { offered: key.serial, seen: seen.serial })
        }
        Some(seen) if key.serial == seen.serial && key.public_key != seen.public_key => {
            Err(LinkKeyError::Forged)
        }
        _ => Ok(bytes),
    }
}
