//! The vault over HTTP. Admins manage it, operators see what keys there are, everybody sees whether it is open.
//! No answer carries the value of a key, except sealed in an exported file.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, DefaultBodyLimit, State},
    http::StatusCode,
};
use foreman_protocol::{
    AddVaultKey, ExportVault, ImportVault, InitialiseVault, Page, Role, RotateVaultPassword, Secret,
    UnlockVault, VaultFile, VaultImported, VaultKey, VaultKeyId, VaultStatus,
};
use utoipa_axum::{router::OpenApiRouter, routes};
use zeroize::Zeroizing;

use super::store;
use crate::{
    App,
    auth::Caller,
    bounds,
    extract::{Json, Path, Query},
    problem::ApiResult,
    query::Paging,
};

/// An exported file with as many and as long keys as there can be.
const FILE_BYTES: usize = 2 * 1024 * 1024;
/// Longer than any password that was set.
const PASSWORD_BYTES: usize = 4096;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(import))
        .layer(DefaultBodyLimit::max(FILE_BYTES))
        .routes(routes!(status, initialise))
        .routes(routes!(unlock))
        .routes(routes!(lock))
        .routes(routes!(rotate))
        .routes(routes!(export))
        .routes(routes!(keys, add))
        .routes(routes!(remove))
}

/// How the vault stands.
#[utoipa::path(get, path = "/api/v1/vault", tag = "vault", responses((status = 200, body = VaultStatus)))]
async fn status(State(app): State<App>, caller: Caller) -> ApiResult<Json<VaultStatus>> {
    Ok(Json(app.vault.status(caller.tenant).await?))
}

/// Makes the vault with its master password, and leaves it open. Nobody can recover the password.
#[utoipa::path(post, path = "/api/v1/vault", tag = "vault", request_body = InitialiseVault,
    responses((status = 201, body = VaultStatus)))]
async fn initialise(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<InitialiseVault>,
) -> ApiResult<(StatusCode, Json<VaultStatus>)> {
    caller.at_least(Role::Admin)?;
    app.vault.initialise(caller.cause(), new_password("password", &request.password)?).await?;
    Ok((StatusCode::CREATED, Json(app.vault.status(caller.tenant).await?)))
}

/// Opens the vault. Ten wrong passwords in a row, and it looks at none for a while.
#[utoipa::path(post, path = "/api/v1/vault/unlock", tag = "vault", request_body = UnlockVault,
    responses((status = 200, body = VaultStatus)))]
async fn unlock(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    caller: Caller,
    Json(request): Json<UnlockVault>,
) -> ApiResult<Json<VaultStatus>> {
    caller.at_least(Role::Admin)?;
    app.attempts.sign_in(from.ip())?;
    app.vault.unlock(caller.cause(), password("password", &request.password)?).await?;
    Ok(Json(app.vault.status(caller.tenant).await?))
}

/// Locks the vault at once, on every server of this database.
#[utoipa::path(post, path = "/api/v1/vault/lock", tag = "vault", responses((status = 200, body = VaultStatus)))]
async fn lock(State(app): State<App>, caller: Caller) -> ApiResult<Json<VaultStatus>> {
    caller.at_least(Role::Admin)?;
    app.vault.lock(caller.cause()).await?;
    Ok(Json(app.vault.status(caller.tenant).await?))
}

/// Changes the master password. The keys stay, and the vault as open or locked as it is.
#[utoipa::path(post, path = "/api/v1/vault/rotate", tag = "vault", request_body = RotateVaultPassword,
    responses((status = 200, body = VaultStatus)))]
async fn rotate(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    caller: Caller,
    Json(request): Json<RotateVaultPassword>,
) -> ApiResult<Json<VaultStatus>> {
    caller.at_least(Role::Admin)?;
    app.attempts.sign_in(from.ip())?;
    let new = new_password("new_password", &request.new_password)?;
    app.vault.rotate(caller.cause(), password("password", &request.password)?, new).await?;
    Ok(Json(app.vault.status(caller.tenant).await?))
}

/// All keys as a file, encrypted with a password of its own.
#[utoipa::path(post, path = "/api/v1/vault/export", tag = "vault", request_body = ExportVault,
    responses((status = 200, body = VaultFile)))]
async fn export(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    caller: Caller,
    Json(request): Json<ExportVault>,
) -> ApiResult<Json<VaultFile>> {
    caller.at_least(Role::Admin)?;
    app.attempts.sign_in(from.ip())?;
    let file_password = new_password("file_password", &request.file_password)?;
    let password = password("password", &request.password)?;
    Ok(Json(app.vault.export(caller.cause(), password, file_password).await?))
}

/// Adds the keys of an exported file. Names that are taken here stay as they are.
#[utoipa::path(post, path = "/api/v1/vault/import", tag = "vault", request_body = ImportVault,
    responses((status = 200, body = VaultImported)))]
async fn import(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    caller: Caller,
    Json(request): Json<ImportVault>,
) -> ApiResult<Json<VaultImported>> {
    caller.at_least(Role::Admin)?;
    app.attempts.sign_in(from.ip())?;
    let password = password("file_password", &request.file_password)?;
    Ok(Json(app.vault.import(caller.cause(), request.file, password).await?))
}

/// What keys there are; also while the vault is locked.
#[utoipa::path(get, path = "/api/v1/vault/keys", tag = "vault", params(Paging),
    responses((status = 200, body = Page<VaultKey>)))]
async fn keys(
    State(app): State<App>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> ApiResult<Json<Page<VaultKey>>> {
    caller.at_least(Role::Operator)?;
    Ok(Json(store::page(&app.db, caller.tenant, &paging).await?))
}

/// Adds a key. Its value is never shown again.
#[utoipa::path(post, path = "/api/v1/vault/keys", tag = "vault", request_body = AddVaultKey,
    responses((status = 201, body = VaultKey)))]
async fn add(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<AddVaultKey>,
) -> ApiResult<(StatusCode, Json<VaultKey>)> {
    caller.at_least(Role::Admin)?;
    let key = app.vault.add(caller.cause(), request.provider, &request.name, request.key.reveal()).await?;
    Ok((StatusCode::CREATED, Json(key)))
}

/// Removes a key; also while the vault is locked.
#[utoipa::path(delete, path = "/api/v1/vault/keys/{id}", tag = "vault", params(("id" = VaultKeyId, Path)),
    responses((status = 204)))]
async fn remove(State(app): State<App>, caller: Caller, Path(id): Path<VaultKeyId>) -> ApiResult<StatusCode> {
    caller.at_least(Role::Admin)?;
    app.vault.remove(caller.cause(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn password(field: &str, secret: &Secret) -> ApiResult<Zeroizing<String>> {
    bounds::text(field, secret.reveal(), PASSWORD_BYTES)?;
    Ok(Zeroizing::new(secret.reveal().to_owned()))
}

fn new_password(field: &str, secret: &Secret) -> ApiResult<Zeroizing<String>> {
    bounds::password(field, secret.reveal())?;
    password(field, secret)
}
