//! The vault: API keys of model providers, readable only after somebody gave the master password.
//!
//! The password makes a key that wraps the tenant's data key, which seals each API key together with what it is
//! called. The data key is kept in memory while the vault is unlocked, and with it the API keys that are in use ([`kept`]):
//! a request to a model reads none. They are wiped when the vault locks: when asked, after a time without use, and with
//! the process. Servers that share a database are each unlocked on their own and all locked at once. Who may ask is
//! decided by the caller of [`Vault::key`]: at least an operator.
//!
//! It must not know what the keys are used for.

mod kept;
mod key_file;
mod keychain;
mod master;
mod portable;
mod routes;
mod sealed;
pub mod store;
#[cfg(test)]
mod tests;
mod unattended;

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::{Duration, Instant},
};

use foreman_protocol::{Event, LockedBecause, ProblemCode, TenantId, VaultKeyId, VaultProvider, VaultStatus};
use kept::Kept;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

pub use key_file::load as load_key_file;
pub use portable::Sealed;
pub use routes::router;
use sealed::Key;
pub use unattended::{Unattended, open_late};

use crate::{
    App,
    db::{Db, now},
    events::Cause,
    problem::{ApiError, ApiResult},
};

/// Passwords looked at side by side: each takes 64 MiB for a moment.
const DERIVATIONS: usize = 2;
/// `last_used_at` is written at most this often.
const LAST_USED_EVERY_MS: i64 = 60_000;

/// The vaults of this server's tenants.
pub struct Vault {
    db: Db,
    open: Mutex<HashMap<TenantId, Open>>,
    /// Rises whenever a row may have become another one; see [`kept`].
    changes: AtomicU64,
    derivations: Semaphore,
    /// Without use; `None` when it stays open.
    locks_after: Option<Duration>,
    /// The operator's choice, for opening at start.
    unattended: Option<Unattended>,
}

/// An unlocked vault.
struct Open {
    data: Key,
    /// The row's `lock_epoch` when it was opened: another one means that somebody locked it since.
    epoch: i64,
    kept: Kept,
    used: Instant,
    /// There is a key that would open it again anyway: it does not lock by time.
    unattended: bool,
}

impl Vault {
    pub fn new(db: Db, locks_after_s: u32, unattended: Option<Unattended>) -> Self {
        let locks_after = (locks_after_s > 0).then(|| Duration::from_secs(u64::from(locks_after_s)));
        let derivations = Semaphore::new(DERIVATIONS);
        let changes = AtomicU64::new(0);
        Self { db, open: Mutex::default(), changes, derivations, locks_after, unattended }
    }

    /// The API key that is called `name` at this provider, for a request to it. The caller sees to it that whoever
    /// asks is at least an operator.
    ///
    /// # Errors
    /// `vault_missing`, `vault_locked`, `not_found`.
    pub async fn key(
        &self,
        tenant: TenantId,
        provider: VaultProvider,
        name: &str,
    ) -> ApiResult<Zeroizing<String>> {
        match self.kept_key(tenant, provider, name)? {
            Some(key) => Ok(key),
            // Boxed: what is at hand, as it nearly always is, needs no room for a query.
            None => Box::pin(self.read_key(tenant, provider, name)).await,
        }
    }

    async fn read_key(
        &self,
        tenant: TenantId,
        provider: VaultProvider,
        name: &str,
    ) -> ApiResult<Zeroizing<String>> {
        let as_of = self.changes();
        let (epoch, found) = store::sealed_key(&self.db, tenant, provider, name).await?;
        // Before it is looked for, so that a locked vault says nothing about its keys.
        let opened = self.with_data_key(tenant, epoch, |data| {
            found
                .as_ref()
                .map(|found| data.open(&about_key(tenant, found.id, provider, name).each(), &found.sealed))
        })?;
        let (Some(found), Some(opened)) = (found, opened) else {
            return Err(ApiError::not_found("key in the vault"));
        };
        let plain = opened.map_err(|_| changed(found.id))?;
        if found.last_used_at.is_none_or(|last| now() - last >= LAST_USED_EVERY_MS) {
            self.note_use(found.id);
        }
        let plain = text(plain, found.id)?;
        self.keep(tenant, as_of, found, &plain);
        Ok(plain)
    }

    /// Bookkeeping: whoever asks for a key need not wait for it.
    fn note_use(&self, id: VaultKeyId) {
        let db = self.db.clone();
        tokio::spawn(async move {
            if let Err(error) = store::used(&db, id).await {
                tracing::warn!(%error, "a key's last use was not noted");
            }
        });
    }

