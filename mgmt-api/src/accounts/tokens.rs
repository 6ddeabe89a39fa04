//! Bearer tokens for programs: made once, shown once, stored as a hash, revocable one by one.

use axum::{extract::State, http::StatusCode};
use foreman_protocol::{ApiToken, ApiTokenId, CreateApiToken, CreatedApiToken, Event, Page, Role};
use sqlx::Row;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    App,
    auth::{self, Caller},
    bounds,
    db::{Tx, now},
    events::Cause,
    extract::{Json, Path, Query},
    problem::{ApiError, ApiResult},
    query::{Filter, Paging},
    secrets::{self, Kind, fingerprint},
};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// All tokens, without their secrets.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "accounts", params(Paging), responses((status = 200, body = Page<ApiToken>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> ApiResult<Json<Page<ApiToken>>> {
    caller.at_least(Role::Admin)?;
    let mut filter = Filter::new("tenant_id =", caller.tenant.to_string());
    paging.after(&mut filter, "id >");
    let sql = format!(
        "SELECT id, name, role, created_at, last_used_at FROM api_tokens WHERE {} ORDER BY id LIMIT {}",
        filter.sql(),
        paging.fetch()
    );
    let rows = filter.fetch(&app.db, sql).await?;
    let items = rows
        .iter()
        .map(|row| {
            Ok(ApiToken {
                id: auth::parse(&row.try_get::<String, _>("id")?)?,
                name: row.try_get("name")?,
                role: auth::role(&row.try_get::<String, _>("role")?)?,
                created_at: row.try_get("created_at")?,
                last_used_at: row.try_get("last_used_at")?,
            })
        })
        .collect::<ApiResult<Vec<_>>>()?;
    Ok(Json(paging.page(items, |token| token.id.to_string())))
}

/// Makes a token. Its secret is in the answer and nowhere else.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "accounts", request_body = CreateApiToken,
    responses((status = 201, body = CreatedApiToken)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<CreateApiToken>,
) -> ApiResult<(StatusCode, Json<CreatedApiToken>)> {
    caller.at_least(Role::Admin)?;
    // Nobody hands out more than they have.
    caller.at_least(request.role)?;
    let name = bounds::name("name", &request.name)?;
    let cause = caller.cause();
    let created = app
        .db
        .write(move |tx| Box::pin(async move { create_token(tx, &cause, name, request.role).await }))
        .await?;
    Ok((StatusCode::CREATED, Json(created)))
}

pub async fn create_token(
    tx: &mut Tx,
    cause: &Cause,
    name: String,
    role: Role,
) -> ApiResult<CreatedApiToken> {
    let secret = secrets::generate(Kind::ApiToken);
    let token = ApiToken { id: ApiTokenId::fresh(), name, role, created_at: now(), last_used_at: None };
    sqlx::query(
        "INSERT INTO api_tokens (id, tenant_id, name, role, secret_hash, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(token.id.to_string())
    .bind(cause.tenant.to_string())
    .bind(&token.name)
    .bind(role.as_str())
    .bind(fingerprint(&secret))
    .bind(token.created_at)
    .execute(tx.conn())
    .await?;
    tx.emit(cause, Event::ApiTokenCreated { token_id: token.id, name: token.name.clone(), role }).await?;
    Ok(CreatedApiToken { token, secret })
}

/// Revokes a token: dead at once.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "accounts", params(("id" = ApiTokenId, Path)),
    responses((status = 204)))]
async fn revoke(State(app): State<App>, caller: Caller, Path(id): Path<ApiTokenId>) -> ApiResult<StatusCode> {
    caller.at_least(Role::Admin)?;
    let cause = caller.cause();
    let mine = caller.role;
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let row = sqlx::query(
                    "DELETE FROM api_tokens WHERE id = $1 AND tenant_id = $2 RETURNING name, role",
                )
                .bind(id.to_string())
                .bind(cause.tenant.to_string())
                .fetch_optional(tx.conn())
                .await?
                .ok_or_else(|| ApiError::not_found("token"))?;
                if auth::role(&row.try_get::<String, _>(1)?)? > mine {
                    return Err(ApiError::new(
                        foreman_protocol::ProblemCode::Forbidden,
                        "Only an owner can revoke an owner's token.",
                    ));
                }
                tx.emit(&cause, Event::ApiTokenRevoked { token_id: id, name: row.try_get(0)? }).await
            })
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
