//! The vault as rows. Each function is one transaction, so a crash leaves what was before or what is after it.

use foreman_protocol::{
    Event, LockedBecause, Page, ProblemReason, TenantId, VaultKdf, VaultKey, VaultKeyId, VaultKeyName,
    VaultProvider,
};
use sqlx::{Any, Executor, Row, any::AnyRow};

use super::missing;
use crate::{
    auth::parse,
    db::{Db, Tx, now},
    events::Cause,
    problem::{ApiError, ApiResult},
    query::{Filter, Paging},
};

/// More than anybody has providers; bounds what an export holds.
pub const MOST_KEYS: i64 = 200;

/// A tenant's vault.
pub struct VaultRow {
    pub kdf: VaultKdf,
    pub wrapped: String,
    pub file_wrapped: Option<String>,
    pub keychain_wrapped: Option<String>,
    pub epoch: i64,
    pub tries: i64,
    pub blocked_until: i64,
    pub created_at: i64,
    pub rotated_at: Option<i64>,
}

/// An API key as it is stored.
pub struct SealedKey {
    pub id: VaultKeyId,
    pub provider: VaultProvider,
    pub name: String,
    pub sealed: String,
    pub created_at: i64,
    pub last_used_at: Option<i64>,
    pub last_four: Option<String>,
}

const KEY_COLUMNS: &str = "id, provider, name, sealed, last_four, created_at, last_used_at";

pub async fn find<'c>(
    from: impl Executor<'c, Database = Any>,
    tenant: TenantId,
) -> ApiResult<Option<VaultRow>> {
    let row = sqlx::query(
        "SELECT kdf_memory_kib, kdf_passes, kdf_lanes, kdf_salt, wrapped, file_wrapped, keychain_wrapped, \
         lock_epoch, tries, blocked_until, created_at, rotated_at FROM vaults WHERE tenant_id = $1",
    )
    .bind(tenant.to_string())
    .fetch_optional(from)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let number = |name: &str| -> ApiResult<u32> {
        u32::try_from(row.try_get::<i64, _>(name)?).map_err(ApiError::internal)
    };
    Ok(Some(VaultRow {
        kdf: VaultKdf {
            memory_kib: number("kdf_memory_kib")?,
            passes: number("kdf_passes")?,
            lanes: number("kdf_lanes")?,
            salt: row.try_get("kdf_salt")?,
        },
        wrapped: row.try_get("wrapped")?,
        file_wrapped: row.try_get("file_wrapped")?,
        keychain_wrapped: row.try_get("keychain_wrapped")?,
        epoch: row.try_get("lock_epoch")?,
        tries: row.try_get("tries")?,
        blocked_until: row.try_get("blocked_until")?,
        created_at: row.try_get("created_at")?,
        rotated_at: row.try_get("rotated_at")?,
    }))
}

/// The vault's epoch and the key, when there is one of this name.
pub async fn sealed_key(
    db: &Db,
    tenant: TenantId,
    provider: VaultProvider,
    name: &str,
) -> ApiResult<(i64, Option<SealedKey>)> {
    let row = sqlx::query(
        "SELECT v.lock_epoch, k.id, k.sealed, k.created_at, k.last_used_at, k.last_four FROM vaults v \
         LEFT JOIN vault_keys k ON k.tenant_id = v.tenant_id AND k.provider = $2 AND k.name = $3 \
         WHERE v.tenant_id = $1",
    )
    .bind(tenant.to_string())
    .bind(provider.as_str())
    .bind(name)
    .fetch_optional(db.read())
    .await?
    .ok_or_else(missing)?;
    let epoch = row.try_get("lock_epoch")?;
    let Some(id) = row.try_get::<Option<String>, _>("id")? else { return Ok((epoch, None)) };
    let found = SealedKey {
        id: parse(&id)?,
        provider,
        name: name.to_owned(),
        sealed: row.try_get("sealed")?,
        created_at: row.try_get("created_at")?,
        last_used_at: row.try_get("last_used_at")?,
        last_four: row.try_get("last_four")?,
    };
    Ok((epoch, Some(found)))
}

fn read_key(row: &AnyRow) -> ApiResult<SealedKey> {
    let provider: String = row.try_get("provider")?;
    Ok(SealedKey {
        id: parse(&row.try_get::<String, _>("id")?)?,
        provider: VaultProvider::ALL.into_iter().find(|known| known.as_str() == provider).ok_or_else(
            || ApiError::internal(anyhow::anyhow!("unknown provider {provider:?} in the vault")),
        )?,
        name: row.try_get("name")?,
        sealed: row.try_get("sealed")?,
        created_at: row.try_get("created_at")?,
        last_used_at: row.try_get("last_used_at")?,
        last_four: row.try_get("last_four")?,
    })
}

pub async fn page(db: &Db, tenant: TenantId, paging: &Paging) -> ApiResult<Page<VaultKey>> {
    let mut filter = Filter::new("tenant_id =", tenant.to_string());
    paging.after(&mut filter, "id >");
    let sql = format!(
        "SELECT {KEY_COLUMNS} FROM vault_keys WHERE {} ORDER BY id LIMIT {}",
        filter.sql(),
        paging.fetch()
    );
    let rows = filter.fetch(db, sql).await?;
    let keys = rows.iter().map(|row| read_key(row).map(shown)).collect::<ApiResult<Vec<_>>>()?;
    Ok(paging.page(keys, |key| key.id.to_string()))
}

