//! Who asks a model: a placeholder key, a program with a token, or a person in a browser.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, header, request::Parts},
};
use foreman_protocol::{ProblemCode, Role, TenantId};

use super::{
    Payer,
    keys::{self, Held},
};
use crate::{
    App,
    auth::{Caller, Identity, bearer, source, unknown_token},
    db::now,
    problem::{ApiError, ApiResult},
};

/// Where Anthropic's clients put their key.
const X_API_KEY: &str = "x-api-key";

/// Who asks, and on whose account.
#[derive(Debug, Clone)]
pub struct Who {
    pub tenant: TenantId,
    pub payer: Payer,
    pub key: Option<Arc<Held>>,
}

impl Who {
    /// Whether the caller may ask this model; see [`Held::allows`].
    pub fn allows(&self, profile: Option<&str>, provider: &str, model: &str) -> bool {
        self.key.as_ref().is_none_or(|key| key.allows(profile, provider, model))
    }
}

/// # Errors
/// `unauthenticated`; `forbidden` for who may only look.
pub async fn who(app: &App, parts: &mut Parts) -> ApiResult<Who> {
    let shown = parts.headers.get(X_API_KEY).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(secret) = bearer(&parts.headers).or(shown).filter(|secret| secret.starts_with(keys::PREFIX)) {
        let Some(key) = app.router.keys.find(secret, now()) else {
            let unknown = "This key is unknown, revoked or expired. Make a new one under Models.";
            let unknown = ApiError::new(ProblemCode::Unauthenticated, unknown);
            // Boxed: a request with a right key need not carry its room along.
            return Err(Box::pin(unknown_token(app, &source(parts), unknown)).await);
        };
        return Ok(Who { tenant: key.tenant, payer: Payer::Key(key.id), key: Some(key) });
    }
    if let (None, Some(secret)) = (bearer(&parts.headers), shown) {
        let value =
            HeaderValue::from_str(&format!("Bearer {secret}")).map_err(|_| ApiError::unauthenticated())?;
        parts.headers.insert(header::AUTHORIZATION, value);
    }
    // Boxed: a request with a key, which reads nothing, need not carry its room along.
    let caller = Box::pin(Caller::from_request_parts(parts, app)).await?;
    // Asking spends money and sends what is asked away.
    caller.at_least(Role::Operator)?;
    let payer = match caller.identity {
        Identity::User { id, .. } => Payer::User(id),
        Identity::Token { id, .. } => Payer::Token(id),
    };
    Ok(Who { tenant: caller.tenant, payer, key: None })
}
