//! `base64url(JSON) "." base64url(signature)`: the signature is over a line that names the kind, and the JSON's
//! bytes as they travel, so nothing is written anew before it is checked.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};

use super::keys::{Issuer, signed_by};

/// No signed text is longer, in bytes.
const LIMIT: usize = 4 * 1024;

/// Text that is no grant or revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a grant or revocation: copy it whole, from its first to its last character")]
pub struct Unreadable;

pub(super) fn sign<T: Serialize>(kind: &[u8], what: &T, issuer: &Issuer) -> String {
    // Plain structs of text and numbers always become JSON; an empty one would be taken by nobody.
    let json = serde_json::to_vec(what).unwrap_or_default();
    let signature = issuer.sign(&[kind, &json].concat());
    format!("{}.{}", URL_SAFE_NO_PAD.encode(&json), URL_SAFE_NO_PAD.encode(signature))
}

fn split(text: &str) -> Option<(Vec<u8>, [u8; 64])> {
    if text.len() > LIMIT {
        return None;
    }
    let (json, signature) = text.trim().split_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?.try_into().ok()?;
    Some((URL_SAFE_NO_PAD.decode(json).ok()?, signature))
}

pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Unreadable> {
    let (json, _) = split(text).ok_or(Unreadable)?;
    serde_json::from_slice(&json).map_err(|_| Unreadable)
}

/// What was signed, when the issuer it names is among `trusted` and really signed it.
pub(super) fn verify<T: DeserializeOwned>(
    kind: &[u8],
    text: &str,
    trusted: &[String],
    issuer: impl Fn(&T) -> &String,
) -> Option<T> {
    let (json, signature) = split(text)?;
    let what: T = serde_json::from_slice(&json).ok()?;
    let issuer = issuer(&what);
    let counts = trusted.contains(issuer) && signed_by(issuer, &[kind, &json].concat(), &signature);
    counts.then_some(what)
}
