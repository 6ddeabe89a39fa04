//! Changes that are asked for with an `Idempotency-Key`: made once, however often they are asked for. What waited on a
//! person's device while the server was away is sent until it is answered, and an answer may be lost.
//!
//! The key is spent in the transaction of the change, so there is no moment at which one is there without the other.
//! Whoever asks again is answered with the thing as it is now.

use axum::{extract::FromRequestParts, http::request::Parts};

use crate::{
    App,
    db::{Tx, now},
    events::Cause,
    problem::{ApiError, ApiResult},
};

/// The name of the header.
const HEADER: &str = "idempotency-key";
const KEY_CHARS: std::ops::RangeInclusive<usize> = 16..=128;
/// Longer than anything waits to be sent.
const KEPT_MS: i64 = 90 * 24 * 3_600_000;
/// Deleted in one write: others wait their turn in between.
const CHUNK: i64 = 1_000;

/// The key a change came with, if any.
#[derive(Debug, Clone)]
pub struct Once(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Once {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let Some(value) = parts.headers.get(HEADER) else { return Ok(Self(None)) };
        let key = value.to_str().ok().filter(|key| KEY_CHARS.contains(&key.len()));
        let key = key.ok_or_else(|| ApiError::invalid(HEADER, "A key has 16 to 128 plain characters."))?;
        Ok(Self(Some(key.to_owned())))
    }
}

impl Once {
    /// Whether the change is to be made: false when it was made already with this key. Keys are
    /// the tenant's: whoever signed in anew in between is another caller to the server, and the same person.
    pub async fn is_first(&self, tx: &mut Tx, cause: &Cause) -> ApiResult<bool> {
        let Some(key) = &self.0 else { return Ok(true) };
        let spent = sqlx::query(
            "INSERT INTO changes_made (tenant_id, key, at) VALUES ($1, $2, $3) \
             ON CONFLICT (tenant_id, key) DO NOTHING",
        )
        .bind(cause.tenant.to_string())
        .bind(key)
        .bind(now())
        .execute(tx.conn())
        .await?;
        Ok(spent.rows_affected() > 0)
    }
}

/// Forgets keys that nobody will send any more.
pub async fn prune(app: &App) -> ApiResult<()> {
    app.db
        .write(|tx| {
            Box::pin(async move {
                sqlx::query(
                    "DELETE FROM changes_made WHERE (tenant_id, key) IN \
                     (SELECT tenant_id, key FROM changes_made WHERE at < $1 ORDER BY at LIMIT $2)",
                )
                .bind(now() - KEPT_MS)
                .bind(CHUNK)
                .execute(tx.conn())
                .await?;
                Ok(())
            })
        })
        .await
}
