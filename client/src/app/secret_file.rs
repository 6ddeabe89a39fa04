//! Secrets where no keychain can be opened: one file, sealed with a passphrase (Argon2id, XChaCha20-Poly1305), that the
//! user agreed to. It says in clear only how its passphrase is used, and all it says is bound into what is sealed.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{SecretError, SecretStore};

const FORMAT: &str = "foreman-secrets";
const VERSION: u32 = 1;
const KEY: usize = 32;
const NONCE: usize = 24;
const SALT: usize = 16;
/// Characters.
const SHORTEST_PASSPHRASE: usize = 10;
/// Of the file. Bytes.
const LONGEST: u64 = 1024 * 1024;

/// How a passphrase becomes a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kdf {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: String,
    version: u32,
    kdf: Kdf,
    sealed: String,
}

type All = BTreeMap<String, Zeroizing<String>>;

/// Opened with its passphrase; what is in it stays in memory until the app ends.
pub struct SecretFile {
    path: PathBuf,
    kdf: Kdf,
    key: Zeroizing<[u8; KEY]>,
    all: Mutex<All>,
}

impl SecretFile {
    /// Whether the user agreed to one before.
    #[must_use]
    pub fn is_there(path: &Path) -> bool {
        path.exists()
    }

    /// Makes an empty one. Slow on purpose.
    ///
    /// # Errors
    /// [`SecretError::WeakPassphrase`], or when it cannot be written; one that is there is left as it is.
    pub fn make(path: PathBuf, passphrase: &str) -> Result<Self, SecretError> {
        // About a tenth of a second on a small computer.
        Self::make_with(path, passphrase, (64 * 1024, 3))
    }

    fn make_with(
        path: PathBuf,
        passphrase: &str,
        (memory_kib, passes): (u32, u32),
    ) -> Result<Self, SecretError> {
        if passphrase.chars().count() < SHORTEST_PASSPHRASE {
            return Err(SecretError::WeakPassphrase { least: SHORTEST_PASSPHRASE });
        }
        if Self::is_there(&path) {
            return Err(damaged("there is such a file already"));
        }
        let salt = STANDARD_NO_PAD.encode(rand::random::<[u8; SALT]>());
        let kdf = Kdf { memory_kib, passes, lanes: 1, salt };
        let key = derive(passphrase, &kdf)?;
        let file = Self { path, kdf, key, all: Mutex::default() };
        file.write(&All::new())?;
        Ok(file)
    }

    /// Opens the one that is there. Slow on purpose.
    ///
    /// # Errors
    /// [`SecretError::WrongPassphrase`]; [`SecretError::Damaged`] when it is no such file, which is left as it is.
    pub fn open(path: PathBuf, passphrase: &str) -> Result<Self, SecretError> {
        let unreadable = |error: io::Error| damaged(&error.to_string());
        if fs::metadata(&path).map_err(unreadable)?.len() > LONGEST {
            return Err(damaged("it is longer than any such file"));
        }
        for_its_owner_only(&path).map_err(unreadable)?;
        let bytes = fs::read(&path).map_err(unreadable)?;
        let written: Written =
            serde_json::from_slice(&bytes).map_err(|_| damaged("it is not one of Foreman's"))?;
        if written.format != FORMAT || written.version != VERSION {
            return Err(damaged("it is not one that this version can read"));
        }
        let key = derive(passphrase, &written.kdf)?;
        let sealed = STANDARD_NO_PAD.decode(&written.sealed).map_err(|_| damaged("it was changed"))?;
        let (nonce, rest) = sealed.split_first_chunk::<NONCE>().ok_or_else(|| damaged("it was cut off"))?;
        let plain = XChaCha20Poly1305::new((&*key).into())
            .decrypt(&XNonce::from(*nonce), Payload { msg: rest, aad: &bound(&written.kdf) })
            .map(Zeroizing::new)
            // Another passphrase and a changed file look the same.
            .map_err(|_| SecretError::WrongPassphrase)?;
        let all = serde_json::from_slice(&plain).map_err(|_| damaged("it holds something else"))?;
        Ok(Self { path, kdf: written.kdf, key, all: Mutex::new(all) })
    }

    fn change(&self, act: impl FnOnce(&mut All)) -> Result<(), SecretError> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = all.clone();
        act(&mut next);
        self.write(&next)?;
        *all = next;
        Ok(())
    }

    /// All or nothing: a crash leaves the old file or the new one.
    fn write(&self, all: &All) -> Result<(), SecretError> {
        let lost = |_| damaged("it cannot be sealed");
        // Room for all of it at once, so that no half of it is left behind where it grew.
        let room = all.iter().map(|(name, secret)| 2 * (name.len() + secret.len()) + 16).sum::<usize>() + 2;
        let mut plain = Zeroizing::new(Vec::with_capacity(room));
        serde_json::to_writer(&mut *plain, all).map_err(|_| damaged("it cannot be written down"))?;
        let nonce: [u8; NONCE] = rand::random();
        let sealed = XChaCha20Poly1305::new((&*self.key).into())
            .encrypt(&XNonce::from(nonce), Payload { msg: &plain, aad: &bound(&self.kdf) })
            .map_err(lost)?;
        let written = Written {
            format: FORMAT.to_owned(),
            version: VERSION,
            kdf: self.kdf.clone(),
            sealed: STANDARD_NO_PAD.encode([nonce.as_slice(), &sealed].concat()),
        };
        replace(&self.path, &written).map_err(|error| damaged(&format!("it cannot be written: {error}")))
    }
}

impl SecretStore for SecretFile {
    fn get(&self, name: &str) -> Result<Option<Zeroizing<String>>, SecretError> {
        Ok(self.all.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned())
    }

