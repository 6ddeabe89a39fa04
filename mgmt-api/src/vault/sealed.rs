//! The vault's cryptography: a password becomes a key (Argon2id), keys seal bytes (XChaCha20-Poly1305). Every sealed
//! text is bound to what it is about. Keys are wiped when dropped; that is why this is not `ring`, whose keys are not,
//! and the nonces of 24 bytes can be random without counting.
//!
//! Knows no database and no HTTP.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{self, Aead, Payload},
};
use foreman_protocol::VaultKdf;
use zeroize::{Zeroize, Zeroizing};

use crate::problem::{ApiError, ApiResult};

const KEY: usize = 32;
const NONCE: usize = 24;
const SALT: usize = 16;
/// Bytes of stack: more than any of the ciphers and the password's function works in.
const SCRUBBED: usize = 32 * 1024;

/// How often a password was worked on, right or wrong.
const DERIVATIONS: &str = "foreman_vault_derivations_total";

/// What new passwords get: about a tenth of a second on a small server.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 1;
/// Parameters come from a file too: what it may make this server spend.
const MOST_MEMORY_KIB: u32 = 512 * 1024;
const MOST_PASSES: u32 = 16;
const MOST_LANES: u32 = 8;

/// 256 bits that seal; gone from memory when dropped. They stay at one place until then: what is moved leaves its bytes
/// behind where it was.
pub struct Key(Box<Zeroizing<[u8; KEY]>>);

/// A sealed text was changed, moved, or sealed with another key. Which of these cannot be told.
#[derive(Debug, PartialEq, Eq)]
pub struct DoesNotOpen;

impl Key {
    fn blank() -> Self {
        Self(Box::new(Zeroizing::new([0; KEY])))
    }

    pub fn fresh() -> Self {
        let mut key = Self::blank();
        rand::fill(key.0.as_mut_slice());
        key
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut key = Self::blank();
        (bytes.len() == KEY).then(|| key.0.copy_from_slice(bytes))?;
        Some(key)
    }

    /// `about` must be given again, the same, to open it.
    pub fn seal(&self, about: &[&str], plain: &[u8]) -> ApiResult<String> {
        let nonce: [u8; NONCE] = rand::random();
        let sealed = self.encrypt(nonce, Payload { msg: plain, aad: &bound(about) });
        scrub_stack();
        let sealed =
            sealed.map_err(|_| ApiError::internal(anyhow::anyhow!("a secret could not be sealed")))?;
        Ok(STANDARD_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
    }

    pub fn open(&self, about: &[&str], sealed: &str) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
        let bytes = STANDARD_NO_PAD.decode(sealed).map_err(|_| DoesNotOpen)?;
        let (nonce, rest) = bytes.split_first_chunk::<NONCE>().ok_or(DoesNotOpen)?;
        let plain = self.decrypt(*nonce, Payload { msg: rest, aad: &bound(about) });
        scrub_stack();
        plain.map(Zeroizing::new).map_err(|_| DoesNotOpen)
    }

    #[inline(never)]
    fn encrypt(&self, nonce: [u8; NONCE], payload: Payload<'_, '_>) -> aead::Result<Vec<u8>> {
        XChaCha20Poly1305::new((&**self.0).into()).encrypt(&XNonce::from(nonce), payload)
    }

    #[inline(never)]
    fn decrypt(&self, nonce: [u8; NONCE], payload: Payload<'_, '_>) -> aead::Result<Vec<u8>> {
        XChaCha20Poly1305::new((&**self.0).into()).decrypt(&XNonce::from(nonce), payload)
    }

    /// This key, sealed with another.
    pub fn wrap(&self, with: &Key, about: &[&str]) -> ApiResult<String> {
        with.seal(about, self.0.as_slice())
    }

    pub fn open_key(with: &Key, about: &[&str], wrapped: &str) -> Result<Self, DoesNotOpen> {
        Self::from_bytes(&with.open(about, wrapped)?).ok_or(DoesNotOpen)
    }
}

/// The ciphers copy a key to where they work and wipe only the last copy. Called right after what is not inlined, this
/// lies over all of them.
#[inline(never)]
fn scrub_stack() {
    let mut below = [0_u8; SCRUBBED];
    below.zeroize();
    std::hint::black_box(&mut below);
}

/// Lengths go in too, so no two lists are the same bytes.
fn bound(about: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(about.iter().map(|part| part.len() + size_of::<u64>()).sum());
    for part in about {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend(part.as_bytes());
    }
    bytes
}

