//! Devices as callers: a short-lived bearer, got for a signed challenge, good for that device's own routes only.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::request::Parts,
};
use foreman_protocol::{Actor, DeviceId, ProblemCode, TenantId};
use sqlx::Row;

use super::{bearer, parse, source};
use crate::{
    App,
    db::now,
    events::Cause,
    problem::{ApiError, ApiResult},
    secrets::fingerprint,
};

/// A bearer's life.
pub const BEARER_LIFE_S: u32 = 3600;
/// Bearers remembered so that a heartbeat costs no read.
const REMEMBERED: usize = 50_000;
/// A remembered bearer is checked against the database again after this long, so that one removed through
/// another replica dies soon there too. In this process it dies at once.
const TRUST_MS: i64 = 30_000;

#[derive(Debug, Clone)]
pub struct DeviceCaller {
    pub tenant: TenantId,
    pub id: DeviceId,
    pub name: String,
    pub source: String,
}

impl DeviceCaller {
    pub fn cause(&self) -> Cause {
        Cause {
            tenant: self.tenant,
            actor: Actor::Device { id: self.id, name: self.name.clone() },
            source: Some(self.source.clone()),
        }
    }
}

#[derive(Clone)]
struct Known {
    tenant: TenantId,
    device: DeviceId,
    name: String,
    expires_at: i64,
    checked_at: i64,
}

/// Recently seen bearers by fingerprint.
#[derive(Default)]
pub struct Bearers(Mutex<HashMap<String, Known>>);

impl Bearers {
    fn get(&self, hash: &str) -> Option<Known> {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.get(hash).filter(|known| known.expires_at > now() && now() - known.checked_at < TRUST_MS).cloned()
    }

    fn put(&self, hash: String, known: Known) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= REMEMBERED {
            map.clear();
        }
        map.insert(hash, known);
    }

    /// A device was deleted, disconnected or given a new key.
    pub fn forget(&self, device: DeviceId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, known| known.device != device);
    }
}

impl FromRequestParts<App> for DeviceCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let hash = fingerprint(bearer(&parts.headers).ok_or_else(ApiError::unauthenticated)?);
        let known = match app.bearers.get(&hash) {
            Some(known) => known,
            None => look_up(app, hash).await?,
        };
        let params =
            RawPathParams::from_request_parts(parts, app).await.map_err(|_| ApiError::not_found("device"))?;
        let named = params.iter().find(|(name, _)| *name == "id").and_then(|(_, value)| value.parse().ok());
        if named != Some(known.device) {
            return Err(ApiError::new(ProblemCode::Forbidden, "A device may only speak for itself."));
        }
        Ok(Self { tenant: known.tenant, id: known.device, name: known.name, source: source(parts) })
    }
}

async fn look_up(app: &App, hash: String) -> ApiResult<Known> {
    let row = sqlx::query(
        "SELECT b.device_id, b.expires_at, d.tenant_id, d.name FROM device_bearers b \
         JOIN devices d ON d.id = b.device_id WHERE b.secret_hash = $1 AND b.expires_at > $2",
    )
    .bind(&hash)
    .bind(now())
    .fetch_optional(app.db.read())
    .await?
    .ok_or_else(ApiError::unauthenticated)?;
    let known = Known {
        tenant: parse(&row.try_get::<String, _>("tenant_id")?)?,
        device: parse(&row.try_get::<String, _>("device_id")?)?,
        name: row.try_get("name")?,
        expires_at: row.try_get("expires_at")?,
        checked_at: now(),
    };
    app.bearers.put(hash, known.clone());
    Ok(known)
}
