//! Placeholder keys: what agents and clients show instead of a provider's key. Made once, shown once, stored as a
//! hash, limited in what they may ask and spend, dead at once when revoked.
//!
//! Those that live are kept in memory, so that a request looks none up in the database.

pub mod task;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use axum::{extract::State, http::StatusCode};
use foreman_protocol::{
    AccountId, AddModelKey, CapPeriod, Event, Millis, ModelKey, ModelKeyCreated, ModelKeyId, Page,
    ProblemCode, ProblemReason, Role, TenantId,
};
use sqlx::{Row, any::AnyRow};
use subtle::ConstantTimeEq;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::naming::carried;
use crate::{
    App,
    auth::{Caller, Identity, parse},
    bounds,
    db::{Db, Tx, now},
    events::Cause,
    extract::{Json, Path, Query},
    problem::{ApiError, ApiResult},
    query::{Filter, Paging},
    secrets::{self, Kind, fingerprint},
};

/// How a placeholder key's secret begins.
pub const PREFIX: &str = "fm-";
/// Live keys of a tenant: all are kept in memory.
const MOST: i64 = 1_000;
const PATTERNS: usize = 50;

const COLUMNS: &str = "id, name, last_four, models, cap_micros, cap_period, project, expires_at, revoked_at, \
     task_id, created_at, created_by, last_used_at";

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// A live key, as requests need it.
#[derive(Debug)]
pub struct Held {
    pub id: ModelKeyId,
    pub tenant: TenantId,
    pub name: String,
    pub models: Vec<String>,
    pub cap_micros: Option<i64>,
    pub cap_period: CapPeriod,
    pub project: Option<String>,
    expires_at: Option<Millis>,
    hash: String,
}

impl Held {
    /// Whether it is for this model, which was asked for by name or through `profile`.
    #[must_use]
    pub fn allows(&self, profile: Option<&str>, provider: &str, model: &str) -> bool {
        self.models.is_empty()
            || self.models.iter().any(|pattern| match pattern.split_once('/') {
                Some((of, "*")) => of == provider,
                Some((of, name)) => of == provider && name == model,
                None => Some(pattern.as_str()) == profile,
            })
    }
}

/// The live keys of all tenants, by their hash.
#[derive(Debug, Default)]
pub struct Ring(RwLock<HashMap<String, Arc<Held>>>);

impl Ring {
    /// Whose secret this is. The table is keyed by the hash of 256 random bits, so looking up tells nobody anything;
    /// the hash itself is compared in constant time all the same.
    pub fn find(&self, secret: &str, now: Millis) -> Option<Arc<Held>> {
        let hash = fingerprint(secret);
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let held = keys.get(&hash)?;
        let same = bool::from(held.hash.as_bytes().ct_eq(hash.as_bytes()));
        (same && held.expires_at.is_none_or(|end| now < end)).then(|| Arc::clone(held))
    }

