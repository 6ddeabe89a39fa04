//! Signing in a program without a browser (RFC 8628): it shows a code, a signed-in person compares and approves
//! it, and the program gets a token of its own. Looking at a code changes nothing; only a person's POST does.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use foreman_protocol::{
    Actor, ApproveDeviceCode, DeviceCode, DeviceCodeError, DeviceCodeProblem, DeviceCodeRequest,
    DeviceCodeToken, Event, PollDeviceCode, ProblemCode, Role, StartDeviceCode, TenantId,
};
use sqlx::{Row, any::AnyRow};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::tokens::create_token;
use crate::{
    App,
    auth::{self, Caller, Identity},
    bounds,
    db::{Tx, now},
    events::Cause,
    extract::{Json, Path},
    problem::{ApiError, ApiResult},
    secrets::{self, Kind, fingerprint},
};

/// A code that a person compares lives five minutes; guesses are limited for each address.
const LIFE_S: u32 = 300;
const INTERVAL_S: u32 = 5;
/// RFC 8628, section 3.5.
const SLOWER_BY_S: i64 = 5;
/// Open at once; who asks needs no account, so they are bounded.
const MOST_OPEN: i64 = 1_000;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(start))
        .routes(routes!(poll))
        .routes(routes!(look))
        .routes(routes!(approve))
        .routes(routes!(deny))
}

/// Begins to sign a program in: shows its code to a person.
#[utoipa::path(post, path = "/api/v1/auth/device/code", tag = "accounts", request_body = StartDeviceCode,
    responses((status = 200, body = DeviceCode)))]
async fn start(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Json(request): Json<StartDeviceCode>,
) -> ApiResult<Json<DeviceCode>> {
    app.attempts.sign_in(from.ip())?;
    let client_name = bounds::name("client_name", &request.client_name)?;
    let device_code = secrets::generate(Kind::DeviceCode);
    let user_code = secrets::short_code();
    let (device_hash, user_hash) = (fingerprint(&device_code), fingerprint(&user_code));
    let (tenant, source) = (app.tenant, from.ip().to_string());
    app.db
        .write(move |tx| {
            Box::pin(async move {
                sqlx::query("DELETE FROM device_codes WHERE expires_at <= $1")
                    .bind(now())
                    .execute(tx.conn())
                    .await?;
                let open = sqlx::query("SELECT COUNT(*) FROM device_codes").fetch_one(tx.conn()).await?;
                if open.try_get::<i64, _>(0)? >= MOST_OPEN {
                    return Err(ApiError::new(
                        ProblemCode::RateLimited,
                        "Too many programs are waiting to be signed in. Try again in five minutes.",
                    ));
                }
                sqlx::query(
                    "INSERT INTO device_codes (device_code_hash, user_code_hash, tenant_id, client_name, source, \
                     created_at, expires_at, interval_s, state) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'pending')",
                )
                .bind(device_hash)
                .bind(user_hash)
                .bind(tenant.to_string())
                .bind(client_name)
                .bind(source)
                .bind(now())
                .bind(now() + i64::from(LIFE_S) * 1000)
                .bind(i64::from(INTERVAL_S))
                .execute(tx.conn())
                .await?;
                Ok(())
            })
        })
        .await?;
    let page = format!("{}/link", app.settings.public_url);
    Ok(Json(DeviceCode {
        device_code,
        verification_uri_complete: format!("{page}?code={user_code}"),
        verification_uri: page,
        user_code,
        expires_in: LIFE_S,
        interval: INTERVAL_S,
    }))
}

/// What became of it. The token is in one answer and nowhere else.
#[utoipa::path(post, path = "/api/v1/auth/device/token", tag = "accounts", request_body = PollDeviceCode,
    responses((status = 200, body = DeviceCodeToken), (status = 400, body = DeviceCodeProblem)))]
