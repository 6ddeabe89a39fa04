//! The master password: making the vault, proving the password, changing it.
//!
//! A try is counted before the password is looked at, and forgiven after it was right. So tries side by side, or a
//! crash in between, cannot get around the limit, and a right password takes the same steps as a wrong one.

use foreman_protocol::{Event, ProblemCode, ProblemReason, TenantId, UnlockedBy, VaultAttempt, VaultKdf};
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    Vault, missing,
    sealed::{self, Key},
    store::{self, VaultRow},
};
use crate::{
    db::{Db, Tx, now},
    events::Cause,
    problem::{ApiError, ApiResult},
};

/// Wrong passwords before the vault stops looking at them for a while …
const TRIES: i64 = 10;
/// … which doubles with each further one …
const FIRST_WAIT_MS: i64 = 60_000;
/// … up to an hour.
const LONGEST_WAIT_MS: i64 = 3_600_000;

/// A password that was right.
pub struct Proven {
    pub data: Key,
    pub row: VaultRow,
}

fn about(tenant: TenantId, kdf: &VaultKdf) -> [String; 3] {
    ["foreman vault data key v1".to_owned(), tenant.to_string(), sealed::kdf_text(kdf)]
}

/// How long no password is looked at after this many wrong ones in a row.
const fn wait_ms(tries: i64) -> i64 {
    if tries < TRIES {
        return 0;
    }
    let doubled = if tries - TRIES > 10 { 10 } else { tries - TRIES };
    let wait = FIRST_WAIT_MS << doubled;
    if wait > LONGEST_WAIT_MS { LONGEST_WAIT_MS } else { wait }
}

impl Vault {
    /// Makes the vault and leaves it open.
    pub async fn initialise(&self, cause: Cause, password: Zeroizing<String>) -> ApiResult<()> {
        let tenant = cause.tenant;
        if store::find(self.db.read(), tenant).await?.is_some() {
            return Err(exists());
        }
        let data = Key::fresh();
        let (kdf, wrapped) = self.wrap(tenant, &data, password).await?;
        let unattended = self.wrap_unattended(tenant, &data)?;
        self.db
            .write(move |tx| {
                Box::pin(async move {
                    let done = sqlx::query(
                        "INSERT INTO vaults (tenant_id, kdf_memory_kib, kdf_passes, kdf_lanes, kdf_salt, wrapped, \
                         lock_epoch, tries, blocked_until, created_at) \
                         VALUES ($1, $2, $3, $4, $5, $6, 0, 0, 0, $7) ON CONFLICT (tenant_id) DO NOTHING",
                    )
                    .bind(cause.tenant.to_string())
                    .bind(i64::from(kdf.memory_kib))
                    .bind(i64::from(kdf.passes))
                    .bind(i64::from(kdf.lanes))
                    .bind(kdf.salt)
                    .bind(wrapped)
                    .bind(now())
                    .execute(tx.conn())
                    .await?;
                    if done.rows_affected() == 0 {
                        return Err(exists());
                    }
                    let event = Event::VaultInitialised { unattended: unattended.is_some() };
                    if let Some(wrapped) = unattended {
                        wrapped.put(tx, tenant).await?;
                    }
                    tx.emit(&cause, event).await?;
                    Ok(())
                })
            })
            .await?;
        self.keep_open(tenant, data, 0);
        Ok(())
    }

    pub async fn unlock(&self, cause: Cause, password: Zeroizing<String>) -> ApiResult<()> {
        let tenant = cause.tenant;
        let proven = self.prove(&cause, password, VaultAttempt::Unlock).await?;
        let unattended = self.wrap_unattended(tenant, &proven.data)?;
        self.db
            .write(move |tx| {
                Box::pin(async move {
                    if let Some(wrapped) = unattended {
                        wrapped.put(tx, tenant).await?;
                    }
                    tx.emit(&cause, Event::VaultUnlocked { by: UnlockedBy::Password }).await?;
                    Ok(())
                })
            })
            .await?;
        self.keep_open(tenant, proven.data, proven.row.epoch);
        Ok(())
    }

    /// Wraps the data key anew; the API keys stay as they are, and the vault as open or locked as it is.
    pub async fn rotate(
        &self,
        cause: Cause,
        password: Zeroizing<String>,
        new: Zeroizing<String>,
    ) -> ApiResult<()> {
        let proven = self.prove(&cause, password, VaultAttempt::Rotate).await?;
        let (kdf, wrapped) = self.wrap(cause.tenant, &proven.data, new).await?;
        self.db
            .write(move |tx| {
                Box::pin(async move {
                    let done = sqlx::query(
                        "UPDATE vaults SET kdf_memory_kib = $1, kdf_passes = $2, kdf_lanes = $3, kdf_salt = $4, \
                         wrapped = $5, rotated_at = $6 WHERE tenant_id = $7 AND wrapped = $8",
                    )
                    .bind(i64::from(kdf.memory_kib))
                    .bind(i64::from(kdf.passes))
                    .bind(i64::from(kdf.lanes))
                    .bind(kdf.salt)
                    .bind(wrapped)
                    .bind(now())
                    .bind(cause.tenant.to_string())
                    .bind(proven.row.wrapped)
                    .execute(tx.conn())
                    .await?;
                    if done.rows_affected() == 0 {
                        return Err(ApiError::conflict(
                            "Somebody else changed the master password just now. Theirs is kept.",
                        ).because(ProblemReason::ChangedElsewhere));
                    }
                    let keys = store::all(tx, cause.tenant).await?.len();
                    let keys = u32::try_from(keys).unwrap_or(u32::MAX);
                    tx.emit(&cause, Event::VaultPasswordRotated { keys }).await?;
                    Ok(())
                })
            })
            .await
    }

