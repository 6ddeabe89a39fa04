//! Keys in and out: adding one, and the whole vault as an encrypted file with a password of its own, to keep or to take
//! to another server. The file says in clear only how its password is used, and all it says is bound into it.

use foreman_protocol::{
    Event, ProblemReason, TenantId, VaultAttempt, VaultFile, VaultImported, VaultKey, VaultKeyId,
    VaultKeyName, VaultProvider,
};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::{
    Vault, about_key, changed, missing, sealed,
    store::{self, SealedKey},
};
use crate::{
    bounds,
    db::{Tx, now},
    events::Cause,
    problem::{ApiError, ApiResult},
};

const FORMAT: &str = "foreman-vault";
const VERSION: u32 = 1;
/// Longest API key.
const KEY_BYTES: usize = 4096;

/// A key in an exported file, inside what is sealed.
#[derive(Serialize, Deserialize)]
struct Carried {
    provider: VaultProvider,
    name: String,
    key: String,
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

fn about(file: &VaultFile) -> [String; 4] {
    [file.format.clone(), file.version.to_string(), file.created_at.to_string(), sealed::kdf_text(&file.kdf)]
}

/// An API key as vendors make them: it goes into a header.
fn checked_key(text: &str) -> ApiResult<&str> {
    let text = text.trim();
    if text.is_empty() || text.len() > KEY_BYTES || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ApiError::invalid(
            "key",
            format!("A key has 1 to {KEY_BYTES} letters, digits and signs, and no blanks."),
        ));
    }
    Ok(text)
}

/// A key that is sealed and not in the vault yet.
pub struct Sealed {
    epoch: i64,
    key: SealedKey,
}

impl Sealed {
    /// Puts it into the vault, together with whatever else `tx` does.
    pub async fn put(self, tx: &mut Tx, cause: &Cause) -> ApiResult<VaultKey> {
        let (added, _) = store::add(tx, cause.tenant, self.epoch, vec![self.key]).await?;
        let Some(added) = added.into_iter().next() else {
            return Err(ApiError::conflict(
                "There is a key of this name for this provider. Remove it first, or choose another name.",
            )
            .because(ProblemReason::KeyNameTaken));
        };
        let event =
            Event::VaultKeyAdded { key_id: added.id, provider: added.provider, name: added.name.clone() };
        tx.emit(cause, event).await?;
        Ok(store::shown(added))
    }
}

impl Vault {
    /// Seals a key into the vault.
    pub async fn add(
        &self,
        cause: Cause,
        provider: VaultProvider,
        name: &str,
        key: &str,
    ) -> ApiResult<VaultKey> {
        let sealed = self.seal(cause.tenant, provider, name, key).await?;
        self.db.write(move |tx| Box::pin(async move { sealed.put(tx, &cause).await })).await
    }

    /// Seals a key for the vault. It is in it once it was put there.
    pub async fn seal(
        &self,
        tenant: TenantId,
        provider: VaultProvider,
        name: &str,
        key: &str,
    ) -> ApiResult<Sealed> {
        let name = bounds::name("name", name)?;
        let key = checked_key(key)?;
        let epoch = self.epoch(tenant).await?;
        Ok(Sealed { epoch, key: self.seal_key(tenant, epoch, provider, name, key)? })
    }

    async fn epoch(&self, tenant: TenantId) -> ApiResult<i64> {
        Ok(store::find(self.db.read(), tenant).await?.ok_or_else(missing)?.epoch)
    }

    fn seal_key(
        &self,
        tenant: TenantId,
        epoch: i64,
        provider: VaultProvider,
        name: String,
        key: &str,
    ) -> ApiResult<SealedKey> {
        let id = VaultKeyId::fresh();
        let about = about_key(tenant, id, provider, &name);
        let sealed = self.with_data_key(tenant, epoch, |data| data.seal(&about.each(), key.as_bytes()))??;
        let last_four = last_four(key);
        Ok(SealedKey { id, provider, name, sealed, last_four, created_at: now(), last_used_at: None })
    }