async fn poll(State(app): State<App>, Json(request): Json<PollDeviceCode>) -> ApiResult<Response> {
    let hash = fingerprint(&request.device_code);
    // Anybody may ask, and writes take turns: a code that nobody was given costs none.
    let known = sqlx::query("SELECT 1 FROM device_codes WHERE device_code_hash = $1").bind(hash.clone());
    if known.fetch_optional(app.db.read()).await?.is_none() {
        let error = DeviceCodeError::ExpiredToken;
        return Ok((StatusCode::BAD_REQUEST, Json(DeviceCodeProblem { error })).into_response());
    }
    let outcome = app.db.write(move |tx| Box::pin(async move { redeem(tx, &hash).await })).await?;
    Ok(match outcome {
        Ok(token) => Json(token).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, Json(DeviceCodeProblem { error })).into_response(),
    })
}

async fn redeem(tx: &mut Tx, hash: &str) -> ApiResult<Result<DeviceCodeToken, DeviceCodeError>> {
    let row = sqlx::query(
        "SELECT tenant_id, client_name, source, expires_at, interval_s, polled_at, state, approved_by, role \
         FROM device_codes WHERE device_code_hash = $1",
    )
    .bind(hash)
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row.filter(|row| row.try_get::<i64, _>("expires_at").is_ok_and(|until| until > now()))
    else {
        return Ok(Err(DeviceCodeError::ExpiredToken));
    };
    match row.try_get::<String, _>("state")?.as_str() {
        "approved" => {
            forget(tx, hash).await?;
            hand_out(tx, &row).await.map(Ok)
        }
        "denied" => {
            forget(tx, hash).await?;
            Ok(Err(DeviceCodeError::AccessDenied))
        }
        _ => wait(tx, hash, &row).await.map(Err),
    }
}

async fn forget(tx: &mut Tx, hash: &str) -> ApiResult<()> {
    sqlx::query("DELETE FROM device_codes WHERE device_code_hash = $1").bind(hash).execute(tx.conn()).await?;
    Ok(())
}

async fn hand_out(tx: &mut Tx, row: &AnyRow) -> ApiResult<DeviceCodeToken> {
    let role = auth::role(&row.try_get::<String, _>("role")?)?;
    let cause = Cause {
        tenant: auth::parse(&row.try_get::<String, _>("tenant_id")?)?,
        actor: serde_json::from_str::<Actor>(&row.try_get::<String, _>("approved_by")?)?,
        source: Some(row.try_get("source")?),
    };
    let created = create_token(tx, &cause, row.try_get("client_name")?, role).await?;
    if let Actor::User { id, .. } = &cause.actor {
        sqlx::query("UPDATE api_tokens SET for_user = $1 WHERE id = $2")
            .bind(id.to_string())
            .bind(created.token.id.to_string())
            .execute(tx.conn())
            .await?;
    }
    Ok(DeviceCodeToken { token: created.secret, token_type: "Bearer".to_owned(), role })
}

async fn wait(tx: &mut Tx, hash: &str, row: &AnyRow) -> ApiResult<DeviceCodeError> {
    let interval: i64 = row.try_get("interval_s")?;
    let polled: Option<i64> = row.try_get("polled_at")?;
    // Half a second of grace: a program's timer may be early.
    let hasty = polled.is_some_and(|polled| now() - polled < interval * 1000 - 500);
    sqlx::query("UPDATE device_codes SET polled_at = $1, interval_s = $2 WHERE device_code_hash = $3")
        .bind(now())
        .bind(if hasty { interval + SLOWER_BY_S } else { interval })
        .bind(hash)
        .execute(tx.conn())
        .await?;
    Ok(if hasty { DeviceCodeError::SlowDown } else { DeviceCodeError::AuthorizationPending })
}

/// Which program asks with this code.
#[utoipa::path(get, path = "/api/v1/auth/device/{user_code}", tag = "accounts",
    params(("user_code" = String, Path)), responses((status = 200, body = DeviceCodeRequest)))]