pub fn shown(key: SealedKey) -> VaultKey {
    VaultKey {
        id: key.id,
        provider: key.provider,
        name: key.name,
        last_four: key.last_four,
        created_at: key.created_at,
        last_used_at: key.last_used_at,
    }
}

/// All of them, in the order they were added.
pub async fn all(tx: &mut Tx, tenant: TenantId) -> ApiResult<Vec<SealedKey>> {
    let sql = format!("SELECT {KEY_COLUMNS} FROM vault_keys WHERE tenant_id = $1 ORDER BY id");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(tenant.to_string()).fetch_all(tx.conn()).await?;
    rows.iter().map(read_key).collect()
}

/// Adds keys that were sealed for this vault's `epoch`; those whose name is taken come back.
pub async fn add(
    tx: &mut Tx,
    tenant: TenantId,
    epoch: i64,
    keys: Vec<SealedKey>,
) -> ApiResult<(Vec<SealedKey>, Vec<VaultKeyName>)> {
    // Locked since, or another vault: what was sealed may not fit it.
    if find(tx.conn(), tenant).await?.ok_or_else(missing)?.epoch != epoch {
        return Err(super::locked());
    }
    let (mut added, mut taken) = (Vec::new(), Vec::new());
    for key in keys {
        let done = sqlx::query(
            "INSERT INTO vault_keys (id, tenant_id, provider, name, sealed, last_four, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant_id, provider, name) DO NOTHING",
        )
        .bind(key.id.to_string())
        .bind(tenant.to_string())
        .bind(key.provider.as_str())
        .bind(&key.name)
        .bind(&key.sealed)
        .bind(&key.last_four)
        .bind(key.created_at)
        .execute(tx.conn())
        .await?;
        match done.rows_affected() {
            0 => taken.push(VaultKeyName { provider: key.provider, name: key.name }),
            _ => added.push(key),
        }
    }
    let count = sqlx::query("SELECT COUNT(*) FROM vault_keys WHERE tenant_id = $1")
        .bind(tenant.to_string())
        .fetch_one(tx.conn())
        .await?;
    if count.try_get::<i64, _>(0)? > MOST_KEYS {
        return Err(ApiError::conflict(format!("A vault holds {MOST_KEYS} keys. Nothing was added."))
            .because(ProblemReason::VaultFull));
    }
    Ok((added, taken))
}

pub async fn remove(db: &Db, cause: Cause, id: VaultKeyId) -> ApiResult<()> {
    db.write(move |tx| {
        Box::pin(async move {
            let sql =
                format!("DELETE FROM vault_keys WHERE id = $1 AND tenant_id = $2 RETURNING {KEY_COLUMNS}");
            let row = sqlx::query(sqlx::AssertSqlSafe(sql))
                .bind(id.to_string())
                .bind(cause.tenant.to_string())
                .fetch_optional(tx.conn())
                .await?
                .ok_or_else(|| ApiError::not_found("key in the vault"))?;
            let key = read_key(&row)?;
            tx.emit(&cause, Event::VaultKeyRemoved { key_id: id, provider: key.provider, name: key.name })
                .await?;
            Ok(())
        })
    })
    .await
}

/// Removes the key of this name, together with whatever else `tx` does; nothing when there is none.
pub async fn take_out(tx: &mut Tx, cause: &Cause, provider: VaultProvider, name: &str) -> ApiResult<()> {
    let row = sqlx::query(
        "DELETE FROM vault_keys WHERE tenant_id = $1 AND provider = $2 AND name = $3 RETURNING id",
    )
    .bind(cause.tenant.to_string())
    .bind(provider.as_str())
    .bind(name)
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else { return Ok(()) };
    let key_id = parse(&row.try_get::<String, _>(0)?)?;
    tx.emit(cause, Event::VaultKeyRemoved { key_id, provider, name: name.to_owned() }).await?;
    Ok(())
}

/// What the keys of this provider are called.
pub async fn names(db: &Db, tenant: TenantId, provider: VaultProvider) -> ApiResult<Vec<String>> {
    let rows = sqlx::query("SELECT name FROM vault_keys WHERE tenant_id = $1 AND provider = $2")
        .bind(tenant.to_string())
        .bind(provider.as_str())
        .fetch_all(db.read())
        .await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

pub async fn used(db: &Db, id: VaultKeyId) -> ApiResult<()> {
    db.write(move |tx| {
        Box::pin(async move {
            sqlx::query("UPDATE vault_keys SET last_used_at = $1 WHERE id = $2")
                .bind(now())
                .bind(id.to_string())
                .execute(tx.conn())
                .await?;
            Ok(())
        })
    })
    .await
}

pub async fn lock(db: &Db, cause: Cause) -> ApiResult<()> {
    db.write(move |tx| {
        Box::pin(async move {
            let done = sqlx::query("UPDATE vaults SET lock_epoch = lock_epoch + 1 WHERE tenant_id = $1")
                .bind(cause.tenant.to_string())
                .execute(tx.conn())
                .await?;
            if done.rows_affected() == 0 {
                return Err(missing());
            }
            tx.emit(&cause, Event::VaultLocked { because: LockedBecause::Asked }).await?;
            Ok(())
        })
    })
    .await
}

pub async fn tell(db: &Db, cause: Cause, event: Event) -> ApiResult<()> {
    db.write(move |tx| Box::pin(async move { tx.emit(&cause, event).await.map(drop) })).await
}
