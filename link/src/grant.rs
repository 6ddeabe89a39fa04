//! Who may do what on a device, said by signatures: grants, revocations and the device's own link key.
//!
//! A grant is one line of text, `base64url(JSON) "." base64url(signature)`, and what is checked are the very bytes
//! that were signed, so a server that carries it can neither make one nor change one. Time and the list of trusted
//! keys are passed in. This module must not know files, the network, or what a level allows.

mod keys;
mod link_key;
mod revocations;
mod signed;

use foreman_protocol::{Grant, Millis, RefusedBecause, Revocation};

pub use keys::{BadKey, Issuer, LinkSecret, decode_key, encode_key};
pub use link_key::{LinkKeyError, sign_link_key, verify_link_key};
pub use revocations::Revocations;
pub use signed::Unreadable;

const GRANT: &[u8] = b"foreman grant v1\n";
const REVOCATION: &[u8] = b"foreman revocation v1\n";

/// What a device holds against a grant.
#[derive(Debug, Clone, Copy)]
pub struct Trust<'a> {
    /// Ed25519 keys whose grants count, standard base64.
    pub issuers: &'a [String],
    /// This device's own Ed25519 identity, standard base64.
    pub device: &'a str,
    /// The X25519 key that really did the handshake, standard base64.
    pub client: &'a str,
    pub now: Millis,
    pub revocations: &'a Revocations,
}

/// The grant as text. `issuer` in it has to be the key that signs, or no device will take it.
#[must_use]
pub fn sign_grant(grant: &Grant, issuer: &Issuer) -> String {
    signed::sign(GRANT, grant, issuer)
}

/// The revocation as text; see [`sign_grant`].
#[must_use]
pub fn sign_revocation(revocation: &Revocation, issuer: &Issuer) -> String {
    signed::sign(REVOCATION, revocation, issuer)
}

/// What a grant says. Nothing is checked: for showing it, not for obeying it.
///
/// # Errors
/// When it is no grant.
pub fn read_grant(text: &str) -> Result<Grant, Unreadable> {
    signed::read(text)
}

/// What a revocation says; see [`read_grant`].
///
/// # Errors
/// When it is no revocation.
pub fn read_revocation(text: &str) -> Result<Revocation, Unreadable> {
    signed::read(text)
}

/// The grant, when it counts here and now for this client.
///
/// # Errors
/// `Forged` when a trusted key did not sign exactly this for this device and this client, `Revoked`, `Expired`.
pub fn verify_grant(text: &str, trust: &Trust<'_>) -> Result<Grant, RefusedBecause> {
    let grant: Grant = signed::verify(GRANT, text, trust.issuers, |grant: &Grant| &grant.issuer)
        .ok_or(RefusedBecause::Forged)?;
    if grant.device != trust.device || grant.client != trust.client {
        return Err(RefusedBecause::Forged);
    }
    if trust.revocations.covers(&grant) {
        return Err(RefusedBecause::Revoked);
    }
    if trust.now >= grant.expires_at {
        return Err(RefusedBecause::Expired);
    }
    Ok(grant)
}

/// The revocation, when a trusted key signed it for this device. Any trusted key may take back any grant.
///
/// # Errors
/// `Forged`.
pub fn verify_revocation(text: &str, issuers: &[String], device: &str) -> Result<Revocation, RefusedBecause> {
    signed::verify(REVOCATION, text, issuers, |revocation: &Revocation| &revocation.issuer)
        .filter(|revocation| revocation.device == device)
        .ok_or(RefusedBecause::Forged)
}
