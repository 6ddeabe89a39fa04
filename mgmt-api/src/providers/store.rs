//! Providers and their models as rows. What belongs together is one transaction, with its event.

use std::collections::HashMap;

use foreman_protocol::{
    DeviceId, Event, ProblemReason, Provider, ProviderFault, ProviderHealth, ProviderId, ProviderState,
    TenantId, UpdateModel,
};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{Any, Executor, Row, any::AnyRow};

use super::{kinds, lists::Listed};
use crate::{
    auth::parse,
    db::{Db, Tx, now},
    events::Cause,
    problem::{ApiError, ApiResult},
    router::naming,
};

const COLUMNS: &str = "id, kind, auth, name, base_url, device_id, vault_key, found, enabled, is_default, default_model, \
     use_for, created_at, checked_at, check_ms, check_models, check_credit, fault, reason, due_at";

/// A provider as it is stored; its health is what its last list of models told.
#[derive(Debug, Clone)]
pub struct Stored {
    pub provider: Provider,
    /// When its models are to be listed again.
    pub due_at: i64,
}

/// A model as it is stored.
#[derive(Debug, Clone, Default)]
pub struct StoredModel {
    /// What the provider told, when it still names it.
    pub listed: Option<Listed>,
    pub entered: Option<UpdateModel>,
}

pub async fn all<'c>(from: impl Executor<'c, Database = Any>, tenant: TenantId) -> ApiResult<Vec<Stored>> {
    let sql =
        format!("SELECT {COLUMNS} FROM providers WHERE tenant_id = $1 AND removed_at IS NULL ORDER BY id");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(tenant.to_string()).fetch_all(from).await?;
    rows.iter().map(read).collect()
}

pub async fn find<'c>(
    from: impl Executor<'c, Database = Any>,
    tenant: TenantId,
    id: ProviderId,
) -> ApiResult<Stored> {
    let sql =
        format!("SELECT {COLUMNS} FROM providers WHERE tenant_id = $1 AND id = $2 AND removed_at IS NULL");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .fetch_optional(from)
        .await?;
    read(&row.ok_or_else(|| ApiError::not_found("provider"))?)
}

fn read(row: &AnyRow) -> ApiResult<Stored> {
    let number = |name: &str| -> ApiResult<Option<u32>> {
        Ok(row.try_get::<Option<i64>, _>(name)?.and_then(|number| u32::try_from(number).ok()))
    };
    let kind = from_text(&row.try_get::<String, _>("kind")?)?;
    let checked_at: Option<i64> = row.try_get("checked_at")?;
    let fault: Option<ProviderFault> =
        row.try_get::<Option<String>, _>("fault")?.map(|fault| from_text(&fault)).transpose()?;
    let state = match (checked_at, fault) {
        (None, _) => ProviderState::Unknown,
        (Some(_), None) => ProviderState::Up,
        (Some(_), Some(_)) => ProviderState::Failing,
    };
    let base_url: Option<String> = row.try_get("base_url")?;
    let provider = Provider {
        id: parse(&row.try_get::<String, _>("id")?)?,
        kind,
        auth: from_text(&row.try_get::<String, _>("auth")?)?,
        name: row.try_get("name")?,
        base_url: base_url.or_else(|| kinds::vendor_address(kind).map(str::to_owned)),
        device_id: row.try_get::<Option<String>, _>("device_id")?.map(|id| parse(&id)).transpose()?,
        vault_key: row.try_get("vault_key")?,
        found: row.try_get::<i64, _>("found")? != 0,
        enabled: row.try_get::<i64, _>("enabled")? != 0,
        is_default: row.try_get::<i64, _>("is_default")? != 0,
        default_model: row.try_get("default_model")?,
        use_for: serde_json::from_str(&row.try_get::<String, _>("use_for")?)?,
        health: ProviderHealth {
            state,
            fault,
            reason: row.try_get("reason")?,
            checked_at,
            models: number("check_models")?,
            latency_ms: number("check_ms")?,
            credit_micros: row.try_get("check_credit")?,
            retry_at: None,
        },
        created_at: row.try_get("created_at")?,
    };
    Ok(Stored { provider, due_at: row.try_get("due_at")? })
}

