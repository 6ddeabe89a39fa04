//! One-time codes: kept as hashes for a minute, bound to the program, its way back and its challenge, spent once.

use std::net::IpAddr;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use foreman_protocol::{
    APP_CLIENT, Actor, AuthorizationClient, AuthorizationToken, COMMAND_LINE_CLIENT, Event, ExchangeCode,
    ProblemCode, Role, TenantId, TokenError,
};
use sha2::{Digest, Sha256};
use sqlx::{Row, any::AnyRow};
use subtle::ConstantTimeEq;

use super::request::Asked;
use crate::{
    App,
    accounts::tokens::create_token,
    auth::{self, Caller},
    db::{Tx, now},
    events::Cause,
    problem::{ApiError, ApiResult},
    secrets::fingerprint,
};

/// A browser hands the code over at once. Milliseconds.
const LIFE_MS: i64 = 60_000;
/// For so long a second use is recognised as one. Milliseconds.
const REMEMBERED_MS: i64 = 86_400_000;
/// Codes that wait at once.
const MOST_OPEN: i64 = 1_000;

/// What a person allowed.
pub struct Allowed {
    tenant: TenantId,
    client: AuthorizationClient,
    redirect_uri: String,
    code_challenge: String,
    client_name: String,
    by: Actor,
    role: Role,
}

impl Allowed {
    pub fn of(asked: Asked, role: Role, caller: &Caller) -> Self {
        Self {
            tenant: caller.tenant,
            client: asked.client,
            redirect_uri: asked.redirect_uri,
            code_challenge: asked.code_challenge,
            client_name: asked.client_name,
            by: caller.actor(),
            role,
        }
    }
}

/// Remembers a code that a person's browser is about to hand over.
pub async fn keep(tx: &mut Tx, code: &str, allowed: &Allowed) -> ApiResult<()> {
    let open =
        sqlx::query("SELECT COUNT(*) FROM authorization_codes WHERE spent_at IS NULL AND expires_at > $1");
    let open = open.bind(now()).fetch_one(tx.conn()).await?;
    if open.try_get::<i64, _>(0)? >= MOST_OPEN {
        return Err(ApiError::new(
            ProblemCode::RateLimited,
            "Too many programs are being signed in. Try again in a minute.",
        ));
    }
    sqlx::query(
        "INSERT INTO authorization_codes (code_hash, tenant_id, client_id, redirect_uri, code_challenge, client_name, \
         allowed_by, role, expires_at, forget_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(fingerprint(code))
    .bind(allowed.tenant.to_string())
    .bind(client_id(allowed.client))
    .bind(&allowed.redirect_uri)
    .bind(&allowed.code_challenge)
    .bind(&allowed.client_name)
    .bind(serde_json::to_string(&allowed.by)?)
    .bind(allowed.role.as_str())
    .bind(now() + LIFE_MS)
    .bind(now() + REMEMBERED_MS)
    .execute(tx.conn())
    .await?;
    Ok(())
}

const fn client_id(client: AuthorizationClient) -> &'static str {
    match client {
        AuthorizationClient::App => APP_CLIENT,
        AuthorizationClient::CommandLine => COMMAND_LINE_CLIENT,
    }
}

/// What a program brings for a token.
pub struct Claim {
    hash: String,
    redirect_uri: String,
    client_id: String,
    verifier: String,
}

impl Claim {
    pub fn of(form: ExchangeCode) -> Result<Self, TokenError> {
        match form.grant_type.as_deref() {
            Some("authorization_code") => {}
            Some(_) => return Err(TokenError::UnsupportedGrantType),
            None => return Err(TokenError::InvalidRequest),
        }
        let client_id = form.client_id.ok_or(TokenError::InvalidRequest)?;
        if ![APP_CLIENT, COMMAND_LINE_CLIENT].contains(&client_id.as_str()) {
            return Err(TokenError::InvalidClient);
        }
        Ok(Self {
            hash: fingerprint(&form.code.ok_or(TokenError::InvalidRequest)?),
            redirect_uri: form.redirect_uri.ok_or(TokenError::InvalidRequest)?,
            client_id,
            verifier: form.code_verifier.ok_or(TokenError::InvalidRequest)?,
        })
    }

