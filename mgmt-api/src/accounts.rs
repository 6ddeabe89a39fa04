//! People and their browsers: first owner, signing in and out, passwords.

mod browser;
pub mod device_code;
pub mod tokens;

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, State},
    http::StatusCode,
};
use axum_extra::extract::{
    CookieJar,
    cookie::{Cookie, SameSite},
};
use foreman_protocol::{
    Actor, ChangePassword, Event, Me, ProblemCode, Role, ServerInfo, SessionId, SetupRequest, SetupState,
    SignIn, SignInMeans, TenantId, UserId,
};
use sqlx::{Any, Executor, Row};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    App,
    auth::{self, Caller, Identity, SESSION_COOKIE, attempts::failed},
    bounds,
    db::{Db, Tx, now},
    events::Cause,
    extract::Json,
    problem::{ApiError, ApiResult},
    secrets::{self, Kind, fingerprint},
};

const SESSION_LIFE_DAYS: i64 = 30;
const DAY_MS: i64 = 86_400_000;

/// What a one-time secret is good for.
pub const PURPOSE_SETUP: &str = "setup";
pub const PURPOSE_SIGN_IN: &str = "sign_in";

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(setup_state, setup))
        .routes(routes!(sign_in, me, sign_out))
        .routes(routes!(change_password))
        .routes(routes!(server_info))
        .merge(tokens::router())
        .merge(device_code::router())
        .merge(browser::router())
}

/// Whether the first owner is still to be made.
#[utoipa::path(get, path = "/api/v1/setup", tag = "accounts", responses((status = 200, body = SetupState)))]
async fn setup_state(State(app): State<App>) -> ApiResult<Json<SetupState>> {
    Ok(Json(SetupState { needed: !has_users(app.db.read(), app.tenant).await? }))
}

/// Whether the tenant has anybody, and so an owner.
pub async fn has_users<'c>(from: impl Executor<'c, Database = Any>, tenant: TenantId) -> ApiResult<bool> {
    let row = sqlx::query("SELECT COUNT(*) FROM users WHERE tenant_id = $1")
        .bind(tenant.to_string())
        .fetch_one(from)
        .await?;
    Ok(row.try_get::<i64, _>(0)? > 0)
}

/// Makes the owner with the code from the server's terminal, and signs in.
#[utoipa::path(post, path = "/api/v1/setup", tag = "accounts", request_body = SetupRequest,
    responses((status = 200, body = Me)))]
async fn setup(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    jar: CookieJar,
    Json(request): Json<SetupRequest>,
) -> ApiResult<(CookieJar, Json<Me>)> {
    app.attempts.sign_in(from.ip())?;
    let name = bounds::name("name", &request.name)?;
    bounds::password("password", &request.password)?;
    let password = secrets::hash_password(request.password).await?;
    let code = fingerprint(request.code.trim().to_uppercase().as_str());
    let cause = Cause::anonymous(app.tenant, from.ip());
    let (failure, tried) = (cause.clone(), name.clone());
    let made = app
        .db
        .write(move |tx| {
            Box::pin(async move {
                if has_users(tx.conn(), cause.tenant).await? {
                    return Err(ApiError::new(
                        ProblemCode::SetupDone,
                        "This server has an owner already. Sign in instead.",
                    ));
                }
                if spend(tx, PURPOSE_SETUP, &code).await?.is_none() {
                    return Err(ApiError::new(
                        ProblemCode::SetupCodeWrong,
                        "That is not the setup code. It is in the terminal where the server was started.",
                    ));
                }
                let user = create_user(tx, &cause, &name, Role::Owner, Some(password)).await?;
                let secret = open_session(tx, &cause, user, &name).await?;
                Ok((
                    Me {
                        user_id: Some(user),
                        name,
                        role: Role::Owner,
                        tenant: String::new(),
                        has_password: true,
                    },
                    secret,
                ))
            })
        })
        .await;
    let (user, secret) = match made {
        Err(error) if error.code == ProblemCode::SetupCodeWrong => {
            return Err(failed(&app, from.ip(), failure, SignInMeans::SetupCode, &tried, error).await);
        }
        made => made?,
    };
    app.attempts.signed_in(from.ip());
    let me = Me { tenant: tenant_name(&app.db, app.tenant).await?, ..user };
    Ok((jar.add(cookie(&app, secret)), Json(me)))
}

