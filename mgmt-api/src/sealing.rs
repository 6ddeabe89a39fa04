//! Sealing what must not be readable in the database or a backup of it: AES-256-GCM with a key that lies beside
//! the database and is in no copy of it. Each sealed text is bound to what it is about, so it cannot be moved to
//! another row.

pub mod canary;

use std::path::Path;

use anyhow::{Context, bail};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::problem::{ApiError, ApiResult};

/// In the data folder.
pub const KEY_FILE: &str = "seal.key";

/// The key, ready to use.
pub struct Seal(LessSafeKey);

impl Seal {
    /// The key in a file of 32 bytes; made, readable by its owner only, when there is none.
    ///
    /// # Errors
    /// When the file can be neither read nor made, or is not such a key.
    pub fn open(file: &Path) -> anyhow::Result<Self> {
        let bytes = match std::fs::read(file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => make(file)?,
            bytes => bytes.with_context(|| format!("the key {} cannot be read", file.display()))?,
        };
        let Ok(key) = UnboundKey::new(&AES_256_GCM, &bytes) else {
            bail!("{} is not a key of 32 bytes. Put the right file back.", file.display());
        };
        Ok(Self(LessSafeKey::new(key)))
    }

    /// `about` must be given again to open it.
    pub fn seal(&self, about: &str, plain: &[u8]) -> ApiResult<String> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut sealed = plain.to_vec();
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(about), &mut sealed)
            .map_err(|_| ApiError::internal(anyhow::anyhow!("a secret could not be sealed")))?;
        Ok(STANDARD_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
    }

    /// # Errors
    /// When it was sealed with another key, about something else, or was changed.
    pub fn open_sealed(&self, about: &str, sealed: &str) -> ApiResult<Vec<u8>> {
        let unusable = || {
            ApiError::internal(anyhow::anyhow!(
                "a sealed value of {about} does not open: {KEY_FILE} in the data folder is not the one it was sealed with"
            ))
        };
        let bytes = STANDARD_NO_PAD.decode(sealed).map_err(|_| unusable())?;
        let (nonce, rest) = bytes.split_first_chunk::<NONCE_LEN>().ok_or_else(unusable)?;
        let mut rest = rest.to_vec();
        let plain = self
            .0
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(about), &mut rest)
            .map_err(|_| unusable())?;
        Ok(plain.to_vec())
    }
}

/// Two servers that start at once over one folder end with the same key: only one can make the file.
fn make(file: &Path) -> anyhow::Result<Vec<u8>> {
    let key: [u8; 32] = rand::random();
    let folder = file.parent().unwrap_or_else(|| Path::new("."));
    let whole = tempfile_beside(folder, &key)
        .with_context(|| format!("the key {} cannot be made", file.display()))?;
    // A link fails when the name is there already, and never shows a file half written.
    let linked = std::fs::hard_link(&whole, file);
    let _ = std::fs::remove_file(&whole);
    match linked {
        Ok(()) => Ok(key.to_vec()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(std::fs::read(file)?),
        Err(error) => Err(error).with_context(|| format!("the key {} cannot be made", file.display())),
    }
}

fn tempfile_beside(folder: &Path, key: &[u8]) -> std::io::Result<std::path::PathBuf> {
    use std::io::Write;
    let path = folder.join(format!(".{KEY_FILE}.{}", uuid::Uuid::now_v7()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&path)?;
    file.write_all(key)?;
    file.sync_all()?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_only_for_what_it_is_about_and_with_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(KEY_FILE);
        let seal = Seal::open(&file).unwrap();
        let sealed = seal.seal("tunnel 1", b"secret").unwrap();
        assert_ne!(sealed, seal.seal("tunnel 1", b"secret").unwrap());
        // The same file is the same key.
        let again = Seal::open(&file).unwrap();
        assert_eq!(again.open_sealed("tunnel 1", &sealed).unwrap(), b"secret");
        assert!(again.open_sealed("tunnel 2", &sealed).is_err());
        let mut changed = sealed.into_bytes();
        changed[20] ^= 1;
        assert!(again.open_sealed("tunnel 1", &String::from_utf8(changed).unwrap()).is_err());
        assert!(again.open_sealed("tunnel 1", "").is_err());
        std::fs::write(&file, b"short").unwrap();
        assert!(Seal::open(&file).is_err());
    }
}