async fn look(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    caller: Caller,
    Path(user_code): Path<String>,
) -> ApiResult<Json<DeviceCodeRequest>> {
    app.attempts.sign_in(from.ip())?;
    let row = sqlx::query(
        "SELECT client_name, source, created_at, expires_at FROM device_codes \
         WHERE user_code_hash = $1 AND tenant_id = $2 AND state = 'pending' AND expires_at > $3",
    )
    .bind(fingerprint(&normal(&user_code)))
    .bind(caller.tenant.to_string())
    .bind(now())
    .fetch_optional(app.db.read())
    .await?
    .ok_or_else(unknown_code)?;
    Ok(Json(DeviceCodeRequest {
        client_name: row.try_get("client_name")?,
        source: row.try_get("source")?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
    }))
}

/// Signs the program in, with at most the approver's own role.
#[utoipa::path(post, path = "/api/v1/auth/device/{user_code}/approve", tag = "accounts",
    params(("user_code" = String, Path)), request_body = ApproveDeviceCode, responses((status = 204)))]
async fn approve(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    caller: Caller,
    Path(user_code): Path<String>,
    Json(request): Json<ApproveDeviceCode>,
) -> ApiResult<StatusCode> {
    app.attempts.sign_in(from.ip())?;
    let role = request.role.unwrap_or(caller.role);
    caller.at_least(role)?;
    settle(&app, &caller, &user_code, Some(role)).await
}

/// Turns the program away.
#[utoipa::path(post, path = "/api/v1/auth/device/{user_code}/deny", tag = "accounts",
    params(("user_code" = String, Path)), responses((status = 204)))]
async fn deny(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    caller: Caller,
    Path(user_code): Path<String>,
) -> ApiResult<StatusCode> {
    app.attempts.sign_in(from.ip())?;
    settle(&app, &caller, &user_code, None).await
}

/// `role` says what it may do; `None` denies.
async fn settle(app: &App, caller: &Caller, user_code: &str, role: Option<Role>) -> ApiResult<StatusCode> {
    // A token that could make tokens would outlive its own revocation.
    if !matches!(caller.identity, Identity::User { .. }) {
        return Err(ApiError::new(
            ProblemCode::Forbidden,
            "Only a person who is signed in can decide this, not a program's token.",
        ));
    }
    let hash = fingerprint(&normal(user_code));
    let (tenant, cause): (TenantId, Cause) = (caller.tenant, caller.cause());
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let row = sqlx::query(
                    "UPDATE device_codes SET state = $1, approved_by = $2, role = $3 WHERE user_code_hash = $4 \
                     AND tenant_id = $5 AND state = 'pending' AND expires_at > $6 RETURNING client_name",
                )
                .bind(if role.is_some() { "approved" } else { "denied" })
                .bind(serde_json::to_string(&cause.actor)?)
                .bind(role.map(Role::as_str))
                .bind(hash)
                .bind(tenant.to_string())
                .bind(now())
                .fetch_optional(tx.conn())
                .await?
                .ok_or_else(unknown_code)?;
                if role.is_none() {
                    let denied = Event::SignInFailed { name: row.try_get(0)?, means: None, wait_s: None };
                    tx.emit(&cause, denied).await?;
                }
                Ok(())
            })
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn unknown_code() -> ApiError {
    ApiError::new(
        ProblemCode::NotFound,
        "No program is waiting with this code: it was mistyped, was decided already or is older than five minutes. \
         Start again where the code was shown.",
    )
}

/// As it was made, however it was typed.
fn normal(user_code: &str) -> String {
    let letters: Vec<char> = user_code
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_uppercase())
        .take(16)
        .collect();
    letters.chunks(4).map(String::from_iter).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_same_however_it_is_typed() {
        let code = secrets::short_code();
        assert_eq!(code.len(), 9);
        assert_eq!(normal(&code), code);
        assert_eq!(normal(&code.to_lowercase().replace('-', " ")), code);
        assert_eq!(normal(&"x".repeat(100)).len(), 19);
    }
}
