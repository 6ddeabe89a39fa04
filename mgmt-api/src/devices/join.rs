//! How a device joins, proves itself and leaves: a one-time token registers its key, then it signs challenges.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, State},
    http::StatusCode,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, VerifyingKey};
use foreman_protocol::{
    Actor, Capabilities, Challenge, ChallengeAnswer, ConnectRequest, Connected, DeviceBearer, DeviceFacts,
    DeviceId, Event, OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION, ProblemCode, SignInMeans, challenge_message,
};
use serde_json::json;
use sqlx::Row;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::announce;
use crate::{
    App,
    accounts::{spend, store_one_time},
    auth::{
        self,
        attempts::failed,
        device::{BEARER_LIFE_S, DeviceCaller},
    },
    bounds,
    db::{Tx, now},
    events::Cause,
    extract::{Json, Path},
    link,
    problem::{ApiError, ApiResult},
    secrets::{self, Kind, fingerprint},
};

const CHALLENGE_LIFE_MS: i64 = 60_000;
const PURPOSE_CHALLENGE: &str = "device_challenge";

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(connect))
        .routes(routes!(challenge))
        .routes(routes!(bearer))
        .routes(routes!(facts))
        .routes(routes!(disconnect))
}

/// Spends a connection token and registers the device's public key. Exactly one call with a token succeeds.
#[utoipa::path(post, path = "/api/v1/devices/connect", tag = "agent", request_body = ConnectRequest,
    responses((status = 200, body = Connected)))]
async fn connect(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Json(request): Json<ConnectRequest>,
) -> ApiResult<Json<Connected>> {
    app.attempts.device_proof(from.ip())?;
    check_protocol(request.protocol_version)?;
    read_key(&request.public_key)?;
    bounds::text("agent_version", &request.agent_version, 64)?;
    let hash = fingerprint(&request.token);
    let source = from.ip().to_string();
    let joined = app
        .db
        .write(move |tx| {
            Box::pin(async move {
                // One statement decides the race; a second caller finds the token used.
                let spent = sqlx::query(
                    "UPDATE device_tokens SET used_at = $1 WHERE token_hash = $2 AND used_at IS NULL AND expires_at > $1 \
                     RETURNING device_id",
                )
                .bind(now())
                .bind(hash)
                .fetch_optional(tx.conn())
                .await?
                .ok_or_else(|| {
                    ApiError::new(
                        ProblemCode::ConnectionTokenInvalid,
                        "This connection token was used already, has expired or never existed. \
                         Make a new one in the dashboard under Devices.",
                    )
                })?;
                let id: DeviceId = auth::parse(&spent.try_get::<String, _>(0)?)?;
                register(tx, id, &request, source).await
            })
        })
        .await;
    let device = match joined {
        Err(error) if error.code == ProblemCode::ConnectionTokenInvalid => {
            let cause = Cause::anonymous(app.tenant, from.ip());
            return Err(failed(&app, from.ip(), cause, SignInMeans::ConnectionToken, "", error).await);
        }
        joined => joined?,
    };
    app.bearers.forget(device.id);
    app.link.pool.forget(device.id);
    Ok(Json(Connected {
        device_id: device.id,
        name: device.name,
        server_time: now(),
        heartbeat_s: app.settings.heartbeat_s,
        server_link_key: Some(app.link.key.public()),
    }))
}

async fn register(
    tx: &mut Tx,
    id: DeviceId,
    request: &ConnectRequest,
    source: String,
) -> ApiResult<foreman_protocol::Device> {
    let before: Option<String> = sqlx::query("SELECT public_key FROM devices WHERE id = $1")
        .bind(id.to_string())
        .fetch_one(tx.conn())
        .await?
        .try_get(0)?;
    if before.as_ref() != Some(&request.public_key) {
        link::facts::forget(tx, id).await?;
    }
    let row = sqlx::query(
        "UPDATE devices SET public_key = $1, agent_version = $2, protocol_version = $3 WHERE id = $4 \
         RETURNING tenant_id, name",
    )
    .bind(&request.public_key)
    .bind(&request.agent_version)
    .bind(i64::from(request.protocol_version))
    .bind(id.to_string())
    .fetch_one(tx.conn())
    .await?;
    sqlx::query(
        "UPDATE presence SET status = 'online', status_since = $1, last_seen_at = $1 WHERE device_id = $2",
    )
    .bind(now())
    .bind(id.to_string())
    .execute(tx.conn())
    .await?;
    sqlx::query("DELETE FROM device_bearers WHERE device_id = $1")
        .bind(id.to_string())
        .execute(tx.conn())
        .await?;
    let cause = Cause {
        tenant: auth::parse(&row.try_get::<String, _>(0)?)?,
        actor: Actor::Device { id, name: row.try_get(1)? },
        source: Some(source),
    };
    announce(tx, &cause, id, |device| Event::DeviceConnected { device }).await
}

