//! Messages as rows: reading them whole, with their files, versions and, while they arrive, their pieces.

use std::collections::HashMap;

use foreman_protocol::{Attachment, ChatId, ChatRole, Message, MessageId, MessageState, Page};
use sqlx::{AnyConnection, Row, any::AnyRow};

use super::folded;
use crate::{
    auth::parse,
    db::{Tx, placeholders},
    problem::{ApiError, ApiResult},
};

pub const COLUMNS: &str = "m.id, m.chat_id, m.parent, m.seq, m.role, m.body, m.state, m.model, m.thinking, m.left_out, m.route, \
     m.usage, m.problem, m.created_at";

/// A page ends once it has this much text.
const PAGE_BYTES: usize = 1024 * 1024;
/// How much of a message a search looks into.
const SEARCHED_BYTES: usize = 32 * 1024;

/// What belongs to a message and is not in its row.
pub fn read(row: &AnyRow) -> ApiResult<(i64, Message)> {
    let parent: String = row.try_get("parent")?;
    let role = read_role(&row.try_get::<String, _>("role")?)?;
    let json = |column: &str| row.try_get::<Option<String>, _>(column);
    let message = Message {
        id: parse(&row.try_get::<String, _>("id")?)?,
        chat_id: parse(&row.try_get::<String, _>("chat_id")?)?,
        parent: (!parent.is_empty()).then(|| parse(&parent)).transpose()?,
        role,
        text: row.try_get("body")?,
        attachments: Vec::new(),
        state: read_state(&row.try_get::<String, _>("state")?)?,
        route: json("route")?.map(|text| serde_json::from_str(&text)).transpose()?,
        usage: json("usage")?.map(|text| serde_json::from_str(&text)).transpose()?,
        problem: json("problem")?.map(|text| serde_json::from_str(&text)).transpose()?,
        model: (role == ChatRole::Assistant).then(|| row.try_get("model")).transpose()?,
        thinking: row.try_get::<i64, _>("thinking")? == 1,
        left_out: u32::try_from(row.try_get::<i64, _>("left_out")?).unwrap_or(u32::MAX),
        versions: Vec::new(),
        created_at: row.try_get("created_at")?,
    };
    Ok((row.try_get("seq")?, message))
}

const fn role_word(role: ChatRole) -> &'static str {
    match role {
        ChatRole::User => "user",
        ChatRole::Assistant => "assistant",
    }
}

fn read_role(text: &str) -> ApiResult<ChatRole> {
    match text {
        "user" => Ok(ChatRole::User),
        "assistant" => Ok(ChatRole::Assistant),
        other => Err(ApiError::internal(anyhow::anyhow!("unknown role {other:?} of a message"))),
    }
}

pub const fn state_word(state: MessageState) -> &'static str {
    match state {
        MessageState::Streaming => "streaming",
        MessageState::Done => "done",
        MessageState::Stopped => "stopped",
        MessageState::Failed => "failed",
    }
}

fn read_state(text: &str) -> ApiResult<MessageState> {
    [MessageState::Streaming, MessageState::Done, MessageState::Stopped, MessageState::Failed]
        .into_iter()
        .find(|state| state_word(*state) == text)
        .ok_or_else(|| ApiError::internal(anyhow::anyhow!("unknown state {text:?} of a message")))
}

/// What a search looks into.
pub fn searched(text: &str) -> String {
    folded(&text[..text.floor_char_boundary(SEARCHED_BYTES)])
}