/// Adds a person.
pub async fn create_user(
    tx: &mut Tx,
    cause: &Cause,
    name: &str,
    role: Role,
    password_hash: Option<String>,
) -> ApiResult<UserId> {
    let id = UserId::fresh();
    sqlx::query(
        "INSERT INTO users (id, tenant_id, name, role, password_hash, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id.to_string())
    .bind(cause.tenant.to_string())
    .bind(name)
    .bind(role.as_str())
    .bind(password_hash)
    .bind(now())
    .execute(tx.conn())
    .await?;
    tx.emit(cause, Event::UserCreated { user_id: id, name: name.to_owned(), role }).await?;
    Ok(id)
}

/// Uses up a one-time secret; its subject when it was valid. One statement, so exactly one caller wins.
pub async fn spend(tx: &mut Tx, purpose: &str, hash: &str) -> ApiResult<Option<String>> {
    let row = sqlx::query(
        "DELETE FROM one_time_secrets WHERE secret_hash = $1 AND purpose = $2 AND expires_at > $3 RETURNING subject",
    )
    .bind(hash)
    .bind(purpose)
    .bind(now())
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// Stores a one-time secret and forgets those of this purpose that expired.
pub async fn store_one_time(
    tx: &mut Tx,
    purpose: &str,
    subject: &str,
    secret: &str,
    life_ms: i64,
) -> ApiResult<()> {
    sqlx::query("DELETE FROM one_time_secrets WHERE purpose = $1 AND expires_at <= $2")
        .bind(purpose)
        .bind(now())
        .execute(tx.conn())
        .await?;
    sqlx::query(
        "INSERT INTO one_time_secrets (secret_hash, purpose, subject, expires_at) VALUES ($1, $2, $3, $4)",
    )
    .bind(fingerprint(secret))
    .bind(purpose)
    .bind(subject)
    .bind(now() + life_ms)
    .execute(tx.conn())
    .await?;
    Ok(())
}

async fn open_session(tx: &mut Tx, cause: &Cause, user: UserId, name: &str) -> ApiResult<String> {
    let secret = secrets::generate(Kind::Session);
    sqlx::query(
        "INSERT INTO sessions (id, user_id, secret_hash, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(SessionId::fresh().to_string())
    .bind(user.to_string())
    .bind(fingerprint(&secret))
    .bind(now())
    .bind(now() + SESSION_LIFE_DAYS * DAY_MS)
    .execute(tx.conn())
    .await?;
    let actor = Actor::User { id: user, name: name.to_owned() };
    let cause = Cause { actor, ..cause.clone() };
    tx.emit(&cause, Event::SessionCreated { user_id: user, name: name.to_owned() }).await?;
    Ok(secret)
}

fn cookie(app: &App, secret: String) -> Cookie<'static> {
    Cookie::build((SESSION_COOKIE, secret))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(app.settings.secure())
        .permanent()
        .build()
}

/// Signs a browser in, by name and password or by a one-use link.
#[utoipa::path(post, path = "/api/v1/session", tag = "accounts", request_body = SignIn,
    responses((status = 200, body = Me)))]
