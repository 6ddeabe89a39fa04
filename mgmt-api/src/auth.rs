//! Who is calling: a person's browser by cookie, a program by bearer token, a device by its own short-lived
//! bearer. Nothing but the few public routes answers without one of them.

pub mod attempts;
pub mod device;
pub mod gate;
mod still;

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, header, request::Parts},
};
use axum_extra::extract::CookieJar;
use foreman_protocol::{
    AccountId, Actor, ApiTokenId, Level, ProblemCode, Role, SessionId, SignInMeans, TenantId, UserId,
};
use sqlx::Row;
use std::net::SocketAddr;

use crate::{
    App,
    db::now,
    events::Cause,
    problem::{ApiError, ApiResult},
    secrets::fingerprint,
};

pub const SESSION_COOKIE: &str = "foreman_session";
/// A token's `last_used_at` is written at most this often.
const LAST_USED_EVERY_MS: i64 = 60_000;

/// A signed-in person or a program, and what it may do.
#[derive(Debug, Clone)]
pub struct Caller {
    pub tenant: TenantId,
    pub role: Role,
    pub identity: Identity,
    pub source: String,
}

#[derive(Debug, Clone)]
pub enum Identity {
    User { id: UserId, name: String, session: SessionId },
    Token { id: ApiTokenId, name: String },
}

impl Caller {
    /// # Errors
    /// `forbidden` when the caller's role is below `role`.
    pub fn at_least(&self, role: Role) -> ApiResult<()> {
        if self.role >= role {
            return Ok(());
        }
        Err(ApiError::new(
            ProblemCode::Forbidden,
            format!("This needs the role {}; yours is {}.", role.as_str(), self.role.as_str()),
        ))
    }

    pub fn cause(&self) -> Cause {
        Cause { tenant: self.tenant, actor: self.actor(), source: Some(self.source.clone()) }
    }

    pub fn actor(&self) -> Actor {
        match &self.identity {
            Identity::User { id, name, .. } => Actor::User { id: *id, name: name.clone() },
            Identity::Token { id, name } => Actor::Token { id: *id, name: name.clone() },
        }
    }

    pub const fn account(&self) -> AccountId {
        match &self.identity {
            Identity::User { id, .. } => AccountId::User(*id),
            Identity::Token { id, .. } => AccountId::Token(*id),
        }
    }

    /// The most this server asks of a device for this caller, however much the device lets the server do.
    pub const fn at_most(&self) -> Level {
        match self.role {
            Role::Viewer => Level::View,
            Role::Operator => Level::Operate,
            Role::Admin | Role::Owner => Level::Admin,
        }
    }

    /// For people.
    pub fn name(&self) -> String {
        match &self.identity {
            Identity::User { name, .. } => name.clone(),
            Identity::Token { name, .. } => format!("{name} (token)"),
        }
    }

    pub fn user(&self) -> Option<UserId> {
        match &self.identity {
            Identity::User { id, .. } => Some(*id),
            Identity::Token { .. } => None,
        }
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let source = source(parts);
        if let Some(secret) = bearer(&parts.headers) {
            return by_token(app, secret, source).await;
        }
        let jar = CookieJar::from_headers(&parts.headers);
        let cookie = jar.get(SESSION_COOKIE).ok_or_else(ApiError::unauthenticated)?;
        gate::same_origin(parts, &app.settings)?;
        by_session(app, cookie.value(), source).await
    }
}

/// The secret of an `Authorization: Bearer` header.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// The caller's network address, for the log and for limits.
pub fn source(parts: &Parts) -> String {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map_or_else(String::new, |info| info.0.ip().to_string())
}

/// What to answer a program whose token or key nobody has.
pub async fn unknown_token(app: &App, source: &str, error: ApiError) -> ApiError {
    let Ok(from) = source.parse() else { return error };
    let cause = Cause::anonymous(app.tenant, from);
    attempts::failed(app, from, cause, SignInMeans::Token, "", error).await
}

async fn by_token(app: &App, secret: &str, source: String) -> ApiResult<Caller> {
    let found =
        sqlx::query("SELECT id, tenant_id, name, role, last_used_at FROM api_tokens WHERE secret_hash = $1")
            .bind(fingerprint(secret))
            .fetch_optional(app.db.read())
            .await?;
    let Some(row) = found else {
        return Err(unknown_token(app, &source, ApiError::unauthenticated()).await);
    };
    let id: ApiTokenId = parse(&row.try_get::<String, _>("id")?)?;
    let used: Option<i64> = row.try_get("last_used_at")?;
    if used.is_none_or(|used| now() - used > LAST_USED_EVERY_MS) {
        // Bookkeeping: whoever asks need not wait for it.
        let db = app.db.clone();
        tokio::spawn(async move {
            let touched = db.write(move |tx| {
                Box::pin(async move {
                    sqlx::query("UPDATE api_tokens SET last_used_at = $1 WHERE id = $2")
                        .bind(now())
                        .bind(id.to_string())
                        .execute(tx.conn())
                        .await?;
                    Ok(())
                })
            });
            if let Err(error) = touched.await {
                tracing::warn!(%error, "a token's last use was not noted");
            }
        });
    }
    Ok(Caller {
        tenant: parse(&row.try_get::<String, _>("tenant_id")?)?,
        role: role(&row.try_get::<String, _>("role")?)?,
        identity: Identity::Token { id, name: row.try_get("name")? },
        source,
    })
}

async fn by_session(app: &App, secret: &str, source: String) -> ApiResult<Caller> {
    let row = sqlx::query(
        "SELECT s.id, s.user_id, u.tenant_id, u.name, u.role FROM sessions s JOIN users u ON u.id = s.user_id \
         WHERE s.secret_hash = $1 AND s.expires_at > $2",
    )
    .bind(fingerprint(secret))
    .bind(now())
    .fetch_optional(app.db.read())
    .await?
    .ok_or_else(ApiError::unauthenticated)?;
    Ok(Caller {
        tenant: parse(&row.try_get::<String, _>("tenant_id")?)?,
        role: role(&row.try_get::<String, _>("role")?)?,
        identity: Identity::User {
            id: parse(&row.try_get::<String, _>("user_id")?)?,
            name: row.try_get("name")?,
            session: parse(&row.try_get::<String, _>("id")?)?,
        },
        source,
    })
}

/// An id we stored ourselves.
pub fn parse<T>(text: &str) -> ApiResult<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    text.parse().map_err(ApiError::internal)
}

/// A role we stored ourselves.
pub fn role(text: &str) -> ApiResult<Role> {
    Role::ALL
        .into_iter()
        .find(|role| role.as_str() == text)
        .ok_or_else(|| ApiError::internal(anyhow::anyhow!("unknown role {text:?} in the database")))
}
