//! Passes for devices behind a tunnel, for when no server can be asked for them. They lie beside the keys, a file for
//! each device that only its user can read; where the keys are kept elsewhere, so is what opens these files.

use std::{collections::BTreeSet, fs, io, path::PathBuf};

use base64::{Engine, prelude::BASE64_STANDARD};
use foreman_protocol::DeviceId;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Store, StoreError, read_json, remove, write_json};
use crate::{
    device::pass::Pass,
    seal::{seal, unseal},
};

const PASSES: &str = "passes";

/// Whose it is can be read without opening it.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The server that gave it.
    server: String,
    pass: Content,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Content {
    Plain(Pass),
    /// Standard base64.
    Sealed(String),
}

impl Store {
    /// What was kept for a device. One that cannot be opened is none: it can be asked for anew.
    pub(in crate::device) fn pass(&self, device: DeviceId) -> Result<Option<Pass>, StoreError> {
        let kept: Option<Kept> = match read_json(&self.pass_file(device)) {
            Err(StoreError::Damaged { .. }) => None,
            kept => kept?,
        };
        Ok(kept.and_then(|kept| match kept.pass {
            Content::Plain(pass) => Some(pass),
            Content::Sealed(text) => {
                let key = &self.elsewhere.as_ref()?.passes;
                let sealed = BASE64_STANDARD.decode(text).ok()?;
                let plain = unseal(key, &about(device, &kept.server), &sealed).map(Zeroizing::new)?;
                serde_json::from_slice(&plain).ok()
            }
        }))
    }

    pub(in crate::device) fn keep_pass(
        &self,
        device: DeviceId,
        server: &str,
        pass: &Pass,
    ) -> Result<(), StoreError> {
        let path = self.pass_file(device);
        let failed = |error: io::Error| StoreError::Io { path: path.clone(), error };
        let content = match &self.elsewhere {
            None => Content::Plain(pass.clone()),
            Some(elsewhere) => {
                let plain =
                    serde_json::to_vec(pass).map(Zeroizing::new).map_err(|error| failed(error.into()))?;
                let sealed = seal(&elsewhere.passes, &about(device, server), &plain);
                let sealed = sealed.ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))?;
                Content::Sealed(BASE64_STANDARD.encode(sealed))
            }
        };
        write_json(&path, &Kept { server: server.to_owned(), pass: content })
    }

    /// Forgets what opens the way through Cloudflare to a device.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn forget_pass(&self, device: DeviceId) -> Result<(), StoreError> {
        remove(&self.pass_file(device))
    }

    /// The same for all devices of a server: whoever signed out there, or left it, is nobody's guest any more. No key is
    /// needed for that.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn forget_passes_of(&self, server: &str) -> Result<(), StoreError> {
        self.forget_passes(server, &BTreeSet::new())
    }

    /// The same, but for these devices.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn forget_passes(&self, server: &str, except: &BTreeSet<DeviceId>) -> Result<(), StoreError> {
        let folder = self.data.join(PASSES);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(StoreError::Io { path: folder, error }),
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let device = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            let Some(device) = device.filter(|device| !except.contains(device)) else { continue };
            // A damaged one may be anybody's and opens nothing.
            let theirs = match read_json::<Kept>(&path) {
                Ok(kept) => kept.is_some_and(|kept| same_place(&kept.server, server)),
                Err(_) => true,
            };
            if theirs {
                self.forget_pass(device)?;
            }
        }
        Ok(())
    }

    fn pass_file(&self, device: DeviceId) -> PathBuf {
        self.data.join(PASSES).join(format!("{device}.json"))
    }
}

/// What a sealed pass is bound to, so that none can be put in another's place.
fn about(device: DeviceId, server: &str) -> Vec<u8> {
    [device.to_string().as_bytes(), &[0], server.as_bytes()].concat()
}

/// Whether two addresses are of one server, as people type them.
fn same_place(one: &str, other: &str) -> bool {
    let plain = |address: &str| {
        let parsed = Url::parse(address.trim()).map_or_else(|_| address.to_owned(), |url| url.to_string());
        parsed.trim_end_matches('/').to_owned()
    };
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use foreman_link::grant::{Issuer, LinkSecret};

    use super::*;

    const SECRET: &str = "s3cret-of-the-service-token";

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path().join("config"), folder.path().join("data"));
        (folder, store)
    }

    #[test]
    fn a_pass_is_kept_for_its_user_and_forgotten_with_the_device_and_the_sign_in() {
        let (folder, store) = store();
        let (one, two, other) = (DeviceId::fresh(), DeviceId::fresh(), DeviceId::fresh());
        let pass = Pass::of_a_test("spark.example.org", SECRET);
        assert!(!format!("{pass:?}").contains(SECRET));
        store.keep_pass(one, "https://home.example/", &pass).unwrap();
        store.keep_pass(two, "https://home.example/", &pass).unwrap();
        store.keep_pass(other, "https://work.example/", &pass).unwrap();
        assert_eq!(store.pass(one).unwrap(), Some(pass.clone()));
        #[cfg(unix)]
        for path in ["data/passes".to_owned(), format!("data/passes/{one}.json")] {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(folder.path().join(&path)).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{path}");
        }

        store.forget(one).unwrap();
        assert_eq!(store.pass(one).unwrap(), None);
        store.keep_pass(one, "https://home.example/", &pass).unwrap();
        store.forget_passes("https://home.example", &BTreeSet::from([two])).unwrap();
        assert!(store.pass(one).unwrap().is_none() && store.pass(two).unwrap().is_some());
        let sign_in = super::super::SignIn { url: "https://home.example".to_owned(), token: "t".to_owned() };
        store.set_sign_in(Some(&sign_in)).unwrap();
        assert!(store.pass(two).unwrap().is_some(), "nobody else was signed in before");
        store.set_sign_in(None).unwrap();
        assert_eq!(store.pass(two).unwrap(), None);
        assert!(store.pass(other).unwrap().is_some(), "that server was not left");
        drop(folder);
    }

    #[test]
    fn a_pass_is_sealed_where_the_keys_are_elsewhere() {
        let (folder, plain) = store();
        let with = |key: u8| {
            let (owner, client) = (Issuer::from_bytes(&[1; 32]), LinkSecret::from_bytes(&[2; 32]));
            plain.clone().with_keys(owner, client, [key; 32])
        };
        let device = DeviceId::fresh();
        let pass = Pass::of_a_test("spark.example.org", SECRET);
        with(3).keep_pass(device, "https://home.example/", &pass).unwrap();
        let path = folder.path().join(format!("data/passes/{device}.json"));
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(SECRET) && !text.contains("id.access"), "{text}");
        assert_eq!(with(3).pass(device).unwrap(), Some(pass));
        assert_eq!(with(4).pass(device).unwrap(), None, "another keychain's");
        assert!(!format!("{:?}", with(3)).contains("3, 3, 3"));
        // Put in another device's place, or another server's.
        let other = DeviceId::fresh();
        fs::copy(&path, folder.path().join(format!("data/passes/{other}.json"))).unwrap();
        assert_eq!(with(3).pass(other).unwrap(), None);
        fs::write(&path, text.replace("home.example", "evil.example")).unwrap();
        assert_eq!(with(3).pass(device).unwrap(), None);
        // Whoever signs out needs no keychain.
        plain.forget_passes_of("https://evil.example").unwrap();
        assert!(!path.exists());
    }
}
