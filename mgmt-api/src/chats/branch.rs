//! One branch of a conversation: from a message up to the first question, or down to the newest that follows it.

use foreman_protocol::{ChatId, Message, MessageId, Page};
use sqlx::{AnyConnection, Row};

use super::tree;
use crate::{
    auth::parse,
    problem::{ApiError, ApiResult},
};

/// Up to `limit` messages from `from` upwards, without what [`tree::complete`] adds.
pub async fn upwards(
    conn: &mut AnyConnection,
    chat: ChatId,
    from: MessageId,
    limit: i64,
) -> ApiResult<Vec<Message>> {
    let sql = format!(
        "WITH RECURSIVE up (id, parent, n) AS (SELECT id, parent, CAST(1 AS BIGINT) FROM chat_messages \
         WHERE chat_id = $1 AND id = $2 UNION ALL SELECT b.id, b.parent, up.n + 1 FROM chat_messages b \
         JOIN up ON b.id = up.parent WHERE b.chat_id = $1 AND up.n < $3) \
         SELECT {} FROM up JOIN chat_messages m ON m.id = up.id ORDER BY up.n",
        tree::COLUMNS
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(chat.to_string())
        .bind(from.to_string())
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| tree::read(row).map(|(_, message)| message)).collect()
}

/// The same as a page; `next` is the message above the last.
pub async fn page(
    conn: &mut AnyConnection,
    chat: ChatId,
    from: MessageId,
    limit: i64,
) -> ApiResult<Page<Message>> {
    let mut messages = upwards(conn, chat, from, limit).await?;
    if messages.is_empty() {
        return Err(ApiError::not_found("message"));
    }
    messages.truncate(tree::fitting(messages.iter(), messages.len()));
    let next = messages.last().and_then(|last| last.parent).map(|parent| parent.to_string());
    Ok(Page { items: tree::complete(conn, chat, messages).await?, next })
}

/// The ids of a branch, the first question first.
pub async fn ids(conn: &mut AnyConnection, chat: ChatId, leaf: MessageId) -> ApiResult<Vec<MessageId>> {
    let rows = sqlx::query(
        "WITH RECURSIVE up (id, parent, n) AS (SELECT id, parent, CAST(1 AS BIGINT) FROM chat_messages \
         WHERE chat_id = $1 AND id = $2 UNION ALL SELECT b.id, b.parent, up.n + 1 FROM chat_messages b \
         JOIN up ON b.id = up.parent WHERE b.chat_id = $1) SELECT id FROM up ORDER BY n DESC",
    )
    .bind(chat.to_string())
    .bind(leaf.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| parse(&row.try_get::<String, _>(0)?)).collect()
}

/// The newest message of all that follow `top`, or `top`: nothing follows it, because what follows is newer.
pub async fn newest_below(conn: &mut AnyConnection, chat: ChatId, top: MessageId) -> ApiResult<MessageId> {
    let row = sqlx::query(
        "WITH RECURSIVE down (id, seq) AS (SELECT id, seq FROM chat_messages WHERE chat_id = $1 AND id = $2 \
         UNION ALL SELECT b.id, b.seq FROM chat_messages b JOIN down ON b.parent = down.id WHERE b.chat_id = $1) \
         SELECT id FROM down ORDER BY seq DESC LIMIT 1",
    )
    .bind(chat.to_string())
    .bind(top.to_string())
    .fetch_optional(conn)
    .await?
    .ok_or_else(|| ApiError::not_found("message"))?;
    parse(&row.try_get::<String, _>(0)?)
}