fn check_protocol(version: u32) -> ApiResult<()> {
    if version >= OLDEST_PROTOCOL_VERSION {
        return Ok(());
    }
    Err(ApiError::new(
        ProblemCode::ProtocolTooOld,
        "This agent is too old for this server. Install the current one: it is at /install-agent.sh.",
    )
    .with(json!({ "oldest": OLDEST_PROTOCOL_VERSION, "current": PROTOCOL_VERSION })))
}

fn read_key(text: &str) -> ApiResult<VerifyingKey> {
    let invalid = || ApiError::invalid("public_key", "This is not an Ed25519 public key in base64.");
    let bytes: [u8; 32] =
        STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(invalid)?;
    VerifyingKey::from_bytes(&bytes).map_err(|_| invalid())
}

/// Something fresh for the device to sign.
#[utoipa::path(post, path = "/api/v1/devices/{id}/challenge", tag = "agent", params(("id" = DeviceId, Path)),
    responses((status = 200, body = Challenge)))]
async fn challenge(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Path(id): Path<DeviceId>,
) -> ApiResult<Json<Challenge>> {
    app.attempts.device_proof(from.ip())?;
    let known = sqlx::query("SELECT id FROM devices WHERE id = $1 AND public_key IS NOT NULL")
        .bind(id.to_string())
        .fetch_optional(app.db.read())
        .await?;
    if known.is_none() {
        return Err(ApiError::device_gone());
    }
    let challenge = STANDARD.encode(rand::random::<[u8; 32]>());
    let stored = challenge.clone();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                store_one_time(tx, PURPOSE_CHALLENGE, &id.to_string(), &stored, CHALLENGE_LIFE_MS).await
            })
        })
        .await?;
    Ok(Json(Challenge { challenge }))
}

/// A short-lived bearer for a signed challenge. A challenge counts once, so a recorded answer is worth nothing.
#[utoipa::path(post, path = "/api/v1/devices/{id}/bearer", tag = "agent", params(("id" = DeviceId, Path)),
    request_body = ChallengeAnswer, responses((status = 200, body = DeviceBearer)))]
async fn bearer(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Path(id): Path<DeviceId>,
    Json(answer): Json<ChallengeAnswer>,
) -> ApiResult<Json<DeviceBearer>> {
    app.attempts.device_proof(from.ip())?;
    let secret = secrets::generate(Kind::DeviceBearer);
    let stored = fingerprint(&secret);
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let row =
                    sqlx::query("SELECT public_key FROM devices WHERE id = $1 AND public_key IS NOT NULL")
                        .bind(id.to_string())
                        .fetch_optional(tx.conn())
                        .await?
                        .ok_or_else(ApiError::device_gone)?;
                let key = read_key(&row.try_get::<String, _>(0)?)?;
                let subject = spend(tx, PURPOSE_CHALLENGE, &fingerprint(&answer.challenge)).await?;
                let signed = subject == Some(id.to_string()) && verifies(&key, id, &answer);
                if !signed {
                    return Err(ApiError::new(
                        ProblemCode::Unauthenticated,
                        "The signature does not fit the challenge. Ask for a new challenge.",
                    ));
                }
                sqlx::query("DELETE FROM device_bearers WHERE device_id = $1 AND expires_at <= $2")
                    .bind(id.to_string())
                    .bind(now())
                    .execute(tx.conn())
                    .await?;
                sqlx::query(
                    "INSERT INTO device_bearers (secret_hash, device_id, expires_at) VALUES ($1, $2, $3)",
                )
                .bind(stored)
                .bind(id.to_string())
                .bind(now() + i64::from(BEARER_LIFE_S) * 1000)
                .execute(tx.conn())
                .await?;
                Ok(())
            })
        })
        .await?;
    Ok(Json(DeviceBearer {
        bearer: secret,
        expires_in_s: BEARER_LIFE_S,
        server_link_key: Some(app.link.key.public()),
    }))
}

