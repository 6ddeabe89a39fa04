//! Signed claims (JWT, RFC 7519) for those who carry pushes. They are only made here, never read.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, anyhow};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use foreman_protocol::Millis;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::problem::{ApiError, ApiResult};

/// A key that signs.
pub enum Signer {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

impl Signer {
    /// From PKCS #8.
    pub fn es256(pkcs8: &[u8]) -> anyhow::Result<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &SystemRandom::new())
            .map_err(|rejected| anyhow!("this is not a P-256 key: {rejected}"))?;
        Ok(Self::Es256(pair))
    }

    /// From the text of a PEM file.
    pub fn es256_pem(pem: &str) -> anyhow::Result<Self> {
        Self::es256(der(pem)?.secret_pkcs8_der())
    }

    /// From the text of a PEM file.
    pub fn rs256_pem(pem: &str) -> anyhow::Result<Self> {
        let pair = RsaKeyPair::from_pkcs8(der(pem)?.secret_pkcs8_der())
            .map_err(|rejected| anyhow!("this is not an RSA key: {rejected}"))?;
        Ok(Self::Rs256(pair))
    }

    /// A fresh P-256 key as PKCS #8.
    pub fn make() -> ApiResult<Zeroizing<Vec<u8>>> {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map_err(|_| ApiError::internal(anyhow!("a key could not be made")))?;
        Ok(Zeroizing::new(made.as_ref().to_vec()))
    }

    /// The public half of a P-256 key, an uncompressed point.
    pub fn public(&self) -> &[u8] {
        match self {
            Self::Es256(pair) => pair.public_key().as_ref(),
            Self::Rs256(_) => &[],
        }
    }

    /// `key_id` names the key to whoever checks.
    pub fn sign(&self, key_id: Option<&str>, claims: &Value) -> ApiResult<String> {
        let failed = || ApiError::internal(anyhow!("claims could not be signed"));
        let random = SystemRandom::new();
        let algorithm = if matches!(self, Self::Es256(_)) { "ES256" } else { "RS256" };
        let mut header = json!({ "typ": "JWT", "alg": algorithm });
        if let Some(id) = key_id {
            header["kid"] = json!(id);
        }
        let text = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", text(&header), text(claims));
        let signature = match self {
            Self::Es256(pair) => {
                pair.sign(&random, signed.as_bytes()).map_err(|_| failed())?.as_ref().to_vec()
            }
            Self::Rs256(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature)
                    .map_err(|_| failed())?;
                signature
            }
        };
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn der(pem: &str) -> anyhow::Result<PrivatePkcs8KeyDer<'static>> {
    PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).context("there is no PKCS #8 key in it")
}

/// Something that is good for a while and made again then.
#[derive(Default)]
pub struct Kept(Mutex<Option<(String, Millis)>>);

impl Kept {
    /// What is kept, if it is good for `margin_ms` more.
    pub fn get(&self, now: Millis, margin_ms: Millis) -> Option<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|(_, until)| *until > now + margin_ms).map(|(text, _)| text.clone())
    }

    pub fn keep(&self, text: &str, until: Millis) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((text.to_owned(), until));
    }

    /// It is not taken any more.
    pub fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
