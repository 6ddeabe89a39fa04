//! Unattended unlock: a file of the operator's wraps the data key too, so that the vault opens when the server starts.
//! Whoever has the file and the database has the keys; so it is off unless asked for, and a start without it makes
//! the file worthless. Servers have no keychain of a person, so there is nothing in between.

use std::path::Path;

use anyhow::{Context, bail};
use foreman_protocol::{Event, TenantId, UnlockedBy};

use super::{Vault, sealed::Key, store};
use crate::{db::Tx, events::Cause, problem::ApiResult};

const BYTES: usize = 32;

/// The key in the file; made, readable by its owner only, when there is none.
///
/// # Errors
/// When it can be neither read nor made, or is not such a key: one sentence.
pub fn load(file: &Path) -> anyhow::Result<Key> {
    let bytes = match std::fs::read(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => make(file),
        bytes => bytes,
    };
    let bytes = zeroize::Zeroizing::new(
        bytes.with_context(|| format!("the vault's key file {} cannot be read or made", file.display()))?,
    );
    let Some(key) = Key::from_bytes(&bytes) else {
        bail!("{} is not a key file of {BYTES} bytes. Put the right file back.", file.display());
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if std::fs::metadata(file)?.permissions().mode() & 0o077 != 0 {
            tracing::warn!(file = %file.display(), "the vault's key file can be read by others than its owner");
        }
    }
    Ok(key)
}

/// Only one of two servers can make the name, and it never shows a file half written.
fn make(file: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Write;
    let beside = file.with_extension(format!("new-{}", uuid::Uuid::now_v7()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut opened = options.open(&beside)?;
    opened.write_all(&rand::random::<[u8; BYTES]>())?;
    opened.sync_all()?;
    let linked = std::fs::hard_link(&beside, file);
    let _ = std::fs::remove_file(&beside);
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => std::fs::read(file),
    }
}

fn about(tenant: TenantId) -> [String; 2] {
    ["foreman vault data key, key file v1".to_owned(), tenant.to_string()]
}

impl Vault {
    /// The data key under the operator's file, when there is one.
    pub(super) fn wrap_for_file(&self, tenant: TenantId, data: &Key) -> ApiResult<Option<String>> {
        let about = about(tenant);
        self.key_file.as_ref().map(|file| data.wrap(file, &about.each_ref().map(String::as_str))).transpose()
    }

    /// At start: opens the vault when the operator's file does, and forgets an earlier file when there is none now.
    pub async fn start(&self, tenant: TenantId) -> ApiResult<()> {
        let Some(row) = store::find(self.db.read(), tenant).await? else { return Ok(()) };
        let Some(wrapped) = row.file_wrapped else {
            if self.key_file.is_some() {
                tracing::info!("the vault does not know the key file yet; it will after the next unlock");
            }
            return Ok(());
        };
        let Some(file) = &self.key_file else {
            tracing::info!("no key file was given: the vault no longer opens with the one it knew");
            return self.db.write(move |tx| Box::pin(async move { set(tx, tenant, None).await })).await;
        };
        let about = about(tenant);
        match Key::open_key(file, &about.each_ref().map(String::as_str), &wrapped) {
            Ok(data) => {
                self.keep_open(tenant, data, row.epoch);
                store::tell(&self.db, Cause::system(tenant), Event::VaultUnlocked { by: UnlockedBy::KeyFile })
                    .await
            }
            Err(_) => {
                tracing::warn!(
                    "the key file does not open the vault; it will after an unlock with the password"
                );
                Ok(())
            }
        }
    }
}

/// What a key file opens.
pub async fn set(tx: &mut Tx, tenant: TenantId, wrapped: Option<String>) -> ApiResult<()> {
    sqlx::query("UPDATE vaults SET file_wrapped = $1 WHERE tenant_id = $2")
        .bind(wrapped)
        .bind(tenant.to_string())
        .execute(tx.conn())
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_made_once_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vault.key");
        let sealed = load(&file).unwrap().seal(&["x"], b"secret").unwrap();
        assert_eq!(load(&file).unwrap().open(&["x"], &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::write(&file, b"short").unwrap();
        assert!(load(&file).is_err());
    }
}
