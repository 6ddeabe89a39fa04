//! What a client keeps on its own machine: its keys, where it is signed in, and the devices it knows.
//!
//! Secrets are files that only their user can read; everything is replaced atomically, so a crash leaves the old or
//! the new. With what is here a device is reached without any server. It must not know how.

mod listing;
mod passes;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use etcetera::{BaseStrategy, choose_base_strategy};
use foreman_link::grant::{Issuer, LinkSecret};
use foreman_protocol::{DeviceId, UploadId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::known::KnownDevice;

pub use listing::Listing;
#[cfg(unix)]
use unix::private_file_in;
#[cfg(windows)]
use windows::private_file_in;

const OWNER_KEY: &str = "owner.key";
const CLIENT_KEY: &str = "client.key";
const UPLOADS: &str = "uploads.json";
const MOST_UPLOADS: usize = 200;
const UNTOLD: &str = "taken-back.json";
const MOST_UNTOLD: usize = 1_000;

/// Why something could not be kept or read. Its text is for people and makes sense alone.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("there is no home directory to keep keys in: set HOME, or XDG_DATA_HOME and XDG_CONFIG_HOME")]
    NoHome,
    #[error("{path} cannot be read or written: {error}", path = .path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error("{path} is damaged ({reason}); it was left as it is: move it away to begin anew", path = .path.display())]
    Damaged { path: PathBuf, reason: String },
}

/// Something taken back that a device has not confirmed itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untold {
    pub device: DeviceId,
    /// Signed; see [`foreman_protocol::Revocation`].
    pub signed: String,
}

/// Where a program is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignIn {
    pub url: String,
    /// The bearer.
    pub token: String,
}

/// The keys and records of one user. Made by [`Store::of_this_user`].
#[derive(Debug, Clone)]
pub struct Store {
    config: PathBuf,
    data: PathBuf,
    elsewhere: Option<Arc<Elsewhere>>,
}

/// Keys that are kept in a keychain.
struct Elsewhere {
    owner: Issuer,
    client: LinkSecret,
    /// Opens the passes that are kept.
    passes: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Elsewhere")
    }
}

impl Store {
    /// `foreman` in `$XDG_CONFIG_HOME` and `$XDG_DATA_HOME`.
    ///
    /// # Errors
    /// [`StoreError::NoHome`].
    pub fn of_this_user() -> Result<Self, StoreError> {
        let base = choose_base_strategy().map_err(|_| StoreError::NoHome)?;
        Ok(Self::at(base.config_dir().join("foreman"), base.data_dir().join("foreman")))
    }

    /// In these folders, which are made when something is kept.
    #[must_use]
    pub const fn at(config: PathBuf, data: PathBuf) -> Self {
        Self { config, data, elsewhere: None }
    }

    /// With keys that somebody else keeps: no file is made for them, and they are not changed from here. `passes` seals
    /// what opens the way to devices behind a tunnel.
    #[must_use]
    pub fn with_keys(self, owner: Issuer, client: LinkSecret, passes: [u8; 32]) -> Self {
        let elsewhere = Elsewhere { owner, client, passes: Zeroizing::new(passes) };
        Self { elsewhere: Some(Arc::new(elsewhere)), ..self }
    }

