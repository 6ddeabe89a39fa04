//! Unattended unlock: a key that lies outside the database wraps the data key too, so that the vault opens when the
//! server starts. It is in a file of the operator's ([`key_file`]) or in the system's keychain ([`keychain`]). Whoever
//! has it and the database has the keys; so it is off unless asked for, and a start without it makes it worthless.

use std::{sync::OnceLock, time::Duration};

use foreman_protocol::{Event, TenantId, UnlockedBy};

use super::{
    Vault,
    keychain::{self, Answer},
    sealed::Key,
    store::{self, VaultRow},
};
use crate::{App, db::Tx, events::Cause, problem::ApiResult};

/// A key for this is as long as the data key.
pub const BYTES: usize = 32;

/// A start waits this long for the keychain, which may have a question for its owner.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the key lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    KeyFile,
    Keychain,
}

impl Source {
    const ALL: [Self; 2] = [Self::KeyFile, Self::Keychain];

    const fn by(self) -> UnlockedBy {
        match self {
            Self::KeyFile => UnlockedBy::KeyFile,
            Self::Keychain => UnlockedBy::Keychain,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::KeyFile => "key file",
            Self::Keychain => "key in the system's keychain",
        }
    }

    fn about(self, tenant: TenantId) -> [String; 2] {
        let what = match self {
            Self::KeyFile => "foreman vault data key, key file v1",
            Self::Keychain => "foreman vault data key, keychain v1",
        };
        [what.to_owned(), tenant.to_string()]
    }

    /// The data key under the one that lies there.
    fn wrapped(self, row: &VaultRow) -> Option<&str> {
        match self {
            Self::KeyFile => row.file_wrapped.as_deref(),
            Self::Keychain => row.keychain_wrapped.as_deref(),
        }
    }
}

/// What the operator chose.
pub struct Unattended {
    source: Source,
    /// A keychain gives it when it wants to.
    key: OnceLock<Key>,
}

impl Unattended {
    pub fn with_file(key: Key) -> Self {
        Self { source: Source::KeyFile, key: key.into() }
    }

    pub const fn with_keychain() -> Self {
        Self { source: Source::Keychain, key: OnceLock::new() }
    }
}

/// What a keychain has yet to say.
pub struct Asked {
    answer: Answer,
    /// Somebody who locked the vault since then wants it locked.
    epoch: Option<i64>,
}

/// The data key under an unattended one.
pub struct Wrapped {
    source: Source,
    sealed: String,
}

impl Wrapped {
    pub async fn put(self, tx: &mut Tx, tenant: TenantId) -> ApiResult<()> {
        set(tx, tenant, self.source, Some(self.sealed)).await
    }
}

impl Vault {
    /// What was chosen, with its key, when that is at hand.
    fn at_hand(&self) -> Option<(Source, &Key)> {
        let chosen = self.unattended.as_ref()?;
        Some((chosen.source, chosen.key.get()?))
    }

    /// There is a key that would open it again anyway.
    pub(super) fn opens_by_itself(&self) -> bool {
        self.at_hand().is_some()
    }

    /// What opens it when the server starts.
    pub(super) fn opened_at_start_by(&self, row: &VaultRow) -> Option<UnlockedBy> {
        let (source, _) = self.at_hand()?;
        source.wrapped(row).map(|_| source.by())
    }

    /// The data key under the unattended one, when there is one.
    pub(super) fn wrap_unattended(&self, tenant: TenantId, data: &Key) -> ApiResult<Option<Wrapped>> {
        let Some((source, key)) = self.at_hand() else { return Ok(None) };
        let sealed = data.wrap(key, &source.about(tenant).each_ref().map(String::as_str))?;
        Ok(Some(Wrapped { source, sealed }))
    }

