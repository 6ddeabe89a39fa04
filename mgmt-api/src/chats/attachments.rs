//! Pictures and text files that go with questions, as rows of bounded size.
//!
//! What a file is, is read off its bytes, never believed. It is given back as exactly that, and never as a page.

use axum::{
    body::Body,
    extract::{DefaultBodyLimit, FromRequest, Request, State},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use foreman_protocol::{Attachment, AttachmentId, ChatId, ProblemCode, ProblemReason, Role, UserId};
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use sqlx::{AnyConnection, Row, any::AnyRow};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::person;
use crate::{
    App,
    auth::{Caller, parse},
    db::{Db, Tx, now, placeholders},
    extract::{Json, Path, Query, too_large},
    problem::{ApiError, ApiResult},
};

const PICTURE_BYTES: usize = 10 * 1024 * 1024;
const TEXT_BYTES: usize = 1024 * 1024;
/// All files of one person.
const ALL_BYTES: i64 = 1024 * 1024 * 1024;
const NAME_CHARS: usize = 200;
/// One row's share of a file.
const CHUNK_BYTES: usize = 512 * 1024;
/// A file that no question took along is let go after a day.
const UNUSED_MS: i64 = 24 * 3_600_000;
const PRUNED_AT_ONCE: i64 = 20;

/// Its body may be larger than others'.
pub fn upload() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(add)).layer(DefaultBodyLimit::max(PICTURE_BYTES))
}

#[derive(Debug, Deserialize, IntoParams)]
struct NameQuery {
    /// What people call it: 1 to 200 characters.
    name: String,
}

/// Takes a picture (PNG, JPEG, WebP, GIF; up to 10 MB) or a text file (UTF-8; up to 1 MB) for a question.
#[utoipa::path(post, path = "/api/v1/attachments", tag = "chats", params(NameQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = Attachment)))]
async fn add(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<NameQuery>,
    request: Request,
) -> ApiResult<(StatusCode, Json<Attachment>)> {
    caller.at_least(Role::Operator)?;
    let owner = person(&app, &caller).await?;
    let name = query.name.trim().to_owned();
    if !(1..=NAME_CHARS).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(ApiError::invalid("name", "A file's name has 1 to 200 characters and no line breaks."));
    }
    let data = Bytes::from_request(request, &()).await.map_err(|_| too_large(PICTURE_BYTES))?;
    let media_type = kind_of(&data)?;
    let file = Attachment {
        id: AttachmentId::fresh(),
        name,
        media_type: media_type.to_owned(),
        size: data.len() as u64,
    };
    let tenant = caller.tenant;
    let kept = app
        .db
        .write(move |tx| {
            Box::pin(async move {
                let used = sqlx::query(
                    "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM attachments WHERE owner = $1",
                )
                .bind(owner.to_string())
                .fetch_one(tx.conn())
                .await?;
                let size = i64::try_from(data.len()).unwrap_or(i64::MAX);
                if used.try_get::<i64, _>(0)? + size > ALL_BYTES {
                    return Err(ApiError::new(
                        ProblemCode::LimitReached,
                        "Your files together reach 1 GB. Delete conversations with files to add more.",
                    )
                    .because(ProblemReason::AttachmentsFull));
                }
                sqlx::query(
                    "INSERT INTO attachments (id, tenant_id, owner, name, media_type, size, created_at) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7)",
                )
                .bind(file.id.to_string())
                .bind(tenant.to_string())
                .bind(owner.to_string())
                .bind(&file.name)
                .bind(&file.media_type)
                .bind(size)
                .bind(now())
                .execute(tx.conn())
                .await?;
                for (n, chunk) in data.chunks(CHUNK_BYTES).enumerate() {
                    sqlx::query("INSERT INTO attachment_chunks (attachment_id, n, data) VALUES ($1, $2, $3)")
                        .bind(file.id.to_string())
                        .bind(i64::try_from(n).unwrap_or(i64::MAX))
                        .bind(chunk)
                        .execute(tx.conn())
                        .await?;
                }
                Ok(file)
            })
        })
        .await?;
    Ok((StatusCode::CREATED, Json(kept)))
}

/// What these bytes are, of what may go to a model.
fn kind_of(data: &[u8]) -> ApiResult<&'static str> {
    let picture = match data {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    };
    if let Some(kind) = picture {
        return Ok(kind);
    }
    let text = std::str::from_utf8(data).is_ok_and(|text| !text.contains('\0'));
    if data.is_empty() || !text {
        return Err(ApiError::invalid(
            "body",
            "This is neither a picture (PNG, JPEG, WebP, GIF) nor a text file. Nothing was kept.",
        ));
    }
    if data.len() > TEXT_BYTES {
        return Err(too_large(TEXT_BYTES));
    }
    Ok("text/plain")
}

/// The file. Pictures are shown, text is downloaded.
#[utoipa::path(get, path = "/api/v1/attachments/{id}", tag = "chats", params(("id" = AttachmentId, Path)),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>)))]
pub async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<AttachmentId>,
) -> ApiResult<Response> {
    let owner = person(&app, &caller).await?;
    let row = sqlx::query("SELECT id, name, media_type, size FROM attachments WHERE id = $1 AND owner = $2")
        .bind(id.to_string())
        .bind(owner.to_string())
        .fetch_optional(app.db.read())
        .await?
        .ok_or_else(|| ApiError::not_found("file"))?;
    let file = read(&row)?;
    let picture = file.media_type.starts_with("image/");
    let mut response = Response::new(Body::from_stream(chunks(app.db.clone(), id)));
    let headers = response.headers_mut();
    let kind = if picture { file.media_type.as_str() } else { "text/plain; charset=utf-8" };
    let disposition = if picture { "inline" } else { "attachment" };
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_DISPOSITION, &*format!("{disposition}; filename*=UTF-8''{}", encoded(&file.name))),
        (header::CONTENT_LENGTH, &*file.size.to_string()),
        // It never changes, and nobody else may keep it.
        (header::CACHE_CONTROL, "private, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_str(value).map_err(ApiError::internal)?);
    }
    Ok(response)
}