    /// The Ed25519 key that signs grants; made now when there is none.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn owner_key(&self) -> Result<Issuer, StoreError> {
        match self.elsewhere.as_deref() {
            Some(elsewhere) => Ok(elsewhere.owner.clone()),
            None => self.secret(OWNER_KEY).map(|bytes| Issuer::from_bytes(&bytes)),
        }
    }

    /// The X25519 secret with which this client calls devices; made now when there is none.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn client_key(&self) -> Result<LinkSecret, StoreError> {
        match self.elsewhere.as_deref() {
            Some(elsewhere) => Ok(elsewhere.client.clone()),
            None => self.secret(CLIENT_KEY).map(|bytes| LinkSecret::from_bytes(&bytes)),
        }
    }

    /// A new key for calling devices; grants for the one before are worth nothing here from now on.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn rotate_client_key(&self) -> Result<LinkSecret, StoreError> {
        let fresh = LinkSecret::generate();
        write(&self.data.join(CLIENT_KEY), BASE64_STANDARD.encode(*fresh.to_bytes()).as_bytes())?;
        for mut device in self.devices()? {
            device.grant = None;
            // Nobody has refused the new one yet.
            device.refused_at = None;
            self.keep(&device)?;
        }
        Ok(fresh)
    }

    /// A new key for signing grants, which no device trusts yet.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn rotate_owner_key(&self) -> Result<Issuer, StoreError> {
        let fresh = Issuer::generate();
        write(&self.data.join(OWNER_KEY), BASE64_STANDARD.encode(*fresh.to_bytes()).as_bytes())?;
        Ok(fresh)
    }

    /// # Errors
    /// See [`StoreError`].
    pub fn sign_in(&self) -> Result<Option<SignIn>, StoreError> {
        read_json(&self.config.join("sign-in.json"))
    }

    /// Keeps a sign-in, or forgets it. What opened the way to devices goes with the one before.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn set_sign_in(&self, sign_in: Option<&SignIn>) -> Result<(), StoreError> {
        let path = self.config.join("sign-in.json");
        if let Ok(Some(before)) = self.sign_in()
            && sign_in != Some(&before)
        {
            self.forget_passes_of(&before.url)?;
        }
        match sign_in {
            Some(sign_in) => write_json(&path, sign_in),
            None => remove(&path),
        }
    }

    /// All devices this client has met, by name.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn devices(&self) -> Result<Vec<KnownDevice>, StoreError> {
        let folder = self.data.join("devices");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::Io { path: folder, error }),
        };
        let records = entries.flatten().filter(|entry| entry.path().extension().is_some_and(|e| e == "json"));
        let mut devices = Vec::new();
        for record in records {
            devices.extend(read_json::<KnownDevice>(&record.path())?);
        }
        devices.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        Ok(devices)
    }

    /// # Errors
    /// See [`StoreError`].
    pub fn device(&self, id: DeviceId) -> Result<Option<KnownDevice>, StoreError> {
        read_json(&self.record(id))
    }

    /// # Errors
    /// See [`StoreError`].
    pub fn keep(&self, device: &KnownDevice) -> Result<(), StoreError> {
        write_json(&self.record(device.id), device)
    }

    /// Forgets a device, its pinned identity included.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn forget(&self, id: DeviceId) -> Result<(), StoreError> {
        self.forget_pass(id)?;
        remove(&self.record(id))
    }

    /// An upload that was begun and not finished, by whatever names its file.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn upload(&self, key: &str) -> Result<Option<UploadId>, StoreError> {
        let begun: BTreeMap<String, UploadId> = read_json(&self.data.join(UPLOADS))?.unwrap_or_default();
        Ok(begun.get(key).copied())
    }

    /// Remembers an upload, or forgets it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn set_upload(&self, key: &str, id: Option<UploadId>) -> Result<(), StoreError> {
        let path = self.data.join(UPLOADS);
        let mut begun: BTreeMap<String, UploadId> = read_json(&path)?.unwrap_or_default();
        match id {
            Some(id) => {
                // Devices forget them after a day; the oldest ids are the smallest.
                while begun.len() >= MOST_UPLOADS {
                    let Some(oldest) = begun.iter().min_by_key(|(_, id)| **id).map(|(key, _)| key.clone())
                    else {
                        break;
                    };
                    begun.remove(&oldest);
                }
                begun.insert(key.to_owned(), id);
            }
            None => drop(begun.remove(key)),
        }
        write_json(&path, &begun)
    }

    /// Remembers what a device is to be told.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn keep_untold(&self, untold: &Untold) -> Result<(), StoreError> {
        self.change_untold(|all| {
            all.push(untold.clone());
            // Far more than anybody takes back; the oldest are the likeliest to have ended by themselves.
            all.drain(..all.len().saturating_sub(MOST_UNTOLD));
        })
    }

    /// Forgets what the device knows.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn forget_untold(&self, untold: &Untold) -> Result<(), StoreError> {
        self.change_untold(|all| all.retain(|one| one != untold))
    }

    /// What a device is to be told, in order.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn untold(&self, device: DeviceId) -> Result<Vec<Untold>, StoreError> {
        let all: Vec<Untold> = read_json(&self.data.join(UNTOLD))?.unwrap_or_default();
        Ok(all.into_iter().filter(|one| one.device == device).collect())
    }

    fn change_untold(&self, change: impl FnOnce(&mut Vec<Untold>)) -> Result<(), StoreError> {
        let path = self.data.join(UNTOLD);
        let mut all: Vec<Untold> = read_json(&path)?.unwrap_or_default();
        change(&mut all);
        match all.is_empty() {
            true => remove(&path),
            false => write_json(&path, &all),
        }
    }

    fn record(&self, id: DeviceId) -> PathBuf {
        self.data.join("devices").join(format!("{id}.json"))
    }

    fn secret(&self, name: &str) -> Result<Zeroizing<[u8; 32]>, StoreError> {
        let path = self.data.join(name);
        let text = match read(&path)? {
            Some(text) => text,
            None => {
                let fresh: [u8; 32] = rand::random();
                write_first(&path, BASE64_STANDARD.encode(fresh).as_bytes())?
            }
        };
        let bytes = BASE64_STANDARD.decode(text.trim_ascii()).ok().and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(Zeroizing::new)
            .ok_or_else(|| StoreError::Damaged { path, reason: "it holds no key".to_owned() })
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError + use<> {
    let path = path.to_owned();
    |error| StoreError::Io { path, error }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error)),
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    let damaged =
        |error: serde_json::Error| StoreError::Damaged { path: path.to_owned(), reason: error.to_string() };
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), StoreError> {
    let text = serde_json::to_vec_pretty(value).map_err(|error| at(path)(error.into()))?;
    write(path, &text)
}