pub async fn insert(tx: &mut Tx, seq: i64, message: &Message) -> ApiResult<()> {
    let sql = format!(
        "INSERT INTO chat_messages (id, chat_id, parent, seq, role, body, found_by, state, model, thinking, left_out, \
         created_at) VALUES ({}, 0, 0, $10)",
        placeholders(1, 9)
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(message.id.to_string())
        .bind(message.chat_id.to_string())
        .bind(message.parent.map(|parent| parent.to_string()).unwrap_or_default())
        .bind(seq)
        .bind(role_word(message.role))
        .bind(&message.text)
        .bind(searched(&message.text))
        .bind(state_word(message.state))
        .bind(message.model.as_deref().unwrap_or_default())
        .bind(message.created_at)
        .execute(tx.conn())
        .await?;
    for (n, attachment) in message.attachments.iter().enumerate() {
        sqlx::query(
            "INSERT INTO chat_message_attachments (message_id, n, attachment_id) VALUES ($1, $2, $3)",
        )
        .bind(message.id.to_string())
        .bind(i64::try_from(n).unwrap_or(i64::MAX))
        .bind(attachment.id.to_string())
        .execute(tx.conn())
        .await?;
    }
    Ok(())
}

/// One message of a conversation, whole.
pub async fn find(conn: &mut AnyConnection, chat: ChatId, id: MessageId) -> ApiResult<Option<Message>> {
    let sql = format!("SELECT {COLUMNS} FROM chat_messages m WHERE m.id = $1 AND m.chat_id = $2");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(id.to_string())
        .bind(chat.to_string())
        .fetch_optional(&mut *conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let message = read(&row)?.1;
    Ok(complete(conn, chat, vec![message]).await?.pop())
}

/// The whole tree in the order it grew, after the message of this number.
pub async fn page(
    conn: &mut AnyConnection,
    chat: ChatId,
    after: i64,
    limit: i64,
) -> ApiResult<Page<Message>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM chat_messages m WHERE m.chat_id = $1 AND m.seq > $2 ORDER BY m.seq LIMIT $3"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(chat.to_string())
        .bind(after)
        .bind(limit + 1)
        .fetch_all(&mut *conn)
        .await?;
    let mut read = rows.iter().map(read).collect::<ApiResult<Vec<_>>>()?;
    let fits = fitting(read.iter().map(|(_, message)| message), usize::try_from(limit).unwrap_or(1));
    let more = read.len() > fits;
    read.truncate(fits);
    let next = read.last().filter(|_| more).map(|(seq, _)| seq.to_string());
    let items = complete(conn, chat, read.into_iter().map(|(_, message)| message).collect()).await?;
    Ok(Page { items, next })
}

/// How many of these go into one page: at least one.
pub fn fitting<'m>(messages: impl Iterator<Item = &'m Message>, most: usize) -> usize {
    let mut bytes = 0;
    messages
        .take(most)
        .take_while(|message| {
            let first = bytes == 0;
            bytes += message.text.len() + 1;
            first || bytes <= PAGE_BYTES
        })
        .count()
}

/// Adds files, versions and the text of what still arrives.
pub async fn complete(
    conn: &mut AnyConnection,
    chat: ChatId,
    mut messages: Vec<Message>,
) -> ApiResult<Vec<Message>> {
    if messages.is_empty() {
        return Ok(messages);
    }
    let mut files = files_of(conn, &messages).await?;
    let versions = versions_of(conn, chat, &messages).await?;
    for message in &mut messages {
        message.attachments = files.remove(&message.id).unwrap_or_default();
        message.versions =
            versions.get(&message.parent).filter(|all| all.len() > 1).cloned().unwrap_or_default();
        if message.state == MessageState::Streaming {
            message.text = arrived(conn, message.id).await?;
        }
    }
    Ok(messages)
}

/// The pieces of an answer on its way.
pub async fn arrived(conn: &mut AnyConnection, id: MessageId) -> ApiResult<String> {
    let rows = sqlx::query("SELECT body FROM chat_pieces WHERE message_id = $1 ORDER BY start_offset")
        .bind(id.to_string())
        .fetch_all(conn)
        .await?;
    let mut text = String::new();
    for row in rows {
        text.push_str(&row.try_get::<String, _>(0)?);
    }
    Ok(text)
}

async fn files_of(
    conn: &mut AnyConnection,
    messages: &[Message],
) -> ApiResult<HashMap<MessageId, Vec<Attachment>>> {
    let sql = format!(
        "SELECT l.message_id, a.id, a.name, a.media_type, a.size FROM chat_message_attachments l \
         JOIN attachments a ON a.id = l.attachment_id WHERE l.message_id IN ({}) ORDER BY l.message_id, l.n",
        placeholders(1, messages.len())
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
    for message in messages {
        query = query.bind(message.id.to_string());
    }
    let mut files: HashMap<MessageId, Vec<Attachment>> = HashMap::new();
    for row in query.fetch_all(conn).await? {
        let message = parse(&row.try_get::<String, _>("message_id")?)?;
        files.entry(message).or_default().push(super::attachments::read(&row)?);
    }
    Ok(files)
}

async fn versions_of(
    conn: &mut AnyConnection,
    chat: ChatId,
    messages: &[Message],
) -> ApiResult<HashMap<Option<MessageId>, Vec<MessageId>>> {
    let sql = format!(
        "SELECT id, parent FROM chat_messages WHERE chat_id = $1 AND parent IN ({}) ORDER BY seq",
        placeholders(2, messages.len())
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(chat.to_string());
    for message in messages {
        query = query.bind(message.parent.map(|parent| parent.to_string()).unwrap_or_default());
    }
    let mut versions: HashMap<Option<MessageId>, Vec<MessageId>> = HashMap::new();
    for row in query.fetch_all(conn).await? {
        let parent: String = row.try_get("parent")?;
        let parent = (!parent.is_empty()).then(|| parse(&parent)).transpose()?;
        versions.entry(parent).or_default().push(parse(&row.try_get::<String, _>("id")?)?);
    }
    Ok(versions)
}
