//! API keys of an open vault that were read before, so that a request to a model reads and opens none.
//!
//! They are wiped with the data key when the vault locks, when the process that changed a row says so before it answers,
//! and when the event log tells of a change elsewhere. What the log did not bring is read anew after a short while.

use std::{
    collections::HashMap,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use foreman_protocol::{TenantId, VaultKeyId, VaultProvider};
use zeroize::Zeroizing;

use super::{
    LAST_USED_EVERY_MS, Vault, locked,
    store::{MOST_KEYS, SealedKey},
};
use crate::{db::now, problem::ApiResult};

/// A row is read again after this long, whatever was heard.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// By provider and name.
pub type Kept = HashMap<(VaultProvider, String), Row>;

pub struct Row {
    id: VaultKeyId,
    plain: Zeroizing<String>,
    read_at: Instant,
    /// When its last use was written down, at the latest.
    noted_at: i64,
}

impl Vault {
    /// How often something changed so far. What was read before a change is not kept after it.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// A row of a vault was or may have been changed.
    pub fn forget(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        for open in self.open().values_mut() {
            open.kept.clear();
        }
    }

    /// Keeps a row that was read when there had been `as_of` changes.
    pub(super) fn keep(&self, tenant: TenantId, as_of: u64, found: SealedKey, plain: &Zeroizing<String>) {
        let row = Row { id: found.id, plain: plain.clone(), read_at: Instant::now(), noted_at: now() };
        let mut open = self.open();
        // Under the lock that forgetting takes: a change either comes before this look, or clears after it.
        if self.changes() != as_of {
            return;
        }
        if let Some(open) = open.get_mut(&tenant)
            && i64::try_from(open.kept.len()).is_ok_and(|rows| rows < MOST_KEYS)
        {
            open.kept.insert((found.provider, found.name), row);
        }
    }

    /// The key, when its row is at hand.
    ///
    /// # Errors
    /// `vault_locked` when it has not been used for long.
    pub(super) fn kept_key(
        &self,
        tenant: TenantId,
        provider: VaultProvider,
        name: &str,
    ) -> ApiResult<Option<Zeroizing<String>>> {
        let mut open = self.open();
        let Some(entry) = open.get_mut(&tenant) else { return Ok(None) };
        if self.idle(entry) {
            return Err(locked());
        }
        let at = (provider, name.to_owned());
        let Some(row) = entry.kept.get_mut(&at).filter(|row| row.read_at.elapsed() < LOOK_EVERY) else {
            return Ok(None);
        };
        entry.used = Instant::now();
        if now() - row.noted_at >= LAST_USED_EVERY_MS {
            row.noted_at = now();
            self.note_use(row.id);
        }
        Ok(Some(row.plain.clone()))
    }
}