/// A file beside the wanted one, readable by its user only, with these bytes.
fn beside(path: &Path, bytes: &[u8]) -> Result<tempfile::NamedTempFile, StoreError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = private_file_in(folder).map_err(at(folder))?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(at(path))?;
    Ok(file)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    beside(path, bytes)?.persist(path).map(drop).map_err(|error| at(path)(error.error))
}

/// Writes a file that nobody has written yet; gives what is in it afterwards, whoever was first.
fn write_first(path: &Path, bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
    match beside(path, bytes)?.persist_noclobber(path) {
        Ok(_) => Ok(bytes.to_vec()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => fs::read(path).map_err(at(path)),
        Err(error) => Err(at(path)(error.error)),
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path().join("config"), folder.path().join("data"));
        (folder, store)
    }

    #[test]
    fn keys_are_made_once_for_all_who_ask_at_the_same_time_and_are_private() {
        let (folder, store) = store();
        let asked: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| store.client_key().unwrap().public())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(asked.iter().all(|key| *key == asked[0]));
        assert_ne!(store.owner_key().unwrap().public(), asked[0]);
        for name in ["owner.key", "client.key"] {
            let mode = fs::metadata(folder.path().join("data").join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert_ne!(store.rotate_client_key().unwrap().public(), asked[0]);
    }

    #[test]
    fn a_sign_in_is_kept_private_and_forgotten() {
        let (folder, store) = store();
        assert_eq!(store.sign_in().unwrap(), None);
        let sign_in = SignIn { url: "http://x".to_owned(), token: "secret".to_owned() };
        store.set_sign_in(Some(&sign_in)).unwrap();
        assert_eq!(store.sign_in().unwrap(), Some(sign_in));
        let file = folder.path().join("config/sign-in.json");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        store.set_sign_in(None).unwrap();
        store.set_sign_in(None).unwrap();
        assert_eq!(store.sign_in().unwrap(), None);
    }

    #[test]
    fn a_damaged_key_is_not_replaced_silently() {
        let (folder, store) = store();
        store.owner_key().unwrap();
        fs::write(folder.path().join("data/owner.key"), "garbage").unwrap();
        assert!(matches!(store.owner_key(), Err(StoreError::Damaged { .. })));
    }
}