/// A name as RFC 8187 writes it.
pub fn encoded(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn chunks(
    db: Db,
    id: AttachmentId,
) -> impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> + Send {
    stream::unfold(Some(0), move |n| {
        let db = db.clone();
        async move {
            let n: i64 = n?;
            let row = sqlx::query("SELECT data FROM attachment_chunks WHERE attachment_id = $1 AND n = $2")
                .bind(id.to_string())
                .bind(n)
                .fetch_optional(db.read())
                .await;
            match row.and_then(|row| row.map(|row| row.try_get::<Vec<u8>, _>(0)).transpose()) {
                Ok(data) => Some((Ok(Bytes::from(data?)), Some(n + 1))),
                Err(error) => Some((Err(std::io::Error::other(error)), None)),
            }
        }
    })
    // Some layers ask once more after the end.
    .fuse()
}

pub fn read(row: &AnyRow) -> ApiResult<Attachment> {
    Ok(Attachment {
        id: parse(&row.try_get::<String, _>("id")?)?,
        name: row.try_get("name")?,
        media_type: row.try_get("media_type")?,
        size: u64::try_from(row.try_get::<i64, _>("size")?).unwrap_or_default(),
    })
}

/// All bytes of a file.
pub async fn content(conn: &mut AnyConnection, id: AttachmentId) -> ApiResult<Vec<u8>> {
    let rows = sqlx::query("SELECT data FROM attachment_chunks WHERE attachment_id = $1 ORDER BY n")
        .bind(id.to_string())
        .fetch_all(conn)
        .await?;
    let mut data = Vec::new();
    for row in rows {
        data.extend(row.try_get::<Vec<u8>, _>(0)?);
    }
    Ok(data)
}

/// These files, in this order, when all are this person's.
pub async fn of_owner(tx: &mut Tx, owner: UserId, ids: &[AttachmentId]) -> ApiResult<Vec<Attachment>> {
    let mut files = Vec::with_capacity(ids.len());
    for id in ids {
        let row =
            sqlx::query("SELECT id, name, media_type, size FROM attachments WHERE id = $1 AND owner = $2")
                .bind(id.to_string())
                .bind(owner.to_string())
                .fetch_optional(tx.conn())
                .await?
                .ok_or_else(|| ApiError::not_found("file"))?;
        files.push(read(&row)?);
    }
    Ok(files)
}

/// Files that go with messages of a conversation.
pub async fn of_chat(tx: &mut Tx, chat: ChatId) -> ApiResult<Vec<String>> {
    let rows = sqlx::query(
        "SELECT DISTINCT l.attachment_id FROM chat_message_attachments l JOIN chat_messages m ON m.id = l.message_id \
         WHERE m.chat_id = $1",
    )
    .bind(chat.to_string())
    .fetch_all(tx.conn())
    .await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Deletes those of them that no message has any more.
pub async fn delete_unused(tx: &mut Tx, ids: &[String]) -> ApiResult<()> {
    for some in ids.chunks(100) {
        let sql = format!(
            "DELETE FROM attachments WHERE id IN ({}) AND NOT EXISTS \
             (SELECT 1 FROM chat_message_attachments l WHERE l.attachment_id = attachments.id)",
            placeholders(1, some.len())
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for id in some {
            query = query.bind(id);
        }
        query.execute(tx.conn()).await?;
    }
    Ok(())
}

/// Lets go of files that were never sent.
pub async fn prune(app: &App) -> ApiResult<()> {
    app.db
        .write(|tx| {
            Box::pin(async move {
                sqlx::query(
                    "DELETE FROM attachments WHERE id IN (SELECT a.id FROM attachments a WHERE a.created_at < $1 \
                     AND NOT EXISTS (SELECT 1 FROM chat_message_attachments l WHERE l.attachment_id = a.id) \
                     ORDER BY a.id LIMIT $2)",
                )
                .bind(now() - UNUSED_MS)
                .bind(PRUNED_AT_ONCE)
                .execute(tx.conn())
                .await?;
                Ok(())
            })
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_its_bytes_are() {
        assert_eq!(kind_of(b"\x89PNG\r\n\x1a\n....").unwrap(), "image/png");
        assert_eq!(kind_of(b"RIFF1234WEBPVP8 ").unwrap(), "image/webp");
        assert_eq!(kind_of(b"<svg onload=alert(1)>").unwrap(), "text/plain");
        assert!(
            kind_of(b"").is_err() && kind_of(b"%PDF-1.7\n\x00\xff").is_err() && kind_of(b"a\0b").is_err()
        );
        assert!(kind_of(&vec![b'a'; TEXT_BYTES + 1]).is_err());
    }

    #[test]
    fn no_name_gets_out_of_its_header() {
        assert_eq!(encoded("a\"b;\r\nü.txt"), "a%22b%3B%0D%0A%C3%BC.txt");
    }
}
