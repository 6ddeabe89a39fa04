//! Providers over HTTP. Admins manage them, operators see them and try them, viewers see names and how they do.

use std::time::Duration;

use axum::{extract::State, http::StatusCode};
use foreman_protocol::{AddProvider, Page, Provider, ProviderHealth, ProviderId, Role, UpdateProvider};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{change, check};
use crate::{
    App,
    auth::Caller,
    events::Cause,
    extract::{Json, Path, Query},
    problem::{ApiError, ApiResult},
    query::Paging,
};

/// Whoever adds a provider waits this long for its models; after that they come by themselves.
const FIRST_LOOK: Duration = Duration::from_secs(8);

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(get, update, remove)).routes(routes!(test))
}

/// Providers of models, oldest first.
#[utoipa::path(get, path = "/api/v1/providers", tag = "models", params(Paging),
    responses((status = 200, body = Page<Provider>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> ApiResult<Json<Page<Provider>>> {
    // Asked after an event, it must not show what was before it.
    let catalogue = app.providers.renew(&app, caller.tenant).await?;
    let after =
        |provider: &Provider| paging.cursor.as_ref().is_none_or(|cursor| provider.id.to_string() > *cursor);
    let known = catalogue.providers.iter().map(|known| &known.provider).filter(|provider| after(provider));
    let items = known.take(paging.fetch()).map(|provider| shown(&caller, provider)).collect();
    Ok(Json(paging.page(items, |provider| provider.id.to_string())))
}

/// One provider.
#[utoipa::path(get, path = "/api/v1/providers/{id}", tag = "models", params(("id" = ProviderId, Path)),
    responses((status = 200, body = Provider)))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ProviderId>,
) -> ApiResult<Json<Provider>> {
    find(&app, &caller, id).await.map(Json)
}

async fn find(app: &App, caller: &Caller, id: ProviderId) -> ApiResult<Provider> {
    let catalogue = app.providers.catalogue(app, caller.tenant).await?;
    let known = catalogue.providers.iter().find(|known| known.provider.id == id);
    Ok(shown(caller, &known.ok_or_else(|| ApiError::not_found("provider"))?.provider))
}

/// As far as this caller may see it.
fn shown(caller: &Caller, provider: &Provider) -> Provider {
    match caller.role {
        Role::Viewer => Provider { base_url: None, vault_key: None, ..provider.clone() },
        _ => provider.clone(),
    }
}

/// Adds a provider; its key goes into the vault with it. Answers with what its models were listed with, unless that
/// takes long.
#[utoipa::path(post, path = "/api/v1/providers", tag = "models", request_body = AddProvider,
    responses((status = 201, body = Provider)))]
async fn add(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<AddProvider>,
) -> ApiResult<(StatusCode, Json<Provider>)> {
    caller.at_least(Role::Admin)?;
    let id = change::add(&app, caller.cause(), request).await?;
    first_look(&app, caller.cause(), id).await;
    Ok((StatusCode::CREATED, Json(find(&app, &caller, id).await?)))
}

/// It goes on when nobody waits any more.
async fn first_look(app: &App, cause: Cause, id: ProviderId) {
    let app = app.clone();
    let looking = tokio::spawn(async move { check::run(&app, cause, id).await });
    match tokio::time::timeout(FIRST_LOOK, looking).await {
        Ok(Ok(Err(error))) => tracing::warn!(%error, "a provider's models were not listed"),
        Ok(Err(error)) => tracing::error!(%error, "listing a provider's models ended early"),
        Ok(Ok(Ok(_))) | Err(_) => {}
    }
}

/// Changes a provider. Another address asks for the key again.
#[utoipa::path(patch, path = "/api/v1/providers/{id}", tag = "models", params(("id" = ProviderId, Path)),
    request_body = UpdateProvider, responses((status = 200, body = Provider)))]
async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ProviderId>,
    Json(request): Json<UpdateProvider>,
) -> ApiResult<Json<Provider>> {
    caller.at_least(Role::Admin)?;
    if change::update(&app, caller.cause(), id, request).await? {
        app.router.forget(id);
        first_look(&app, caller.cause(), id).await;
    }
    find(&app, &caller, id).await.map(Json)
}

/// Removes a provider, and its key from the vault unless another provider uses it. What was found on a device stays
/// away until somebody adds it again.
#[utoipa::path(delete, path = "/api/v1/providers/{id}", tag = "models", params(("id" = ProviderId, Path)),
    responses((status = 204)))]
async fn remove(State(app): State<App>, caller: Caller, Path(id): Path<ProviderId>) -> ApiResult<StatusCode> {
    caller.at_least(Role::Admin)?;
    change::remove(&app, caller.cause(), id).await?;
    app.router.forget(id);
    Ok(StatusCode::NO_CONTENT)
}

/// Asks a provider for its models now; one that answers is no longer paused. What is wrong with it is in the answer's `fault`.
#[utoipa::path(post, path = "/api/v1/providers/{id}/test", tag = "models", params(("id" = ProviderId, Path)),
    responses((status = 200, body = ProviderHealth)))]
async fn test(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ProviderId>,
) -> ApiResult<Json<ProviderHealth>> {
    caller.at_least(Role::Operator)?;
    let health = check::run(&app, caller.cause(), id).await?;
    let provider = find(&app, &caller, id).await?;
    if health.fault.is_some() || !app.router.reopen(&app, caller.tenant, &provider) {
        return Ok(Json(health));
    }
    app.providers.renew(&app, caller.tenant).await?;
    find(&app, &caller, id).await.map(|provider| Json(provider.health))
}
