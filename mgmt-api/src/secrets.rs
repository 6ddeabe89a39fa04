//! Making secrets and recognising them again. Only hashes are ever stored; the hash is of 256 random bits, so a
//! fast one is enough. Passwords, which people choose, get Argon2id.

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use crate::{
    events::hex,
    problem::{ApiError, ApiResult},
};

/// What a secret is for; its first letters, so that a leaked one is recognised by people and scanners.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Connection,
    ApiToken,
    Session,
    DeviceBearer,
    SignInLink,
    /// Good for one connection through the relay.
    RelayTicket,
    DeviceCode,
    AuthorizationCode,
    /// Stands for a provider's key where a client wants one.
    ModelKey,
}

impl Kind {
    const fn prefix(self) -> &'static str {
        match self {
            Kind::Connection => "fmc_",
            Kind::ApiToken => "fma_",
            Kind::Session => "fms_",
            Kind::DeviceBearer => "fmd_",
            Kind::SignInLink => "fml_",
            Kind::RelayTicket => "fmr_",
            Kind::DeviceCode => "fmp_",
            Kind::AuthorizationCode => "fmb_",
            Kind::ModelKey => crate::router::KEY_PREFIX,
        }
    }
}

/// A fresh secret of 256 bits.
pub fn generate(kind: Kind) -> String {
    format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
}

/// A code a person types: 125 bits in five groups of letters and digits that are hard to confuse. Tries are limited.
pub fn typed_code() -> String {
    groups(&rand::random::<[u8; 25]>(), 5)
}

/// A code a person compares on two screens: 40 bits, so it lives minutes and tries are limited.
pub fn short_code() -> String {
    groups(&rand::random::<[u8; 8]>(), 4)
}

/// Five bits of each byte, as letters and digits that are hard to confuse.
fn groups(bytes: &[u8], size: usize) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let letters: Vec<char> = bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte & 31)])).collect();
    letters.chunks(size).map(String::from_iter).collect::<Vec<_>>().join("-")
}

/// What is stored instead of the secret.
pub fn fingerprint(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// Slow on purpose; runs on a thread of its own.
pub async fn hash_password(password: String) -> ApiResult<String> {
    tokio::task::spawn_blocking(move || {
        Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string())
    })
    .await
    .map_err(ApiError::internal)?
    .map_err(|error| ApiError::internal(anyhow::anyhow!("hashing a password: {error}")))
}

/// Compares in constant time. Without a stored hash it works as long and says no, so timing does not tell names.
pub async fn password_matches(password: String, stored: Option<String>) -> ApiResult<bool> {
    tokio::task::spawn_blocking(move || {
        let (stored, known) = match stored {
            Some(stored) => (stored, true),
            None => (
                Argon2::default().hash_password(b"nobody").map(|hash| hash.to_string()).unwrap_or_default(),
                false,
            ),
        };
        let matches = PasswordHash::new(&stored)
            .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
        matches && known
    })
    .await
    .map_err(ApiError::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_recognised_and_another_is_not() {
        let hash = hash_password("correct horse".into()).await.unwrap();
        assert!(password_matches("correct horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!password_matches("wrong horse".into(), Some(hash)).await.unwrap());
        assert!(!password_matches("nobody".into(), None).await.unwrap());
    }

    #[test]
    fn typed_codes_have_125_bits_in_five_groups() {
        let code = typed_code();
        assert_eq!(code.replace('-', "").len(), 25);
        assert_ne!(code, typed_code());
    }
}
