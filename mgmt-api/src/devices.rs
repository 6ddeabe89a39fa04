//! The device registry: what people do with devices. How a device itself joins and reports is in `join`,
//! `presence` and `samples`.

pub mod join;
pub mod presence;
pub mod samples;
pub mod store;

use axum::{extract::State, http::StatusCode};
use foreman_protocol::{
    CommandAction, CommandId, ConnectionToken, CreateDevice, Device, DeviceId, DeviceStatus, DeviceType,
    Event, Page, ProblemCode, ProblemReason, Role, UpdateDevice,
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    App,
    auth::Caller,
    bounds, commands,
    db::{Tx, now},
    events::Cause,
    extract::{Json, Path, Query},
    once::Once,
    problem::{ApiError, ApiResult},
    providers,
    query::{Filter, Paging},
    router::keys,
    secrets::{self, Kind, fingerprint},
};

/// An unused connection token lives this long.
const TOKEN_LIFE_MS: i64 = 24 * 60 * 60 * 1000;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(new_token))
        .routes(routes!(probe))
        .routes(routes!(samples::list))
        .merge(join::router())
        .merge(presence::router())
}

#[derive(Debug, Deserialize, IntoParams)]
struct DeviceQuery {
    status: Option<DeviceStatus>,
    #[serde(rename = "type")]
    device_type: Option<DeviceType>,
    /// Part of the name.
    q: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// Devices, oldest first.
#[utoipa::path(get, path = "/api/v1/devices", tag = "devices", params(DeviceQuery),
    responses((status = 200, body = Page<Device>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<DeviceQuery>,
) -> ApiResult<Json<Page<Device>>> {
    let paging = Paging { limit: query.limit, cursor: query.cursor };
    let mut filter = Filter::new("d.tenant_id =", caller.tenant.to_string());
    paging.after(&mut filter, "d.id >");
    if let Some(status) = query.status {
        filter.text("p.status =", store::status_text(status).to_owned());
    }
    if let Some(device_type) = query.device_type {
        filter.text("d.type =", store::type_text(device_type).to_owned());
    }
    if let Some(q) = &query.q {
        filter.contains("d.name", q);
    }
    let sql = format!("{} WHERE {} ORDER BY d.id LIMIT {}", store::SELECT, filter.sql(), paging.fetch());
    let rows = filter.fetch(&app.db, sql).await?;
    let items = rows.iter().map(store::read).collect::<ApiResult<Vec<_>>>()?;
    Ok(Json(paging.page(items, |device| device.id.to_string())))
}

/// One device.
#[utoipa::path(get, path = "/api/v1/devices/{id}", tag = "devices", params(("id" = DeviceId, Path)),
    responses((status = 200, body = Device)))]
async fn get(State(app): State<App>, caller: Caller, Path(id): Path<DeviceId>) -> ApiResult<Json<Device>> {
    let device = store::find(app.db.read(), caller.tenant, id).await?;
    Ok(Json(device.ok_or_else(|| ApiError::not_found("device"))?))
}

/// Makes a device and its one-time connection token, which is shown only here.
#[utoipa::path(post, path = "/api/v1/devices", tag = "devices", request_body = CreateDevice,
    responses((status = 201, body = ConnectionToken)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<CreateDevice>,
) -> ApiResult<(StatusCode, Json<ConnectionToken>)> {
    caller.at_least(Role::Admin)?;
    let name = bounds::name("name", &request.name)?;
    let cause = caller.cause();
    let owner = caller.user();
    let issued = app
        .db
        .write(move |tx| {
            Box::pin(async move {
                let id = DeviceId::fresh();
                sqlx::query(
                    "INSERT INTO devices (id, tenant_id, user_id, name, type, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
                )
                .bind(id.to_string())
                .bind(cause.tenant.to_string())
                .bind(owner.map(|owner| owner.to_string()))
                .bind(name)
                .bind(store::type_text(request.device_type))
                .bind(now())
                .execute(tx.conn())
                .await?;
                sqlx::query(
                    "INSERT INTO presence (device_id, status, status_since, gpu_memory_high, version) \
                     VALUES ($1, 'pending', $2, 0, 0)",
                )
                .bind(id.to_string())
                .bind(now())
                .execute(tx.conn())
                .await?;
                let (token, expires_at) = issue_token(tx, id).await?;
                let device = announce(tx, &cause, id, |device| Event::DeviceCreated { device }).await?;
                Ok((device, token, expires_at))
            })
        })
        .await?;
    Ok((StatusCode::CREATED, Json(present(&app, issued))))
}

async fn issue_token(tx: &mut Tx, device: DeviceId) -> ApiResult<(String, i64)> {
    let token = secrets::generate(Kind::Connection);
    let expires_at = now() + TOKEN_LIFE_MS;
    sqlx::query("DELETE FROM device_tokens WHERE device_id = $1 AND used_at IS NULL")
        .bind(device.to_string())
        .execute(tx.conn())
        .await?;
    sqlx::query("INSERT INTO device_tokens (id, device_id, token_hash, expires_at) VALUES ($1, $2, $3, $4)")
        .bind(Uuid::now_v7().to_string())
        .bind(device.to_string())
        .bind(fingerprint(&token))
        .bind(expires_at)
        .execute(tx.conn())
        .await?;
    Ok((token, expires_at))
}

