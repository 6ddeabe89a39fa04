//! The two kinds of keys: Ed25519 to sign grants, X25519 to do handshakes. Their secret halves are wiped from
//! memory when they are let go, and never shown.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// A key that is not 32 bytes in standard base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a key: 32 bytes in base64 were expected")]
pub struct BadKey;

/// The bytes of a public key.
///
/// # Errors
/// [`BadKey`]
pub fn decode_key(text: &str) -> Result<[u8; 32], BadKey> {
    STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(BadKey)
}

/// A public key as the wire writes it: standard base64.
#[must_use]
pub fn encode_key(key: &[u8; 32]) -> String {
    STANDARD.encode(key)
}

/// An Ed25519 key that signs grants: an owner's, or a device's identity for its own server.
#[derive(Clone)]
pub struct Issuer(SigningKey);

impl Issuer {
    /// From the system's randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self::from_bytes(&Zeroizing::new(rand::random()))
    }

    #[must_use]
    pub fn from_bytes(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// The secret half, for the file that keeps it.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half, standard base64.
    #[must_use]
    pub fn public(&self) -> String {
        encode_key(self.0.verifying_key().as_bytes())
    }

    #[must_use]
    pub fn public_bytes(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl From<SigningKey> for Issuer {
    fn from(key: SigningKey) -> Self {
        Self(key)
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Issuer").field(&self.public()).finish()
    }
}

/// Whether `key` (standard base64) signed the message. Weak keys and signatures that could be two things are not
/// taken.
pub(super) fn signed_by(key: &str, message: &[u8], signature: &[u8; 64]) -> bool {
    decode_key(key).ok().and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok()).is_some_and(|key| {
        key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
    })
}

/// An X25519 key for handshakes: a client's, or a device's link key.
#[derive(Clone)]
pub struct LinkSecret(StaticSecret);

impl LinkSecret {
    /// From the system's randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self::from_bytes(&Zeroizing::new(rand::random()))
    }

    #[must_use]
    pub fn from_bytes(secret: &[u8; 32]) -> Self {
        Self(StaticSecret::from(*secret))
    }

    /// The secret half, for the file that keeps it.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The public half, standard base64.
    #[must_use]
    pub fn public(&self) -> String {
        encode_key(&self.public_bytes())
    }

    #[must_use]
    pub fn public_bytes(&self) -> [u8; 32] {
        PublicKey::from(&self.0).to_bytes()
    }
}

impl fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LinkSecret").field(&self.public()).finish()
    }
}
