//! What the handshake is made of: `ring` for AES-GCM, SHA-256 and randomness, and the one X25519 that the keys use
//! too, so that secrets are wiped and a peer's key that would fix the outcome is refused.

use snow::{
    Error, HandshakeState,
    params::{CipherChoice, DHChoice, HashChoice},
    resolvers::{CryptoResolver, RingResolver},
    types::{Cipher, Dh, Hash, Random},
};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

const PATTERN: &str = "Noise_IK_25519_AESGCM_SHA256";

/// The handshake of the one who calls.
pub(super) fn initiator(
    secret: &[u8; 32],
    device: &[u8; 32],
    prologue: &[u8],
) -> Result<HandshakeState, Error> {
    builder()?.local_private_key(secret)?.remote_public_key(device)?.prologue(prologue)?.build_initiator()
}

/// The handshake of the one who is called.
pub(super) fn responder(secret: &[u8; 32], prologue: &[u8]) -> Result<HandshakeState, Error> {
    builder()?.local_private_key(secret)?.prologue(prologue)?.build_responder()
}

pub(super) fn builder<'a>() -> Result<snow::Builder<'a>, Error> {
    Ok(snow::Builder::with_resolver(PATTERN.parse()?, Box::new(Primitives)))
}

struct Primitives;

impl CryptoResolver for Primitives {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        RingResolver.resolve_rng()
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| Box::new(X25519::from_secret([0; 32])) as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        RingResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        RingResolver.resolve_cipher(choice)
    }
}

struct X25519 {
    secret: StaticSecret,
    public: [u8; 32],
}

impl X25519 {
    fn from_secret(secret: [u8; 32]) -> Self {
        let secret = StaticSecret::from(secret);
        let public = PublicKey::from(&secret).to_bytes();
        Self { secret, public }
    }
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, secret: &[u8]) {
        let mut bytes = Zeroizing::new([0; 32]);
        bytes.copy_from_slice(&secret[..32]);
        *self = Self::from_secret(*bytes);
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.try_fill_bytes(&mut *bytes)?;
        *self = Self::from_secret(*bytes);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        self.secret.as_bytes()
    }

    fn dh(&self, theirs: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let theirs: [u8; 32] = theirs.get(..32).and_then(|key| key.try_into().ok()).ok_or(Error::Dh)?;
        let shared = self.secret.diffie_hellman(&PublicKey::from(theirs));
        if !shared.was_contributory() {
            return Err(Error::Dh);
        }
        out[..32].copy_from_slice(shared.as_bytes());
        Ok(())
    }
}