fn present(app: &App, (device, token, expires_at): (Device, String, i64)) -> ConnectionToken {
    let url = &app.settings.public_url;
    let connect_command = format!("FOREMAN_TOKEN={token} foreman-agent connect --server {url}");
    let install_command = format!("curl -fsSL {url}/install-agent.sh | FOREMAN_TOKEN={token} sh");
    ConnectionToken { device, token, expires_at, install_command, connect_command }
}

/// Loads the device as it now stands in this write and logs an event that carries it.
pub async fn announce(
    tx: &mut Tx,
    cause: &Cause,
    id: DeviceId,
    event: impl FnOnce(Box<Device>) -> Event + Send,
) -> ApiResult<Device> {
    let mut device =
        store::find(tx.conn(), cause.tenant, id).await?.ok_or_else(|| ApiError::not_found("device"))?;
    let latest = device.latest.take();
    let version = tx.emit(cause, event(Box::new(device.clone()))).await?;
    device.latest = latest;
    device.version = version;
    Ok(device)
}

/// A new connection token for a device that is not connected; the one before stops working.
#[utoipa::path(post, path = "/api/v1/devices/{id}/token", tag = "devices", params(("id" = DeviceId, Path)),
    responses((status = 201, body = ConnectionToken)))]
async fn new_token(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DeviceId>,
) -> ApiResult<(StatusCode, Json<ConnectionToken>)> {
    caller.at_least(Role::Admin)?;
    let cause = caller.cause();
    let issued = app
        .db
        .write(move |tx| {
            Box::pin(async move {
                if store::status(tx, cause.tenant, id).await? != DeviceStatus::Pending {
                    return Err(ApiError::conflict(
                        "This device is connected. Disconnect it on the device first: foreman-agent disconnect.",
                    ).because(ProblemReason::DeviceConnected));
                }
                let (token, expires_at) = issue_token(tx, id).await?;
                let device = announce(tx, &cause, id, |device| Event::DeviceTokenCreated { device }).await?;
                Ok((device, token, expires_at))
            })
        })
        .await?;
    Ok((StatusCode::CREATED, Json(present(&app, issued))))
}

/// Renames a device or changes its type; with an `Idempotency-Key` once, however often it is asked for.
#[utoipa::path(patch, path = "/api/v1/devices/{id}", tag = "devices", params(("id" = DeviceId, Path)),
    request_body = UpdateDevice, responses((status = 200, body = Device)))]
async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DeviceId>,
    once: Once,
    Json(request): Json<UpdateDevice>,
) -> ApiResult<Json<Device>> {
    caller.at_least(Role::Admin)?;
    let name = request.name.map(|name| bounds::name("name", &name)).transpose()?;
    let device_type = request.device_type.map(store::type_text);
    let cause = caller.cause();
    let device = app
        .db
        .write(move |tx| {
            Box::pin(async move {
                if !once.is_first(tx, &cause).await? {
                    let there = store::find(tx.conn(), cause.tenant, id).await?;
                    return there.ok_or_else(|| ApiError::not_found("device"));
                }
                sqlx::query("UPDATE devices SET name = COALESCE($1, name), type = COALESCE($2, type) WHERE id = $3 AND tenant_id = $4")
                    .bind(name)
                    .bind(device_type)
                    .bind(id.to_string())
                    .bind(cause.tenant.to_string())
                    .execute(tx.conn())
                    .await?;
                announce(tx, &cause, id, |device| Event::DeviceUpdated { device }).await
            })
        })
        .await?;
    app.bearers.forget(id);
    Ok(Json(device))
}

/// Disconnects and removes a device with its tasks, output and measurements. The log keeps what happened.
#[utoipa::path(delete, path = "/api/v1/devices/{id}", tag = "devices", params(("id" = DeviceId, Path)),
    responses((status = 204)))]
async fn delete(State(app): State<App>, caller: Caller, Path(id): Path<DeviceId>) -> ApiResult<StatusCode> {
    caller.at_least(Role::Admin)?;
    let cause = caller.cause();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let device = store::find(tx.conn(), cause.tenant, id)
                    .await?
                    .ok_or_else(|| ApiError::not_found("device"))?;
                providers::store::device_left(tx, &cause, id).await?;
                keys::task::device_left(tx, &cause, id).await?;
                for sql in ["DELETE FROM samples WHERE device_id = $1", "DELETE FROM devices WHERE id = $1"] {
                    sqlx::query(sql).bind(id.to_string()).execute(tx.conn()).await?;
                }
                tx.emit(&cause, Event::DeviceDeleted { device_id: id, name: device.name }).await
            })
        })
        .await?;
    app.bearers.forget(id);
    app.link.pool.forget(id);
    Ok(StatusCode::NO_CONTENT)
}

/// Asks the device to detect its capabilities again.
#[utoipa::path(post, path = "/api/v1/devices/{id}/probe", tag = "devices", params(("id" = DeviceId, Path)),
    responses((status = 202)))]
async fn probe(State(app): State<App>, caller: Caller, Path(id): Path<DeviceId>) -> ApiResult<StatusCode> {
    caller.at_least(Role::Operator)?;
    let cause = caller.cause();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                if store::status(tx, cause.tenant, id).await? == DeviceStatus::Pending {
                    return Err(ApiError::new(ProblemCode::Conflict, "This device has not connected yet.")
                        .because(ProblemReason::DeviceNotConnected));
                }
                commands::add(tx, &cause, id, CommandId::fresh(), None, &CommandAction::Probe).await?;
                announce(tx, &cause, id, |device| Event::DeviceProbeRequested { device }).await
            })
        })
        .await?;
    Ok(StatusCode::ACCEPTED)
}