/// Today's parameters with a fresh salt.
pub fn fresh_kdf() -> VaultKdf {
    VaultKdf {
        memory_kib: MEMORY_KIB,
        passes: PASSES,
        lanes: LANES,
        salt: STANDARD_NO_PAD.encode(rand::random::<[u8; SALT]>()),
    }
}

/// The parameters in one text, to bind them.
pub fn kdf_text(kdf: &VaultKdf) -> String {
    format!("argon2id m={} t={} p={} {}", kdf.memory_kib, kdf.passes, kdf.lanes, kdf.salt)
}

/// The parameters and the salt, when they are such as this server is ready to work with.
///
/// # Errors
/// When they are not: one sentence.
pub fn check(kdf: &VaultKdf) -> anyhow::Result<(Params, Vec<u8>)> {
    let fits = kdf.memory_kib <= MOST_MEMORY_KIB
        && (1..=MOST_PASSES).contains(&kdf.passes)
        && (1..=MOST_LANES).contains(&kdf.lanes);
    anyhow::ensure!(fits, "the password's parameters are out of bounds");
    let salt = STANDARD_NO_PAD.decode(&kdf.salt)?;
    anyhow::ensure!(salt.len() == SALT, "the password's salt is not of {SALT} bytes");
    let params = Params::new(kdf.memory_kib, kdf.passes, kdf.lanes, Some(KEY)).map_err(wrong)?;
    Ok((params, salt))
}

fn wrong(error: argon2::Error) -> anyhow::Error {
    anyhow::anyhow!("the password's parameters do not work: {error}")
}

/// Slow on purpose: belongs on a thread of its own. The memory it worked in is wiped.
///
/// # Errors
/// As [`check`].
pub fn derive(password: &str, kdf: &VaultKdf) -> anyhow::Result<Key> {
    let (params, salt) = check(kdf)?;
    let mut key = Key::blank();
    metrics::counter!(DERIVATIONS).increment(1);
    let worked = work(params, password, &salt, &mut key);
    scrub_stack();
    worked.map_err(wrong)?;
    Ok(key)
}

#[inline(never)]
fn work(params: Params, password: &str, salt: &[u8], key: &mut Key) -> argon2::Result<()> {
    let mut memory = Zeroizing::new(vec![Block::default(); params.block_count()]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into_with_memory(
        password.as_bytes(),
        salt,
        key.0.as_mut_slice(),
        memory.as_mut_slice(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cheap() -> VaultKdf {
        VaultKdf { memory_kib: 64, passes: 1, ..fresh_kdf() }
    }

    #[test]
    fn what_is_sealed_opens_only_with_its_key_and_for_what_it_is_about() {
        let key = Key::fresh();
        let sealed = key.seal(&["a", "bc"], b"secret").unwrap();
        assert_ne!(sealed, key.seal(&["a", "bc"], b"secret").unwrap());
        assert_eq!(key.open(&["a", "bc"], &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(key.open(&["ab", "c"], &sealed), Err(DoesNotOpen));
        assert_eq!(Key::fresh().open(&["a", "bc"], &sealed), Err(DoesNotOpen));
        assert_eq!(key.open(&["a", "bc"], ""), Err(DoesNotOpen));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            if changed != sealed {
                assert_eq!(key.open(&["a", "bc"], &changed), Err(DoesNotOpen), "changed at {at}");
            }
        }
    }

    #[test]
    fn a_password_with_the_same_parameters_is_the_same_key() {
        let kdf = cheap();
        let wrapped = Key::fresh().wrap(&derive("correct horse", &kdf).unwrap(), &["about"]).unwrap();
        assert!(Key::open_key(&derive("correct horse", &kdf).unwrap(), &["about"], &wrapped).is_ok());
        assert!(Key::open_key(&derive("wrong horse", &kdf).unwrap(), &["about"], &wrapped).is_err());
        assert!(Key::open_key(&derive("correct horse", &cheap()).unwrap(), &["about"], &wrapped).is_err());
    }

    #[test]
    fn parameters_that_would_exhaust_the_server_are_refused() {
        assert!(derive("x", &VaultKdf { memory_kib: u32::MAX, ..cheap() }).is_err());
        assert!(derive("x", &VaultKdf { passes: 1_000, ..cheap() }).is_err());
        assert!(derive("x", &VaultKdf { lanes: 1_000, ..cheap() }).is_err());
        assert!(derive("x", &VaultKdf { salt: String::new(), ..cheap() }).is_err());
    }
}