    fn fits(&self, row: &AnyRow) -> ApiResult<bool> {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.as_bytes()));
        let wanted: String = row.try_get("code_challenge")?;
        Ok(row.try_get::<i64, _>("expires_at")? > now()
            && row.try_get::<String, _>("client_id")? == self.client_id
            && row.try_get::<String, _>("redirect_uri")? == self.redirect_uri
            && bool::from(challenge.as_bytes().ct_eq(wanted.as_bytes())))
    }
}

/// The token for a code.
///
/// # Errors
/// The outer one when the database fails; the inner one is for the program.
pub async fn exchange(
    app: &App,
    claim: Claim,
    from: IpAddr,
) -> ApiResult<Result<AuthorizationToken, TokenError>> {
    // Anybody may ask, and writes take turns: a code that nobody was given costs none.
    let known = sqlx::query("SELECT 1 FROM authorization_codes WHERE code_hash = $1").bind(&claim.hash);
    if known.fetch_optional(app.db.read()).await?.is_none() {
        return Ok(Err(TokenError::InvalidGrant));
    }
    let source = from.to_string();
    app.db.write(move |tx| Box::pin(async move { redeem(tx, &claim, source).await })).await
}

async fn redeem(
    tx: &mut Tx,
    claim: &Claim,
    source: String,
) -> ApiResult<Result<AuthorizationToken, TokenError>> {
    // Spent by whoever comes first, also with a wrong verifier: a code is not there to be tried on.
    let row = sqlx::query(
        "UPDATE authorization_codes SET spent_at = $1 WHERE code_hash = $2 AND spent_at IS NULL \
         RETURNING tenant_id, client_id, redirect_uri, code_challenge, client_name, allowed_by, role, expires_at",
    )
    .bind(now())
    .bind(&claim.hash)
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else {
        take_back(tx, claim, source).await?;
        return Ok(Err(TokenError::InvalidGrant));
    };
    if !claim.fits(&row)? {
        return Ok(Err(TokenError::InvalidGrant));
    }
    hand_out(tx, claim, &row, source).await.map(Ok)
}

async fn hand_out(tx: &mut Tx, claim: &Claim, row: &AnyRow, source: String) -> ApiResult<AuthorizationToken> {
    let role = auth::role(&row.try_get::<String, _>("role")?)?;
    let cause = Cause {
        tenant: auth::parse(&row.try_get::<String, _>("tenant_id")?)?,
        actor: serde_json::from_str::<Actor>(&row.try_get::<String, _>("allowed_by")?)?,
        source: Some(source),
    };
    let created = create_token(tx, &cause, row.try_get("client_name")?, role).await?;
    let id = created.token.id.to_string();
    if let Actor::User { id: user, .. } = &cause.actor {
        sqlx::query("UPDATE api_tokens SET for_user = $1 WHERE id = $2")
            .bind(user.to_string())
            .bind(&id)
            .execute(tx.conn())
            .await?;
    }
    sqlx::query("UPDATE authorization_codes SET token_id = $1 WHERE code_hash = $2")
        .bind(&id)
        .bind(&claim.hash)
        .execute(tx.conn())
        .await?;
    Ok(AuthorizationToken { access_token: created.secret, token_type: "Bearer".to_owned(), scope: role })
}

/// A code came twice, so two have it and one of them is not the program it was for: what it gave ends
/// (OAuth 2.1, section 4.1.3).
async fn take_back(tx: &mut Tx, claim: &Claim, source: String) -> ApiResult<()> {
    let given = sqlx::query(
        "DELETE FROM api_tokens WHERE id = (SELECT token_id FROM authorization_codes WHERE code_hash = $1) \
         RETURNING id, tenant_id, name",
    )
    .bind(&claim.hash)
    .fetch_optional(tx.conn())
    .await?;
    let Some(given) = given else { return Ok(()) };
    let tenant = auth::parse(&given.try_get::<String, _>("tenant_id")?)?;
    let cause = Cause { tenant, actor: Actor::Anonymous, source: Some(source) };
    let token_id = auth::parse(&given.try_get::<String, _>("id")?)?;
    tracing::warn!(%token_id, "a sign-in code was used a second time; the token that it gave is revoked");
    tx.emit(&cause, Event::ApiTokenRevoked { token_id, name: given.try_get("name")? }).await?;
    Ok(())
}