fn verifies(key: &VerifyingKey, id: DeviceId, answer: &ChallengeAnswer) -> bool {
    let Ok(bytes) = STANDARD.decode(&answer.signature) else { return false };
    let Ok(signature) = Signature::from_slice(&bytes) else { return false };
    key.verify_strict(&challenge_message(id, &answer.challenge), &signature).is_ok()
}

/// What the device is and allows. Sent at start and when it changes.
#[utoipa::path(put, path = "/api/v1/devices/{id}/facts", tag = "agent", params(("id" = DeviceId, Path)),
    request_body = DeviceFacts, responses((status = 204)))]
async fn facts(
    State(app): State<App>,
    caller: DeviceCaller,
    Json(facts): Json<DeviceFacts>,
) -> ApiResult<StatusCode> {
    check_protocol(facts.protocol_version)?;
    bounds::text("agent_version", &facts.agent_version, 64)?;
    let capabilities = serde_json::to_string(&facts.capabilities)?;
    let policy = serde_json::to_string(&facts.policy)?;
    let server_key = app.link.key.public();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let link_changed = link::facts::take(tx, caller.id, &server_key, facts.link).await?;
                let before = sqlx::query("SELECT capabilities, policy, agent_version FROM devices WHERE id = $1")
                    .bind(caller.id.to_string())
                    .fetch_optional(tx.conn())
                    .await?
                    .ok_or_else(ApiError::device_gone)?;
                let same_machine = before
                    .try_get::<Option<String>, _>(0)?
                    .is_some_and(|stored| same_but_for_the_time(&stored, &facts.capabilities));
                let unchanged = !link_changed
                    && same_machine
                    && before.try_get::<Option<String>, _>(1)?.as_deref() == Some(&policy)
                    && before.try_get::<Option<String>, _>(2)?.as_deref() == Some(&facts.agent_version);
                if unchanged {
                    return Ok(());
                }
                sqlx::query(
                    "UPDATE devices SET capabilities = $1, policy = $2, agent_version = $3, protocol_version = $4 \
                     WHERE id = $5",
                )
                .bind(capabilities)
                .bind(policy)
                .bind(facts.agent_version)
                .bind(i64::from(facts.protocol_version))
                .bind(caller.id.to_string())
                .execute(tx.conn())
                .await?;
                announce(tx, &caller.cause(), caller.id, |device| Event::DeviceUpdated { device }).await?;
                Ok(())
            })
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Looking again and finding the same is no change.
fn same_but_for_the_time(stored: &str, found: &Capabilities) -> bool {
    serde_json::from_str::<Capabilities>(stored)
        .is_ok_and(|stored| Capabilities { probed_at: found.probed_at, ..stored } == *found)
}

/// The agent signs off for good: its key is removed, a new token is needed to come back.
#[utoipa::path(post, path = "/api/v1/devices/{id}/disconnect", tag = "agent", params(("id" = DeviceId, Path)),
    responses((status = 204)))]
async fn disconnect(State(app): State<App>, caller: DeviceCaller) -> ApiResult<StatusCode> {
    let id = caller.id;
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let device = id.to_string();
                for sql in [
                    "UPDATE devices SET public_key = NULL WHERE id = $1",
                    "DELETE FROM device_bearers WHERE device_id = $1",
                ] {
                    sqlx::query(sql).bind(&device).execute(tx.conn()).await?;
                }
                link::facts::forget(tx, id).await?;
                sqlx::query(
                    "UPDATE presence SET status = 'pending', status_since = $1, gpu_memory_high = 0 WHERE device_id = $2",
                )
                .bind(now())
                .bind(&device)
                .execute(tx.conn())
                .await?;
                announce(tx, &caller.cause(), id, |device| Event::DeviceDisconnected { device }).await
            })
        })
        .await?;
    app.bearers.forget(id);
    app.link.pool.forget(id);
    Ok(StatusCode::NO_CONTENT)
}