    fn set(&self, name: &str, secret: &str) -> Result<(), SecretError> {
        self.change(|all| drop(all.insert(name.to_owned(), secret.to_owned().into())))
    }

    fn remove(&self, name: &str) -> Result<(), SecretError> {
        let there = self.get(name)?.is_some();
        if there { self.change(|all| drop(all.remove(name))) } else { Ok(()) }
    }
}

fn replace(path: &Path, written: &Written) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // Made for its owner only, before anything is in it.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&serde_json::to_vec_pretty(written)?)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    #[cfg(unix)]
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

/// A copy that somebody made may be open to others; what it holds is still sealed.
#[cfg(unix)]
fn for_its_owner_only(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 == 0 { Ok(()) } else { fs::set_permissions(path, fs::Permissions::from_mode(0o600)) }
}

#[cfg(not(unix))]
fn for_its_owner_only(_path: &Path) -> io::Result<()> {
    Ok(())
}

fn bound(kdf: &Kdf) -> Vec<u8> {
    let Kdf { memory_kib, passes, lanes, salt } = kdf;
    format!("{FORMAT} v{VERSION} argon2id m={memory_kib} t={passes} p={lanes} {salt}").into_bytes()
}

fn derive(passphrase: &str, kdf: &Kdf) -> Result<Zeroizing<[u8; KEY]>, SecretError> {
    // A file may be anybody's: what it may make this computer spend.
    let fits = kdf.memory_kib <= 512 * 1024 && (1..=16).contains(&kdf.passes) && (1..=8).contains(&kdf.lanes);
    let salt = STANDARD_NO_PAD.decode(&kdf.salt).ok().filter(|salt| fits && salt.len() == SALT);
    let wrong = || damaged("its parameters are out of bounds");
    let params = Params::new(kdf.memory_kib, kdf.passes, kdf.lanes, Some(KEY)).map_err(|_| wrong())?;
    let salt = salt.ok_or_else(wrong)?;
    let mut memory = Zeroizing::new(vec![Block::default(); params.block_count()]);
    let mut key = Zeroizing::new([0; KEY]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(
            passphrase.as_bytes(),
            &salt,
            key.as_mut_slice(),
            memory.as_mut_slice(),
        )
        .map_err(|_| wrong())?;
    Ok(key)
}

fn damaged(reason: &str) -> SecretError {
    SecretError::Damaged { reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSPHRASE: &str = "correct horse";

    fn made(path: &Path) -> SecretFile {
        SecretFile::make_with(path.to_owned(), PASSPHRASE, (64, 1)).unwrap()
    }

    #[test]
    fn secrets_are_there_again_with_the_passphrase_and_only_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app/secrets.json");
        let file = made(&path);
        file.set("server/a/bearer", "fmt_secret").unwrap();
        file.set("gone", "x").unwrap();
        file.remove("gone").unwrap();
        file.remove("never there").unwrap();
        assert!(!fs::read_to_string(&path).unwrap().contains("fmt_secret"));
        let again = SecretFile::open(path.clone(), PASSPHRASE).unwrap();
        assert_eq!(again.get("server/a/bearer").unwrap().unwrap().as_str(), "fmt_secret");
        assert_eq!(again.get("gone").unwrap(), None);
        let before = fs::read(&path).unwrap();
        assert_eq!(SecretFile::open(path.clone(), "wrong horse").err(), Some(SecretError::WrongPassphrase));
        assert!(SecretFile::make(path.clone(), PASSPHRASE).is_err(), "one that is there is not replaced");
        assert_eq!(fs::read(&path).unwrap(), before);
        assert!(matches!(
            SecretFile::make(folder.path().join("b"), "short").err(),
            Some(SecretError::WeakPassphrase { .. })
        ));
    }

    #[test]
    fn a_crash_in_the_middle_of_writing_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        let file = made(&path);
        file.set("a", "1").unwrap();
        // What a killed app leaves beside it: half a file under another name.
        let whole = fs::read(&path).unwrap();
        fs::write(folder.path().join(".tmpAbCdEf"), &whole[..whole.len() / 2]).unwrap();
        assert_eq!(
            SecretFile::open(path.clone(), PASSPHRASE).unwrap().get("a").unwrap().unwrap().as_str(),
            "1"
        );
        // A file that cannot be replaced leaves what was there, in memory too.
        let elsewhere = folder.path().join("aside");
        fs::rename(&path, &elsewhere).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(file.set("a", "2").is_err());
        assert_eq!(file.get("a").unwrap().unwrap().as_str(), "1");
    }

    #[test]
    fn a_damaged_file_is_told_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        made(&path).set("a", "1").unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        for text in [
            String::new(),
            "{}".to_owned(),
            whole[..whole.len() / 2].to_owned(),
            whole.replace("\"version\": 1", "\"version\": 2"),
            whole.replace("\"memory_kib\": 64", "\"memory_kib\": 4294967295"),
        ] {
            fs::write(&path, &text).unwrap();
            let error = SecretFile::open(path.clone(), PASSPHRASE).err();
            assert!(matches!(error, Some(SecretError::Damaged { .. })), "{text}: {error:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        // What it says in clear is bound into what is sealed.
        fs::write(&path, whole.replace("\"passes\": 1", "\"passes\": 2")).unwrap();
        assert_eq!(SecretFile::open(path, PASSPHRASE).err(), Some(SecretError::WrongPassphrase));
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_its_owners_only_also_after_somebody_copied_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let file = made(&path);
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        file.set("a", "1").unwrap();
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        SecretFile::open(path.clone(), PASSPHRASE).unwrap();
        assert_eq!(mode(), 0o600);
    }
}