/// Writes a provider that is new; a conflict when its name is taken.
pub async fn insert(tx: &mut Tx, tenant: TenantId, provider: &Provider) -> ApiResult<()> {
    let done = sqlx::query(
        "INSERT INTO providers (id, tenant_id, kind, auth, name, base_url, device_id, vault_key, found, enabled, \
         is_default, default_model, use_for, created_at, due_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0) ON CONFLICT DO NOTHING",
    )
    .bind(provider.id.to_string())
    .bind(tenant.to_string())
    .bind(to_text(&provider.kind)?)
    .bind(to_text(&provider.auth)?)
    .bind(&provider.name)
    .bind(&provider.base_url)
    .bind(provider.device_id.map(|id| id.to_string()))
    .bind(&provider.vault_key)
    .bind(i64::from(provider.found))
    .bind(i64::from(provider.enabled))
    .bind(i64::from(provider.is_default))
    .bind(&provider.default_model)
    .bind(serde_json::to_string(&provider.use_for)?)
    .bind(provider.created_at)
    .execute(tx.conn())
    .await?;
    match done.rows_affected() {
        0 => Err(ApiError::conflict("There is a provider of this name, or one on this device, already.")
            .because(ProblemReason::ProviderTaken)),
        _ => Ok(()),
    }
}