    /// The keys that have a cap.
    pub fn capped(&self) -> Vec<Arc<Held>> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.values().filter(|held| held.cap_micros.is_some()).cloned().collect()
    }

    /// Reads all live keys anew.
    pub async fn learn(&self, db: &Db) -> ApiResult<()> {
        let sql =
            format!("SELECT {COLUMNS}, tenant_id, secret_hash FROM model_keys WHERE revoked_at IS NULL");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(db.read()).await?;
        let mut fresh = HashMap::with_capacity(rows.len());
        for row in &rows {
            let key = read(row)?;
            let hash: String = row.try_get("secret_hash")?;
            let held = Held {
                id: key.id,
                tenant: parse(&row.try_get::<String, _>("tenant_id")?)?,
                name: key.name,
                models: key.models,
                cap_micros: key.cap_micros,
                cap_period: key.cap_period,
                project: key.project,
                expires_at: key.expires_at,
                hash: hash.clone(),
            };
            fresh.insert(hash, Arc::new(held));
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

const fn period_name(period: CapPeriod) -> &'static str {
    match period {
        CapPeriod::Day => "day",
        CapPeriod::Month => "month",
        CapPeriod::Ever => "ever",
    }
}

fn read(row: &AnyRow) -> ApiResult<ModelKey> {
    Ok(ModelKey {
        id: parse(&row.try_get::<String, _>("id")?)?,
        name: row.try_get("name")?,
        last_four: row.try_get("last_four")?,
        models: serde_json::from_str(&row.try_get::<String, _>("models")?)?,
        cap_micros: row.try_get("cap_micros")?,
        cap_period: match row.try_get::<String, _>("cap_period")?.as_str() {
            "day" => CapPeriod::Day,
            "month" => CapPeriod::Month,
            _ => CapPeriod::Ever,
        },
        spent_micros: 0,
        project: row.try_get("project")?,
        expires_at: row.try_get("expires_at")?,
        revoked_at: row.try_get("revoked_at")?,
        task_id: row.try_get::<Option<String>, _>("task_id")?.as_deref().map(parse).transpose()?,
        created_at: row.try_get("created_at")?,
        created_by: serde_json::from_str(&row.try_get::<String, _>("created_by")?)?,
        last_used_at: row.try_get("last_used_at")?,
    })
}

/// All keys, revoked ones too, without their secrets; those of tasks as long as they live.
#[utoipa::path(get, path = "/api/v1/model-keys", tag = "models", params(Paging),
    responses((status = 200, body = Page<ModelKey>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> ApiResult<Json<Page<ModelKey>>> {
    caller.at_least(Role::Operator)?;
    let mut filter = Filter::new("tenant_id =", caller.tenant.to_string());
    paging.after(&mut filter, "id >");
    let sql = format!(
        "SELECT {COLUMNS} FROM model_keys WHERE {} AND (task_id IS NULL OR revoked_at IS NULL) ORDER BY id LIMIT {}",
        filter.sql(),
        paging.fetch()
    );
    let rows = filter.fetch(&app.db, sql).await?;
    let mut items = rows.iter().map(read).collect::<ApiResult<Vec<_>>>()?;
    for key in &mut items {
        key.spent_micros = app.router.ledger.spent(caller.tenant, Some(key.id), key.cap_period);
    }
    Ok(Json(paging.page(items, |key| key.id.to_string())))
}

/// Makes a key. Its secret is in the answer and nowhere else.
#[utoipa::path(post, path = "/api/v1/model-keys", tag = "models", request_body = AddModelKey,
    responses((status = 201, body = ModelKeyCreated)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<AddModelKey>,
) -> ApiResult<(StatusCode, Json<ModelKeyCreated>)> {
    caller.at_least(Role::Admin)?;
    let secret = secrets::generate(Kind::ModelKey);
    let key = fresh(&caller, request, &secret)?;
    let (cause, hash) = (caller.cause(), fingerprint(&secret));
    let key = app.db.write(move |tx| Box::pin(async move { insert(tx, &cause, key, hash).await })).await?;
    app.router.keys.learn(&app.db).await?;
    Ok((StatusCode::CREATED, Json(ModelKeyCreated { key, secret })))
}

fn fresh(caller: &Caller, request: AddModelKey, secret: &str) -> ApiResult<ModelKey> {
    let name = bounds::name("name", &request.name)?;
    let project = request.project.map(|project| bounds::name("project", &project)).transpose()?;
    if request.models.len() > PATTERNS
        || request.models.iter().any(|model| model.is_empty() || model.len() > 300 || model.contains('\0'))
    {
        return Err(ApiError::invalid("models", format!("A key is for at most {PATTERNS} models, by name.")));
    }
    if request.cap_micros.is_some_and(|cap| cap < 0) {
        return Err(ApiError::invalid("cap_micros", "What may be spent is not below zero."));
    }
    let created_at = now();
    let created_by = match &caller.identity {
        Identity::User { id, .. } => AccountId::User(*id),
        Identity::Token { id, .. } => AccountId::Token(*id),
    };
    Ok(ModelKey {
        id: ModelKeyId::fresh(),
        name,
        last_four: secret.chars().skip(secret.len().saturating_sub(4)).collect(),
        models: request.models,
        cap_micros: request.cap_micros,
        cap_period: request.cap_period.unwrap_or(CapPeriod::Month),
        spent_micros: 0,
        project,
        expires_at: request.expires_in_s.map(|seconds| created_at + i64::from(seconds) * 1_000),
        revoked_at: None,
        task_id: None,
        created_at,
        created_by,
        last_used_at: None,
    })
}

async fn insert(tx: &mut Tx, cause: &Cause, key: ModelKey, hash: String) -> ApiResult<ModelKey> {
    let live = sqlx::query("SELECT COUNT(*) FROM model_keys WHERE tenant_id = $1 AND revoked_at IS NULL")
        .bind(cause.tenant.to_string())
        .fetch_one(tx.conn())
        .await?
        .try_get::<i64, _>(0)?;
    if live >= MOST {
        return Err(ApiError::new(
            ProblemCode::LimitReached,
            format!("There are {live} keys. Nothing was added; revoke one that nobody needs."),
        )
        .because(ProblemReason::ModelKeysFull));
    }
    sqlx::query(
        "INSERT INTO model_keys (id, tenant_id, name, last_four, secret_hash, models, cap_micros, cap_period, project, \
         expires_at, task_id, created_at, created_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(key.id.to_string())
    .bind(cause.tenant.to_string())
    .bind(&key.name)
    .bind(&key.last_four)
    .bind(hash)
    .bind(serde_json::to_string(&key.models)?)
    .bind(key.cap_micros)
    .bind(period_name(key.cap_period))
    .bind(&key.project)
    .bind(key.expires_at)
    .bind(key.task_id.map(|id| id.to_string()))
    .bind(key.created_at)
    .bind(serde_json::to_string(&key.created_by)?)
    .execute(tx.conn())
    .await?;
    tx.emit(cause, Event::ModelKeyCreated { key: Box::new(key.clone()) }).await?;
    Ok(key)
}

/// Gives live keys that name a provider its other name.
pub async fn rename(tx: &mut Tx, cause: &Cause, from: &str, to: &str) -> ApiResult<()> {
    let sql =
        format!("SELECT {COLUMNS} FROM model_keys WHERE tenant_id = $1 AND revoked_at IS NULL ORDER BY id");
    let rows =
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(cause.tenant.to_string()).fetch_all(tx.conn()).await?;
    for row in &rows {
        let key = read(row)?;
        let Some(models) = carried(&key.models, from, to) else { continue };
        sqlx::query("UPDATE model_keys SET models = $1 WHERE id = $2")
            .bind(serde_json::to_string(&models)?)
            .bind(key.id.to_string())
            .execute(tx.conn())
            .await?;
        tx.emit(cause, Event::ModelKeyUpdated { key: Box::new(ModelKey { models, ..key }) }).await?;
    }
    Ok(())
}

/// Revokes a key: dead at once, and what it used stays readable. An answer that is on its way is finished.
#[utoipa::path(delete, path = "/api/v1/model-keys/{id}", tag = "models", params(("id" = ModelKeyId, Path)),
    responses((status = 204)))]
async fn revoke(State(app): State<App>, caller: Caller, Path(id): Path<ModelKeyId>) -> ApiResult<StatusCode> {
    caller.at_least(Role::Admin)?;
    let cause = caller.cause();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let row = sqlx::query(
                    "UPDATE model_keys SET revoked_at = $1 WHERE id = $2 AND tenant_id = $3 AND revoked_at IS NULL \
                     RETURNING name",
                )
                .bind(now())
                .bind(id.to_string())
                .bind(cause.tenant.to_string())
                .fetch_optional(tx.conn())
                .await?
                .ok_or_else(|| ApiError::not_found("key"))?;
                tx.emit(&cause, Event::ModelKeyRevoked { key_id: id, name: row.try_get(0)? }).await
            })
        })
        .await?;
    app.router.keys.learn(&app.db).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_for_what_it_lists() {
        let with = |models: &[&str]| Held {
            id: ModelKeyId::fresh(),
            tenant: TenantId::fresh(),
            name: "k".into(),
            models: models.iter().map(|model| (*model).to_owned()).collect(),
            cap_micros: None,
            cap_period: CapPeriod::Ever,
            project: None,
            expires_at: None,
            hash: String::new(),
        };
        assert!(with(&[]).allows(None, "openai", "gpt-5"));
        let some = with(&["openai/gpt-5", "home/*", "auto:private"]);
        assert!(some.allows(None, "openai", "gpt-5") && some.allows(None, "home", "anything"));
        assert!(some.allows(Some("auto:private"), "other", "model"));
        assert!(!some.allows(Some("auto"), "other", "model") && !some.allows(None, "openai", "gpt-5-mini"));
    }
}
