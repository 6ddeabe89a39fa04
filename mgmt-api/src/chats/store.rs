//! Conversations as rows.

use std::time::Duration;

use foreman_protocol::{Chat, ChatId, MAX_PAGE, MessageId, Page, ProblemReason, TenantId, UserId};
use sqlx::{Any, Executor, Row, any::AnyRow};

use super::folded;
use crate::{
    auth::parse,
    db::{Db, Tx},
    problem::{ApiError, ApiResult},
    query::escape_like,
};

/// More than anybody has; bounds what a search looks through.
const MOST_CHATS: i64 = 10_000;
/// A search that takes longer is given up.
const SEARCH_TIME: Duration = Duration::from_secs(10);

const COLUMNS: &str = "c.id, c.title, c.model, c.leaf, c.created_at, c.updated_at, (SELECT COUNT(*) FROM \
     chat_messages m WHERE m.chat_id = c.id AND m.state = 'streaming') AS answering";

/// Where a page of the list begins: after the conversation that was used then.
pub struct Place {
    used: i64,
    id: String,
}

impl Place {
    pub fn read(cursor: &str) -> ApiResult<Self> {
        let unreadable = || ApiError::invalid("cursor", "This is not a cursor of this list.");
        let (used, id) = cursor.split_once('.').ok_or_else(unreadable)?;
        let used = used.parse().map_err(|_| unreadable())?;
        let id: ChatId = id.parse().map_err(|_| unreadable())?;
        Ok(Self { used, id: id.to_string() })
    }
}

pub async fn find<'c>(from: impl Executor<'c, Database = Any>, owner: UserId, id: ChatId) -> ApiResult<Chat> {
    let sql = format!("SELECT {COLUMNS} FROM chats c WHERE c.id = $1 AND c.owner = $2");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(id.to_string())
        .bind(owner.to_string())
        .fetch_optional(from)
        .await?
        .ok_or_else(|| ApiError::not_found("conversation"))?;
    read(&row)
}

fn read(row: &AnyRow) -> ApiResult<Chat> {
    let leaf: String = row.try_get("leaf")?;
    Ok(Chat {
        id: parse(&row.try_get::<String, _>("id")?)?,
        title: row.try_get("title")?,
        model: row.try_get("model")?,
        leaf: (!leaf.is_empty()).then(|| parse(&leaf)).transpose()?,
        answering: row.try_get::<i64, _>("answering")? > 0,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}

/// Those that have every word, in the title or in a message.
pub async fn page(
    db: &Db,
    owner: UserId,
    words: Vec<String>,
    after: Option<Place>,
    limit: u32,
) -> ApiResult<Page<Chat>> {
    let limit = limit.clamp(1, MAX_PAGE) as usize;
    let mut sql = format!(
        "SELECT {COLUMNS} FROM chats c WHERE c.owner = $1 AND (c.updated_at < $2 OR (c.updated_at = $2 AND c.id < $3))"
    );
    for n in 4..4 + words.len() {
        sql.push_str(&format!(
            " AND (c.found_by LIKE ${n} ESCAPE '\\' OR EXISTS (SELECT 1 FROM chat_messages f WHERE f.chat_id = c.id \
             AND f.found_by LIKE ${n} ESCAPE '\\'))"
        ));
    }
    sql.push_str(&format!(" ORDER BY c.updated_at DESC, c.id DESC LIMIT {}", limit + 1));
    let place = after.unwrap_or(Place { used: i64::MAX, id: String::new() });
    let mut query =
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(owner.to_string()).bind(place.used).bind(place.id);
    for word in words {
        query = query.bind(format!("%{}%", escape_like(&word)));
    }
    let rows = tokio::time::timeout(SEARCH_TIME, query.fetch_all(db.read())).await.map_err(|_| {
        ApiError::new(
            foreman_protocol::ProblemCode::Unavailable,
            "The search took too long and was given up. Try a longer word.",
        )
    })??;
    let mut items = rows.iter().map(read).collect::<ApiResult<Vec<_>>>()?;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|last| format!("{}.{}", last.updated_at, last.id));
    Ok(Page { items, next })
}

pub async fn insert(tx: &mut Tx, tenant: TenantId, owner: UserId, chat: &Chat) -> ApiResult<()> {
    let count = sqlx::query("SELECT COUNT(*) FROM chats WHERE owner = $1")
        .bind(owner.to_string())
        .fetch_one(tx.conn())
        .await?;
    if count.try_get::<i64, _>(0)? >= MOST_CHATS {
        return Err(ApiError::new(
            foreman_protocol::ProblemCode::LimitReached,
            format!("You have {MOST_CHATS} conversations. Delete some to start another."),
        )
        .because(ProblemReason::ChatsFull));
    }
    sqlx::query(
        "INSERT INTO chats (id, tenant_id, owner, title, found_by, model, leaf, next_seq, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, '', 0, $7, $8)",
    )
    .bind(chat.id.to_string())
    .bind(tenant.to_string())
    .bind(owner.to_string())
    .bind(&chat.title)
    .bind(folded(&chat.title))
    .bind(&chat.model)
    .bind(chat.created_at)
    .bind(chat.updated_at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Writes what may change.
pub async fn save(tx: &mut Tx, chat: &Chat) -> ApiResult<()> {
    sqlx::query(
        "UPDATE chats SET title = $1, found_by = $2, model = $3, leaf = $4, updated_at = $5 WHERE id = $6",
    )
    .bind(&chat.title)
    .bind(folded(&chat.title))
    .bind(&chat.model)
    .bind(chat.leaf.map(|leaf: MessageId| leaf.to_string()).unwrap_or_default())
    .bind(chat.updated_at)
    .bind(chat.id.to_string())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The number for a new message.
pub async fn next_seq(tx: &mut Tx, id: ChatId) -> ApiResult<i64> {
    let row = sqlx::query("UPDATE chats SET next_seq = next_seq + 1 WHERE id = $1 RETURNING next_seq")
        .bind(id.to_string())
        .fetch_one(tx.conn())
        .await?;
    Ok(row.try_get::<i64, _>(0)? - 1)
}

pub async fn delete(tx: &mut Tx, id: ChatId) -> ApiResult<()> {
    sqlx::query("DELETE FROM chats WHERE id = $1").bind(id.to_string()).execute(tx.conn()).await?;
    Ok(())
}