    pub async fn status(&self, tenant: TenantId) -> ApiResult<VaultStatus> {
        let row = store::find(self.db.read(), tenant).await?;
        let open = self.open();
        let live = row.as_ref().and_then(|row| open.get(&tenant).filter(|open| self.usable(open, row.epoch)));
        let left = live
            .filter(|open| !open.unattended)
            .and_then(|open| Some(self.locks_after?.saturating_sub(open.used.elapsed())));
        let unattended_by = row.as_ref().and_then(|row| self.opened_at_start_by(row));
        let blocked = row.as_ref().map(|row| row.blocked_until).filter(|until| *until > now());
        Ok(VaultStatus {
            initialised: row.is_some(),
            unlocked: live.is_some(),
            unattended: unattended_by.is_some(),
            unattended_by,
            locks_after_s: self
                .locks_after
                .map_or(0, |after| u32::try_from(after.as_secs()).unwrap_or(u32::MAX)),
            locks_at: left.map(|left| now() + i64::try_from(left.as_millis()).unwrap_or(i64::MAX)),
            blocked_until: blocked,
            created_at: row.as_ref().map(|row| row.created_at),
            rotated_at: row.as_ref().and_then(|row| row.rotated_at),
        })
    }

    /// Locks this server's at once, even when the database is away, and the others' with it otherwise.
    pub async fn lock(&self, cause: Cause) -> ApiResult<()> {
        self.open().remove(&cause.tenant);
        store::lock(&self.db, cause).await
    }

    /// Takes a key out; when this returns, nothing gets it any more.
    pub async fn remove(&self, cause: Cause, id: VaultKeyId) -> ApiResult<()> {
        let removed = store::remove(&self.db, cause, id).await;
        self.forget();
        removed
    }

    /// Lets `work` use the data key, as long as nobody locked the vault since it was opened.
    fn with_data_key<T>(&self, tenant: TenantId, epoch: i64, work: impl FnOnce(&Key) -> T) -> ApiResult<T> {
        let mut open = self.open();
        let Some(entry) = open.get_mut(&tenant).filter(|entry| self.usable(entry, epoch)) else {
            return Err(locked());
        };
        entry.used = Instant::now();
        Ok(work(&entry.data))
    }

    fn usable(&self, open: &Open, epoch: i64) -> bool {
        open.epoch == epoch && !self.idle(open)
    }

    fn idle(&self, open: &Open) -> bool {
        !open.unattended && self.locks_after.is_some_and(|after| open.used.elapsed() >= after)
    }

    fn keep_open(&self, tenant: TenantId, data: Key, epoch: i64) {
        let unattended = self.opens_by_itself();
        let open = Open { data, epoch, kept: Kept::default(), used: Instant::now(), unattended };
        self.open().insert(tenant, open);
    }

    fn open(&self) -> MutexGuard<'_, HashMap<TenantId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wipes the keys of what has not been used for long, and tells.
    async fn lock_idle(&self) {
        let idle: Vec<TenantId> =
            self.open().extract_if(|_, open| self.idle(open)).map(|(tenant, _)| tenant).collect();
        for tenant in idle {
            let event = Event::VaultLocked { because: LockedBecause::Idle };
            if let Err(error) = store::tell(&self.db, Cause::system(tenant), event).await {
                tracing::warn!(%error, "the vault locked for want of use, and the log was not told");
            }
        }
    }
}

/// A server that crashes leaves no picture of its memory, which has keys in it while a vault is open.
pub fn leave_no_core() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let done = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
        // The limit is for files: a program that the system hands crashes to would get one all the same. It also keeps
        // other programs of this account from looking.
        #[cfg(target_os = "linux")]
        let done = done.and_then(|()| {
            use rustix::process::{DumpableBehavior, set_dumpable_behavior};
            set_dumpable_behavior(DumpableBehavior::NotDumpable)
        });
        if let Err(error) = done {
            tracing::warn!(%error, "a crash may leave a core file, with keys in it if the vault is open then");
        }
    }
}

/// Locks vaults that nobody uses, until the server stops.
pub async fn watch_idle(app: App) {
    let Some(after) = app.vault.locks_after else { return };
    let mut every = tokio::time::interval((after / 4).min(Duration::from_secs(10)));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.closing.cancelled() => return,
            _ = every.tick() => {}
        }
        app.vault.lock_idle().await;
    }
}

/// What a sealed API key is bound to.
struct About([String; 5]);

impl About {
    fn each(&self) -> [&str; 5] {
        self.0.each_ref().map(String::as_str)
    }
}

fn about_key(tenant: TenantId, id: VaultKeyId, provider: VaultProvider, name: &str) -> About {
    About([
        "foreman vault key v1".to_owned(),
        tenant.to_string(),
        id.to_string(),
        provider.as_str().to_owned(),
        name.to_owned(),
    ])
}

fn text(mut plain: Zeroizing<Vec<u8>>, id: VaultKeyId) -> ApiResult<Zeroizing<String>> {
    String::from_utf8(std::mem::take(&mut *plain)).map(Zeroizing::new).map_err(|_| changed(id))
}

fn locked() -> ApiError {
    ApiError::new(
        ProblemCode::VaultLocked,
        "The vault is locked. An admin unlocks it with the master password; then try again.",
    )
}

pub fn missing() -> ApiError {
    ApiError::new(
        ProblemCode::VaultMissing,
        "There is no vault yet. An admin makes one with a master password.",
    )
}

fn changed(id: VaultKeyId) -> ApiError {
    ApiError::internal(anyhow::anyhow!(
        "key {id} in the vault does not open: its row was changed outside Foreman, or comes from another vault"
    ))
}
