//! Sealing what is kept in files: each piece on its own, bound to where it belongs, with a key that lies elsewhere.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};

const NONCE: usize = 24;

/// `None` where it is too long for the cipher.
pub fn seal(key: &[u8; 32], about: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let nonce: [u8; NONCE] = rand::random();
    let sealed = XChaCha20Poly1305::new(key.into())
        .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: about })
        .ok()?;
    Some([&nonce[..], &sealed].concat())
}

/// `None` for what was sealed with another key or about something else.
pub fn unseal(key: &[u8; 32], about: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
    let payload = Payload { msg: sealed, aad: about };
    XChaCha20Poly1305::new(key.into()).decrypt(&XNonce::from(*nonce), payload).ok()
}
