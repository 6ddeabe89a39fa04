//! Providers as rows.

use foreman_protocol::{Provider, ProviderHealth, ProviderState, TenantId};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{Row, any::AnyRow};

use crate::{
    auth::parse,
    db::Db,
    problem::{ApiError, ApiResult},
};

const COLUMNS: &str = "id, kind, auth, name, base_url, device_id, vault_key, found, enabled, is_default, default_model, \
     use_for, created_at, checked_at, check_ms, check_models, fault, reason";

/// A provider as it is stored; its health is what its last list of models told.
pub struct Stored {
    pub provider: Provider,
}

pub async fn all(db: &Db, tenant: TenantId) -> ApiResult<Vec<Stored>> {
    let sql =
        format!("SELECT {COLUMNS} FROM providers WHERE tenant_id = $1 AND removed_at IS NULL ORDER BY id");
    let rows =
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(tenant.to_string()).fetch_all(db.read()).await?;
    rows.iter().map(read).collect()
}

fn read(row: &AnyRow) -> ApiResult<Stored> {
    let number = |name: &str| -> ApiResult<Option<u32>> {
        Ok(row.try_get::<Option<i64>, _>(name)?.and_then(|number| u32::try_from(number).ok()))
    };
    let checked_at: Option<i64> = row.try_get("checked_at")?;
    let fault: Option<String> = row.try_get("fault")?;
    let state = match (checked_at, &fault) {
        (None, _) => ProviderState::Unknown,
        (Some(_), None) => ProviderState::Up,
        (Some(_), Some(_)) => ProviderState::Failing,
    };
    let provider = Provider {
        id: parse(&row.try_get::<String, _>("id")?)?,
        kind: from_text(&row.try_get::<String, _>("kind")?)?,
        auth: from_text(&row.try_get::<String, _>("auth")?)?,
        name: row.try_get("name")?,
        base_url: row.try_get("base_url")?,
        device_id: row.try_get::<Option<String>, _>("device_id")?.map(|id| parse(&id)).transpose()?,
        vault_key: row.try_get("vault_key")?,
        found: row.try_get::<i64, _>("found")? != 0,
        enabled: row.try_get::<i64, _>("enabled")? != 0,
        is_default: row.try_get::<i64, _>("is_default")? != 0,
        default_model: row.try_get("default_model")?,
        use_for: serde_json::from_str(&row.try_get::<String, _>("use_for")?)?,
        health: ProviderHealth {
            state,
            reason: row.try_get("reason")?,
            checked_at,
            models: number("check_models")?,
            latency_ms: number("check_ms")?,
            retry_at: None,
        },
        created_at: row.try_get("created_at")?,
    };
    Ok(Stored { provider })
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
