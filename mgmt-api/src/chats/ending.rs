//! How an answer ends: once, whoever ends it. What arrived moves from its pieces into the message.

use foreman_protocol::{
    ChatId, Event, MessageId, MessageState, MessageUsage, Problem, ProblemCode, TenantId, UserId,
};
use sqlx::Row;

use super::tree;
use crate::{
    App,
    auth::parse,
    db::{Db, Engine, Tx, now},
    events::{Cause, Effect},
    problem::{ApiError, ApiResult},
};

/// A server process says this often that it is still at an answer …
pub const ALIVE_EVERY: std::time::Duration = std::time::Duration::from_secs(5);
/// … and after this much silence it is not.
const DEAD_MS: i64 = 30_000;
/// Answers ended in one write.
const CHUNK: i64 = 100;

/// How it ended.
pub struct End {
    state: MessageState,
    usage: Option<MessageUsage>,
    problem: Option<Problem>,
    /// What had arrived and is in no piece yet.
    rest: String,
}

impl End {
    pub fn done(rest: String, usage: MessageUsage) -> Self {
        Self { state: MessageState::Done, usage: Some(usage), problem: None, rest }
    }

    pub const fn stopped() -> Self {
        Self { state: MessageState::Stopped, usage: None, problem: None, rest: String::new() }
    }

    pub fn failed(rest: String, error: ApiError) -> Self {
        if let Some(cause) = &error.internal {
            tracing::error!(code = ?error.code, cause = format!("{cause:#}"), "an answer failed");
        }
        let problem = Problem::new(error.code, error.message, error.details);
        Self { state: MessageState::Failed, usage: None, problem: Some(problem), rest }
    }

    /// The server stopped in the middle of it.
    pub fn interrupted(rest: String) -> Self {
        Self::failed(
            rest,
            ApiError::new(
                ProblemCode::Unavailable,
                "The server stopped while this answer was on its way. What had arrived is kept; ask again for another.",
            ),
        )
    }
}

/// Ends an answer, unless it has ended. `false` when it had, or is not there any more.
pub async fn end(
    tx: &mut Tx,
    cause: &Cause,
    owner: UserId,
    chat: ChatId,
    id: MessageId,
    end: End,
) -> ApiResult<bool> {
    let open =
        sqlx::query("SELECT 1 FROM chat_messages WHERE id = $1 AND chat_id = $2 AND state = 'streaming'")
            .bind(id.to_string())
            .bind(chat.to_string())
            .fetch_optional(tx.conn())
            .await?;
    if open.is_none() {
        return Ok(false);
    }
    let mut text = tree::arrived(tx.conn(), id).await?;
    text.push_str(&end.rest);
    sqlx::query(
        "UPDATE chat_messages SET state = $1, body = $2, found_by = $3, usage = $4, problem = $5, thinking = 0, \
         alive_at = NULL WHERE id = $6",
    )
    .bind(tree::state_word(end.state))
    .bind(&text)
    .bind(tree::searched(&text))
    .bind(end.usage.map(|usage| serde_json::to_string(&usage)).transpose()?)
    .bind(end.problem.map(|problem| serde_json::to_string(&problem)).transpose()?)
    .bind(id.to_string())
    .execute(tx.conn())
    .await?;
    sqlx::query("DELETE FROM chat_pieces WHERE message_id = $1")
        .bind(id.to_string())
        .execute(tx.conn())
        .await?;
    sqlx::query("UPDATE chats SET updated_at = $1 WHERE id = $2")
        .bind(now())
        .bind(chat.to_string())
        .execute(tx.conn())
        .await?;
    tx.emit(cause, Event::ChatChanged { chat_id: chat, owner }).await?;
    tx.after_commit(Effect::Answer(id));
    Ok(true)
}

/// This server brings the answer from now on.
pub async fn claim(tx: &mut Tx, id: MessageId) -> ApiResult<()> {
    sqlx::query("UPDATE chat_messages SET alive_at = $1 WHERE id = $2")
        .bind(now())
        .bind(id.to_string())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Whoever brings or reads an answer of this conversation looks at it again: it is about to be deleted.
pub async fn wake_all(tx: &mut Tx, chat: ChatId) -> ApiResult<()> {
    let rows = sqlx::query("SELECT id FROM chat_messages WHERE chat_id = $1 AND state = 'streaming'")
        .bind(chat.to_string())
        .fetch_all(tx.conn())
        .await?;
    for row in rows {
        tx.after_commit(Effect::Answer(parse(&row.try_get::<String, _>(0)?)?));
    }
    Ok(())
}

/// Ends answers whose server died over them. With SQLite there is one server, so at its start that is all of them.
pub async fn end_orphans(db: &Db, starting: bool) -> ApiResult<()> {
    let dead = if starting && db.engine == Engine::Sqlite { i64::MAX } else { now() - DEAD_MS };
    let rows = sqlx::query(
        "SELECT m.id, m.chat_id, c.owner, c.tenant_id FROM chat_messages m JOIN chats c ON c.id = m.chat_id \
         WHERE m.state = 'streaming' AND m.alive_at < $1 ORDER BY m.id LIMIT $2",
    )
    .bind(dead)
    .bind(CHUNK)
    .fetch_all(db.read())
    .await?;
    for row in rows {
        let id: MessageId = parse(&row.try_get::<String, _>(0)?)?;
        let chat: ChatId = parse(&row.try_get::<String, _>(1)?)?;
        let owner: UserId = parse(&row.try_get::<String, _>(2)?)?;
        let tenant: TenantId = parse(&row.try_get::<String, _>(3)?)?;
        let ended = db
            .write(move |tx| {
                Box::pin(async move {
                    // Looked at again: its server may only have been slow.
                    let row = sqlx::query("SELECT 1 FROM chat_messages WHERE id = $1 AND alive_at < $2")
                        .bind(id.to_string())
                        .bind(dead)
                        .fetch_optional(tx.conn())
                        .await?;
                    if row.is_none() {
                        return Ok(false);
                    }
                    end(tx, &Cause::system(tenant), owner, chat, id, End::interrupted(String::new())).await
                })
            })
            .await?;
        if ended {
            tracing::info!(message.id = %id, "an answer was cut off by a server that stopped; what arrived is kept");
        }
    }
    Ok(())
}

/// Looks for such answers until the server stops.
pub async fn watch(app: App) {
    let mut starting = true;
    let mut every = tokio::time::interval(ALIVE_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.closing.cancelled() => return,
            _ = every.tick() => {}
        }
        match end_orphans(&app.db, starting).await {
            Ok(()) => starting = false,
            Err(error) => tracing::warn!(%error, "answers that were cut off could not be looked for"),
        }
    }
}