/// Writes everything about a provider that people decide.
pub async fn update(tx: &mut Tx, provider: &Provider) -> ApiResult<()> {
    sqlx::query(
        "UPDATE providers SET auth = $1, name = $2, base_url = $3, vault_key = $4, enabled = $5, is_default = $6, \
         default_model = $7, use_for = $8 WHERE id = $9",
    )
    .bind(to_text(&provider.auth)?)
    .bind(&provider.name)
    .bind(&provider.base_url)
    .bind(&provider.vault_key)
    .bind(i64::from(provider.enabled))
    .bind(i64::from(provider.is_default))
    .bind(&provider.default_model)
    .bind(serde_json::to_string(&provider.use_for)?)
    .bind(provider.id.to_string())
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub async fn delete(tx: &mut Tx, id: ProviderId) -> ApiResult<()> {
    sqlx::query("DELETE FROM providers WHERE id = $1").bind(id.to_string()).execute(tx.conn()).await?;
    Ok(())
}

/// Somebody does not want what was found on a device: it is not found again.
pub async fn leave_out(tx: &mut Tx, id: ProviderId) -> ApiResult<()> {
    sqlx::query("DELETE FROM provider_models WHERE provider_id = $1")
        .bind(id.to_string())
        .execute(tx.conn())
        .await?;
    // Its name is free for others.
    sqlx::query("UPDATE providers SET removed_at = $1, name = id, is_default = 0 WHERE id = $2")
        .bind(now())
        .bind(id.to_string())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Somebody wants what was left out.
pub async fn forget_left_out(tx: &mut Tx, device: DeviceId) -> ApiResult<()> {
    sqlx::query("DELETE FROM providers WHERE device_id = $1 AND removed_at IS NOT NULL")
        .bind(device.to_string())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Whether something was found on this device before, also what was left out then.
pub async fn knows_device(tx: &mut Tx, device: DeviceId) -> ApiResult<bool> {
    let row = sqlx::query("SELECT 1 FROM providers WHERE device_id = $1")
        .bind(device.to_string())
        .fetch_optional(tx.conn())
        .await?;
    Ok(row.is_some())
}

/// A device is removed, and what runs on it with it.
pub async fn device_left(tx: &mut Tx, cause: &Cause, device: DeviceId) -> ApiResult<()> {
    let gone = all(tx.conn(), cause.tenant).await?;
    for provider in gone.into_iter().map(|row| row.provider).filter(|row| row.device_id == Some(device)) {
        delete(tx, provider.id).await?;
        naming::removed(tx, cause, &provider.name).await?;
        tx.emit(cause, Event::ProviderRemoved { provider_id: provider.id, name: provider.name }).await?;
    }
    Ok(())
}

/// The models of a tenant's providers, by name.
pub async fn models<'c>(
    from: impl Executor<'c, Database = Any>,
    tenant: TenantId,
) -> ApiResult<HashMap<ProviderId, Vec<(String, StoredModel)>>> {
    let rows = sqlx::query(
        "SELECT m.provider_id, m.id, m.listed, m.entered FROM provider_models m \
         JOIN providers p ON p.id = m.provider_id WHERE p.tenant_id = $1 ORDER BY m.id",
    )
    .bind(tenant.to_string())
    .fetch_all(from)
    .await?;
    let mut models: HashMap<ProviderId, Vec<_>> = HashMap::new();
    for row in &rows {
        let provider = parse(&row.try_get::<String, _>("provider_id")?)?;
        models.entry(provider).or_default().push(read_model(row)?);
    }
    Ok(models)
}

/// The models of one provider.
pub async fn models_of(tx: &mut Tx, provider: ProviderId) -> ApiResult<HashMap<String, StoredModel>> {
    let rows = sqlx::query("SELECT id, listed, entered FROM provider_models WHERE provider_id = $1")
        .bind(provider.to_string())
        .fetch_all(tx.conn())
        .await?;
    rows.iter().map(read_model).collect()
}

fn read_model(row: &AnyRow) -> ApiResult<(String, StoredModel)> {
    let id: String = row.try_get("id")?;
    let listed: Option<String> = row.try_get("listed")?;
    let entered: Option<String> = row.try_get("entered")?;
    let mut listed: Option<Listed> = listed.map(|text| serde_json::from_str(&text)).transpose()?;
    if let Some(listed) = &mut listed {
        listed.id.clone_from(&id);
    }
    let entered = entered.map(|text| serde_json::from_str(&text)).transpose()?;
    Ok((id, StoredModel { listed, entered }))
}

/// Writes what a person entered, or that nothing is entered any more.
pub async fn enter(
    tx: &mut Tx,
    provider: ProviderId,
    model: &str,
    entered: Option<&UpdateModel>,
) -> ApiResult<()> {
    let entered = entered.map(serde_json::to_string).transpose()?;
    let done = sqlx::query("UPDATE provider_models SET entered = $1 WHERE provider_id = $2 AND id = $3")
        .bind(entered)
        .bind(provider.to_string())
        .bind(model)
        .execute(tx.conn())
        .await?;
    match done.rows_affected() {
        0 => Err(ApiError::not_found("model")),
        _ => Ok(()),
    }
}

/// Writes a list of models over the one before; whether it is another. What people entered stays.
pub async fn write_list(tx: &mut Tx, provider: ProviderId, list: &[Listed]) -> ApiResult<bool> {
    let mut before = models_of(tx, provider).await?;
    let mut changed = false;
    for model in list {
        let known = before.remove(&model.id);
        if known.is_some_and(|known| known.listed.as_ref() == Some(model)) {
            continue;
        }
        changed = true;
        sqlx::query(
            "INSERT INTO provider_models (provider_id, id, listed) VALUES ($1, $2, $3) \
             ON CONFLICT (provider_id, id) DO UPDATE SET listed = excluded.listed",
        )
        .bind(provider.to_string())
        .bind(&model.id)
        .bind(serde_json::to_string(model)?)
        .execute(tx.conn())
        .await?;
    }
    for (id, gone) in before {
        let sql = match gone.entered {
            Some(_) => "UPDATE provider_models SET listed = NULL WHERE provider_id = $1 AND id = $2",
            None => "DELETE FROM provider_models WHERE provider_id = $1 AND id = $2",
        };
        changed |= gone.listed.is_some();
        sqlx::query(sql).bind(provider.to_string()).bind(id).execute(tx.conn()).await?;
    }
    Ok(changed)
}

/// How a look at a provider's models went.
pub struct Check {
    pub fault: Option<ProviderFault>,
    pub reason: Option<String>,
    pub models: Option<u32>,
    pub latency_ms: Option<u32>,
    pub credit_micros: Option<i64>,
    pub due_at: i64,
}

/// Writes how it went; what was counted before stays when nothing was counted.
pub async fn write_check(tx: &mut Tx, provider: ProviderId, check: &Check) -> ApiResult<()> {
    sqlx::query(
        "UPDATE providers SET checked_at = $1, check_ms = $2, check_models = COALESCE($3, check_models), fault = $4, \
         reason = $5, due_at = $6, check_credit = $7 WHERE id = $8",
    )
    .bind(now())
    .bind(check.latency_ms.map(i64::from))
    .bind(check.models.map(i64::from))
    .bind(check.fault.as_ref().map(to_text).transpose()?)
    .bind(&check.reason)
    .bind(check.due_at)
    .bind(check.credit_micros)
    .bind(provider.to_string())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// One transaction that only tells.
pub async fn tell(db: &Db, cause: Cause, event: Event) -> ApiResult<()> {
    db.write(move |tx| Box::pin(async move { tx.emit(&cause, event).await.map(drop) })).await
}

/// A word of the wire as a column's text.
pub fn to_text(word: &impl Serialize) -> ApiResult<String> {
    match serde_json::to_value(word)? {
        serde_json::Value::String(text) => Ok(text),
        other => Err(ApiError::internal(anyhow::anyhow!("{other} is no word"))),
    }
}

fn from_text<T: DeserializeOwned>(text: &str) -> ApiResult<T> {
    Ok(serde_json::from_value(serde_json::Value::String(text.to_owned()))?)
}