async fn sign_in(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    jar: CookieJar,
    Json(request): Json<SignIn>,
) -> ApiResult<(CookieJar, Json<Me>)> {
    match request {
        SignIn::Password { .. } => app.attempts.sign_in(from.ip())?,
        // Random: it is the way in of whoever owns the host, also while somebody at the same address guesses.
        SignIn::Link { .. } => app.attempts.device_proof(from.ip())?,
    }
    let cause = Cause::anonymous(app.tenant, from.ip());
    let secret = match request {
        SignIn::Password { name, password } => {
            let tried = name.trim().to_owned();
            match by_password(&app, cause.clone(), name, password).await? {
                Some(secret) => secret,
                None => {
                    let wrong =
                        ApiError::new(ProblemCode::SignInFailed, "Name and password do not fit together.");
                    return Err(failed(&app, from.ip(), cause, SignInMeans::Password, &tried, wrong).await);
                }
            }
        }
        SignIn::Link { ticket } => match by_link(&app, cause.clone(), &ticket).await {
            Err(error) if error.code == ProblemCode::SignInFailed => {
                return Err(failed(&app, from.ip(), cause, SignInMeans::Link, "", error).await);
            }
            opened => opened?,
        },
    };
    app.attempts.signed_in(from.ip());
    let me = describe(&app.db, &secret).await?;
    Ok((jar.add(cookie(&app, secret)), Json(me)))
}

/// A session, if name and password fit together.
async fn by_password(app: &App, cause: Cause, name: String, password: String) -> ApiResult<Option<String>> {
    bounds::text("name", &name, 256)?;
    bounds::text("password", &password, 4096)?;
    let row = sqlx::query("SELECT id, password_hash FROM users WHERE tenant_id = $1 AND name = $2")
        .bind(app.tenant.to_string())
        .bind(name.trim())
        .fetch_optional(app.db.read())
        .await?;
    let (user, stored) = match row {
        Some(row) => {
            (Some(auth::parse(&row.try_get::<String, _>(0)?)?), row.try_get::<Option<String>, _>(1)?)
        }
        None => (None, None),
    };
    let matches = secrets::password_matches(password, stored).await?;
    let name = name.trim().to_owned();
    let Some(user) = user.filter(|_| matches) else { return Ok(None) };
    app.db
        .write(move |tx| Box::pin(async move { open_session(tx, &cause, user, &name).await.map(Some) }))
        .await
}

async fn by_link(app: &App, cause: Cause, ticket: &str) -> ApiResult<String> {
    let hash = fingerprint(ticket);
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let subject = spend(tx, PURPOSE_SIGN_IN, &hash).await?.ok_or_else(|| {
                    ApiError::new(
                        ProblemCode::SignInFailed,
                        "This link was used already or has expired. Make a new one with `foreman-server login-link`.",
                    )
                })?;
                let user: UserId = auth::parse(&subject)?;
                let row = sqlx::query("SELECT name FROM users WHERE id = $1").bind(&subject).fetch_one(tx.conn()).await?;
                open_session(tx, &cause, user, &row.try_get::<String, _>(0)?).await
            })
        })
        .await
}

async fn describe(db: &Db, session: &str) -> ApiResult<Me> {
    let row = sqlx::query(
        "SELECT u.id, u.name, u.role, u.password_hash, t.name AS tenant FROM sessions s JOIN users u ON u.id = s.user_id \
         JOIN tenants t ON t.id = u.tenant_id WHERE s.secret_hash = $1",
    )
    .bind(fingerprint(session))
    .fetch_one(db.read())
    .await?;
    Ok(Me {
        user_id: Some(auth::parse(&row.try_get::<String, _>("id")?)?),
        name: row.try_get("name")?,
        role: auth::role(&row.try_get::<String, _>("role")?)?,
        tenant: row.try_get("tenant")?,
        has_password: row.try_get::<Option<String>, _>("password_hash")?.is_some(),
    })
}

/// Who is signed in.
#[utoipa::path(get, path = "/api/v1/session", tag = "accounts", responses((status = 200, body = Me)))]
async fn me(State(app): State<App>, caller: Caller) -> ApiResult<Json<Me>> {
    let (name, user, has_password) = match &caller.identity {
        Identity::Token { name, .. } => (name.clone(), None, false),
        Identity::User { id, name, .. } => {
            let row = sqlx::query("SELECT password_hash FROM users WHERE id = $1")
                .bind(id.to_string())
                .fetch_one(app.db.read())
                .await?;
            (name.clone(), Some(*id), row.try_get::<Option<String>, _>(0)?.is_some())
        }
    };
    let tenant = tenant_name(&app.db, caller.tenant).await?;
    Ok(Json(Me { user_id: user, name, role: caller.role, tenant, has_password }))
}

