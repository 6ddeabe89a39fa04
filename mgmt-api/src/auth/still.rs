//! Whoever came in may lose the right to be here while something of theirs stays open for hours: a terminal, a relay,
//! a stream. This tells when.

use std::time::Duration;

use sqlx::Row;

use super::{Caller, Identity, role};
use crate::{App, db::now, problem::ApiResult};

/// Sign-outs and revocations are told of; what is only noticed by looking, as a session's end, is looked for this often.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// What takes no longer is not looked after.
const SHORT: Duration = Duration::from_secs(1);

impl Caller {
    /// Returns when this caller would not be let in any more, or not as far.
    pub async fn ended(self, app: App) {
        let mut news = app.hub.sign_offs(self.tenant);
        loop {
            match self.counts(&app).await {
                Ok(true) => {}
                Ok(false) => return,
                // Not a word on anybody's rights.
                Err(error) => tracing::warn!(%error, "whether somebody may stay cannot be looked up"),
            }
            let _ = tokio::time::timeout(LOOK_EVERY, news.changed()).await;
        }
    }

    /// The same for what mostly is over before anybody could sign out: it is not looked at in its first second.
    pub async fn ended_later(self, app: App) {
        tokio::time::sleep(SHORT).await;
        self.ended(app).await;
    }

    async fn counts(&self, app: &App) -> ApiResult<bool> {
        let query = match &self.identity {
            Identity::User { session, .. } => sqlx::query(
                "SELECT u.role FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = $1 AND s.expires_at > $2",
            )
            .bind(session.to_string())
            .bind(now()),
            Identity::Token { id, .. } => {
                sqlx::query("SELECT role FROM api_tokens WHERE id = $1").bind(id.to_string())
            }
        };
        let row = query.fetch_optional(app.db.read()).await?;
        Ok(row
            .map(|row| role(&row.try_get::<String, _>(0)?))
            .transpose()?
            .is_some_and(|role| role >= self.role))
    }
}