    /// All keys as a file. The master password is asked for again, also of an open vault: whoever finds a browser
    /// signed in must not leave with the keys.
    pub async fn export(
        &self,
        cause: Cause,
        password: Zeroizing<String>,
        file_password: Zeroizing<String>,
    ) -> ApiResult<VaultFile> {
        let tenant = cause.tenant;
        let proven = self.prove(&cause, password, VaultAttempt::Export).await?;
        let mut file = VaultFile {
            format: FORMAT.to_owned(),
            version: VERSION,
            created_at: now(),
            kdf: sealed::fresh_kdf(),
            sealed: String::new(),
        };
        let file_key = self.derive(file_password, file.kdf.clone()).await?;
        let keys = self
            .db
            .write(move |tx| {
                Box::pin(async move {
                    let keys = store::all(tx, tenant).await?;
                    let names = keys
                        .iter()
                        .map(|key| VaultKeyName { provider: key.provider, name: key.name.clone() })
                        .collect();
                    tx.emit(&cause, Event::VaultExported { keys: names }).await?;
                    Ok(keys)
                })
            })
            .await?;
        let mut carried = Vec::with_capacity(keys.len());
        for key in keys {
            let about = about_key(tenant, key.id, key.provider, &key.name);
            let mut plain = proven.data.open(&about.each(), &key.sealed).map_err(|_| changed(key.id))?;
            let plain = String::from_utf8(std::mem::take(&mut *plain)).map_err(|_| changed(key.id))?;
            carried.push(Carried { provider: key.provider, name: key.name, key: plain });
        }
        // Room for all of it at once, so that no half of it is left behind where it grew.
        let room = carried.iter().map(|one| 2 * one.key.len() + 6 * one.name.len() + 128).sum::<usize>() + 2;
        let mut plain = Zeroizing::new(Vec::with_capacity(room));
        serde_json::to_writer(&mut *plain, &carried)?;
        file.sealed = file_key.seal(&about(&file).each_ref().map(String::as_str), &plain)?;
        Ok(file)
    }

    /// Adds what is in the file; a name that is taken here is left as it is here.
    pub async fn import(
        &self,
        cause: Cause,
        file: VaultFile,
        file_password: Zeroizing<String>,
    ) -> ApiResult<VaultImported> {
        let tenant = cause.tenant;
        let epoch = self.epoch(tenant).await?;
        // A locked vault is said before anybody waits for the password.
        self.with_data_key(tenant, epoch, |_| ())?;
        if file.format != FORMAT || file.version != VERSION {
            return Err(ApiError::invalid(
                "file",
                "This is not an exported vault that this server can read. Nothing was changed.",
            ));
        }
        let unusable = || {
            ApiError::invalid(
                "file_password",
                "The file does not open: the password is another one, or the file was changed. Nothing was changed here.",
            )
        };
        let kdf = file.kdf.clone();
        sealed::check(&kdf).map_err(|_| unusable())?;
        let key = self.derive(file_password, kdf).await?;
        let plain =
            key.open(&about(&file).each_ref().map(String::as_str), &file.sealed).map_err(|_| unusable())?;
        let carried: Vec<Carried> = serde_json::from_slice(&plain).map_err(|_| unusable())?;
        let mut keys = Vec::with_capacity(carried.len());
        for one in &carried {
            let name = bounds::name("file", &one.name)?;
            keys.push(self.seal_key(tenant, epoch, one.provider, name, checked_key(&one.key)?)?);
        }
        self.db
            .write(move |tx| {
                Box::pin(async move {
                    let (added, kept) = store::add(tx, tenant, epoch, keys).await?;
                    let added: Vec<VaultKeyName> = added
                        .into_iter()
                        .map(|key| VaultKeyName { provider: key.provider, name: key.name })
                        .collect();
                    tx.emit(&cause, Event::VaultImported { keys: added.clone() }).await?;
                    Ok(VaultImported { added, kept })
                })
            })
            .await
    }
}

/// Enough to tell keys apart, and nothing of a short one.
fn last_four(key: &str) -> Option<String> {
    (key.len() >= 20).then(|| key[key.len() - 4..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_what_fits_a_header() {
        assert_eq!(checked_key(" sk-abc\n").unwrap(), "sk-abc");
        for wrong in ["", "  ", "sk abc", "sk\nabc", "sk-ä", &"x".repeat(KEY_BYTES + 1)] {
            assert!(checked_key(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_short_key_shows_nothing() {
        assert_eq!(last_four("sk-0123456789abcdefgh"), Some("efgh".to_owned()));
        assert_eq!(last_four("short-key"), None);
    }
}