    /// At start: opens the vault when the operator's key does, and forgets one that was not asked for now. A keychain
    /// that takes its time comes back, for [`open_late`].
    pub async fn start(&self, tenant: TenantId) -> ApiResult<Option<Asked>> {
        let row = store::find(self.db.read(), tenant).await?;
        let chosen = self.unattended.as_ref().map(|chosen| chosen.source);
        for source in Source::ALL.into_iter().filter(|source| Some(*source) != chosen) {
            if row.as_ref().is_some_and(|row| source.wrapped(row).is_some()) {
                tracing::info!("started without the {}: the vault no longer opens with it", source.name());
                self.db.write(move |tx| Box::pin(async move { set(tx, tenant, source, None).await })).await?;
            }
        }
        let epoch = row.map(|row| row.epoch);
        if chosen != Some(Source::Keychain) {
            self.open_by_itself(tenant, epoch).await?;
            return Ok(None);
        }
        let mut answer = keychain::ask(tenant);
        match tokio::time::timeout(PATIENCE, &mut answer).await {
            Ok(said) => self.answered(tenant, epoch, said.ok()).await.map(|()| None),
            Err(_) => {
                tracing::warn!(
                    "the system's keychain does not answer, as when it waits for its owner: the vault stays locked until \
                     it does, or until an admin unlocks it with the master password"
                );
                Ok(Some(Asked { answer, epoch }))
            }
        }
    }

    async fn answered(
        &self,
        tenant: TenantId,
        epoch: Option<i64>,
        said: Option<keyring_core::Result<Key>>,
    ) -> ApiResult<()> {
        match (said, &self.unattended) {
            (Some(Ok(key)), Some(chosen)) => {
                let _ = chosen.key.set(key);
                self.open_by_itself(tenant, epoch).await
            }
            (said, _) => {
                let reason = said.and_then(Result::err).map(|error| error.to_string());
                tracing::warn!(
                    reason = reason.as_deref().unwrap_or("nobody answered"),
                    "the system's keychain gave no key: the vault stays locked until an admin unlocks it with the master \
                     password; start the server in the session of the person whose keychain it is, or with \
                     --vault-key-file instead of --vault-keychain"
                );
                Ok(())
            }
        }
    }

    async fn open_by_itself(&self, tenant: TenantId, epoch: Option<i64>) -> ApiResult<()> {
        let Some((source, key)) = self.at_hand() else { return Ok(()) };
        let Some(row) = store::find(self.db.read(), tenant).await? else { return Ok(()) };
        let Some(wrapped) = source.wrapped(&row) else {
            tracing::info!(
                "the vault does not know the {} yet; it will after the next unlock",
                source.name()
            );
            return Ok(());
        };
        if epoch != Some(row.epoch) {
            tracing::info!(
                "the {} would open the vault, which was locked since it was asked for",
                source.name()
            );
            return Ok(());
        }
        let Ok(data) = Key::open_key(key, &source.about(tenant).each_ref().map(String::as_str), wrapped)
        else {
            tracing::warn!(
                "the {} does not open the vault; it will after an unlock with the password",
                source.name()
            );
            return Ok(());
        };
        self.keep_open(tenant, data, row.epoch);
        store::tell(&self.db, Cause::system(tenant), Event::VaultUnlocked { by: source.by() }).await
    }
}

/// Opens the vault when the keychain's owner lets it, however long that takes.
pub async fn open_late(app: App, asked: Asked) {
    let said = tokio::select! {
        () = app.closing.cancelled() => return,
        said = asked.answer => said.ok(),
    };
    if let Err(error) = app.vault.answered(app.tenant, asked.epoch, said).await {
        tracing::warn!(%error, "the keychain answered, and the vault could not be opened with its key");
    }
}

async fn set(tx: &mut Tx, tenant: TenantId, source: Source, wrapped: Option<String>) -> ApiResult<()> {
    let sql = match source {
        Source::KeyFile => "UPDATE vaults SET file_wrapped = $1 WHERE tenant_id = $2",
        Source::Keychain => "UPDATE vaults SET keychain_wrapped = $1 WHERE tenant_id = $2",
    };
    sqlx::query(sql).bind(wrapped).bind(tenant.to_string()).execute(tx.conn()).await?;
    Ok(())
}