    /// Whether this is the master password: the data key when it is.
    pub(super) async fn prove(
        &self,
        cause: &Cause,
        password: Zeroizing<String>,
        attempt: VaultAttempt,
    ) -> ApiResult<Proven> {
        let tenant = cause.tenant;
        let row = count_try(&self.db, tenant).await?;
        let key = self.derive(password, row.kdf.clone()).await?;
        let about = about(tenant, &row.kdf);
        let opened = Key::open_key(&key, &about.each_ref().map(String::as_str), &row.wrapped);
        settle_try(&self.db, cause.clone(), attempt, row.tries, opened.is_ok()).await?;
        match opened {
            Ok(data) => Ok(Proven { data, row }),
            Err(_) => Err(wrong()),
        }
    }

    async fn wrap(
        &self,
        tenant: TenantId,
        data: &Key,
        password: Zeroizing<String>,
    ) -> ApiResult<(VaultKdf, String)> {
        let kdf = sealed::fresh_kdf();
        let key = self.derive(password, kdf.clone()).await?;
        let wrapped = data.wrap(&key, &about(tenant, &kdf).each_ref().map(String::as_str))?;
        Ok((kdf, wrapped))
    }

    /// On a thread of its own, and only a few at a time.
    pub(super) async fn derive(&self, password: Zeroizing<String>, kdf: VaultKdf) -> ApiResult<Key> {
        let _turn = self.derivations.acquire().await.map_err(ApiError::internal)?;
        tokio::task::spawn_blocking(move || sealed::derive(&password, &kdf))
            .await
            .map_err(ApiError::internal)?
            .map_err(ApiError::internal)
    }
}

async fn count_try(db: &Db, tenant: TenantId) -> ApiResult<VaultRow> {
    db.write(move |tx| {
        Box::pin(async move {
            let mut row = store::find(tx.conn(), tenant).await?.ok_or_else(missing)?;
            let left = row.blocked_until - now();
            // A clock that was set back must not lock anybody out for longer than the longest wait.
            if left > 0 && left <= LONGEST_WAIT_MS {
                return Err(blocked(left));
            }
            row.tries += 1;
            set_tries(tx, tenant, row.tries, now() + wait_ms(row.tries)).await?;
            Ok(row)
        })
    })
    .await
}

async fn settle_try(db: &Db, cause: Cause, attempt: VaultAttempt, tries: i64, right: bool) -> ApiResult<()> {
    db.write(move |tx| {
        Box::pin(async move {
            if right {
                return set_tries(tx, cause.tenant, 0, 0).await;
            }
            let tries = u32::try_from(tries).unwrap_or(u32::MAX);
            tx.emit(&cause, Event::VaultUnlockFailed { attempt, tries }).await?;
            Ok(())
        })
    })
    .await
}

async fn set_tries(tx: &mut Tx, tenant: TenantId, tries: i64, blocked_until: i64) -> ApiResult<()> {
    sqlx::query("UPDATE vaults SET tries = $1, blocked_until = $2 WHERE tenant_id = $3")
        .bind(tries)
        .bind(blocked_until)
        .bind(tenant.to_string())
        .execute(tx.conn())
        .await?;
    Ok(())
}

fn exists() -> ApiError {
    ApiError::conflict("There is a vault already. Unlock it with its master password.")
        .because(ProblemReason::VaultExists)
}

fn wrong() -> ApiError {
    ApiError::new(
        ProblemCode::VaultPasswordWrong,
        "That is not the vault's master password. Nothing was changed.",
    )
}

fn blocked(left_ms: i64) -> ApiError {
    let wait = (left_ms + 999) / 1_000;
    ApiError::new(
        ProblemCode::RateLimited,
        format!("Too many wrong master passwords. The vault looks at the next one in {wait} s."),
    )
    .with(json!({ "retry_after_s": wait }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tenth_wrong_password_waits_and_further_ones_longer() {
        assert_eq!(wait_ms(9), 0);
        assert_eq!(wait_ms(10), 60_000);
        assert_eq!(wait_ms(11), 120_000);
        assert_eq!(wait_ms(16), LONGEST_WAIT_MS);
        assert_eq!(wait_ms(i64::MAX), LONGEST_WAIT_MS);
    }
}