async fn tenant_name(db: &Db, tenant: TenantId) -> ApiResult<String> {
    let row = sqlx::query("SELECT name FROM tenants WHERE id = $1")
        .bind(tenant.to_string())
        .fetch_one(db.read())
        .await?;
    Ok(row.try_get(0)?)
}

/// Signs this browser out; a program's token is revoked.
#[utoipa::path(delete, path = "/api/v1/session", tag = "accounts", responses((status = 204)))]
async fn sign_out(
    State(app): State<App>,
    caller: Caller,
    jar: CookieJar,
) -> ApiResult<(CookieJar, StatusCode)> {
    let cause = caller.cause();
    let (table, row, ended) = match caller.identity.clone() {
        Identity::User { id, name, session } => {
            ("sessions", session.to_string(), Event::SessionEnded { user_id: id, name })
        }
        Identity::Token { id, name } => {
            ("api_tokens", id.to_string(), Event::ApiTokenRevoked { token_id: id, name })
        }
    };
    app.db
        .write(move |tx| {
            Box::pin(async move {
                sqlx::query(sqlx::AssertSqlSafe(format!("DELETE FROM {table} WHERE id = $1")))
                    .bind(row)
                    .execute(tx.conn())
                    .await?;
                tx.emit(&cause, ended).await
            })
        })
        .await?;
    Ok((jar.remove(Cookie::build(SESSION_COOKIE).path("/")), StatusCode::NO_CONTENT))
}

/// Sets or changes the own password; other browsers are signed out.
#[utoipa::path(put, path = "/api/v1/session/password", tag = "accounts", request_body = ChangePassword,
    responses((status = 204)))]
async fn change_password(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    caller: Caller,
    Json(request): Json<ChangePassword>,
) -> ApiResult<StatusCode> {
    let Identity::User { id, name, session } = caller.identity.clone() else {
        return Err(ApiError::new(ProblemCode::Forbidden, "A token has no password."));
    };
    bounds::password("new", &request.new)?;
    let row = sqlx::query("SELECT password_hash FROM users WHERE id = $1")
        .bind(id.to_string())
        .fetch_one(app.db.read())
        .await?;
    if let Some(stored) = row.try_get::<Option<String>, _>(0)? {
        app.attempts.sign_in(from.ip())?;
        let current = request.current.unwrap_or_default();
        if !secrets::password_matches(current, Some(stored)).await? {
            let wrong = "The current password is not right. Nothing was changed.";
            let wrong = ApiError::new(ProblemCode::SignInFailed, wrong);
            return Err(failed(&app, from.ip(), caller.cause(), SignInMeans::Password, &name, wrong).await);
        }
        app.attempts.signed_in(from.ip());
    }
    let hash = secrets::hash_password(request.new).await?;
    let cause = caller.cause();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                sqlx::query("UPDATE users SET password_hash = $1 WHERE id = $2")
                    .bind(hash)
                    .bind(id.to_string())
                    .execute(tx.conn())
                    .await?;
                sqlx::query("DELETE FROM sessions WHERE user_id = $1 AND id <> $2")
                    .bind(id.to_string())
                    .bind(session.to_string())
                    .execute(tx.conn())
                    .await?;
                tx.emit(&cause, Event::PasswordChanged { user_id: id, name }).await
            })
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What this server is and how it is set.
#[utoipa::path(get, path = "/api/v1/server", tag = "accounts", responses((status = 200, body = ServerInfo)))]
async fn server_info(State(app): State<App>, _caller: Caller) -> Json<ServerInfo> {
    Json(ServerInfo {
        version: crate::VERSION.to_owned(),
        protocol_version: foreman_protocol::PROTOCOL_VERSION,
        database: app.db.engine.name().to_owned(),
        public_url: app.settings.public_url.clone(),
        server_time: now(),
        heartbeat_s: app.settings.heartbeat_s,
        offline_after_s: app.settings.offline_after_s,
    })
}
