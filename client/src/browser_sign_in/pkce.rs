//! What only this program knows of an attempt (RFC 7636): who has a code without the verifier has nothing.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub(crate) struct Pkce {
    pub verifier: Zeroizing<String>,
    /// Worth something once, and tells which attempt a return belongs to.
    pub state: String,
}

impl Pkce {
    pub fn fresh() -> Self {
        let random = || URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        Self { verifier: Zeroizing::new(random()), state: random() }
    }

    /// S256
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.as_bytes()))
    }
}
