//! A conversation as a file: the branch that is shown as Markdown, or the whole tree as JSON. Sent as it is read.

use std::collections::VecDeque;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::Response,
};
use bytes::Bytes;
use foreman_protocol::{Chat, ChatId, ChatRole, Message, MessageId};
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{attachments::encoded, branch, person, store, tree};
use crate::{
    App,
    auth::Caller,
    db::Db,
    extract::{Path, Query},
    problem::{ApiError, ApiResult},
};

const STEP: i64 = 100;

#[derive(Debug, Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    Markdown,
    Json,
}

#[derive(Debug, Deserialize, IntoParams)]
pub struct ExportQuery {
    /// `markdown`: the branch that is shown. `json`: everything.
    #[param(inline)]
    format: ExportFormat,
}

/// The conversation as a file.
#[utoipa::path(get, path = "/api/v1/chats/{id}/export", tag = "chats", params(("id" = ChatId, Path), ExportQuery),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>)))]
pub async fn export(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ChatId>,
    Query(query): Query<ExportQuery>,
) -> ApiResult<Response> {
    let chat = store::find(app.db.read(), person(&app, &caller).await?, id).await?;
    let title = if chat.title.is_empty() { "chat" } else { &chat.title };
    let (kind, ending) = match query.format {
        ExportFormat::Markdown => ("text/markdown; charset=utf-8", "md"),
        ExportFormat::Json => ("application/json", "json"),
    };
    let name = format!("{}.{ending}", title.replace(['/', '\\'], "-"));
    let db = app.db.clone();
    let body = match query.format {
        ExportFormat::Markdown => Body::from_stream(markdown(db, chat).await?),
        ExportFormat::Json => Body::from_stream(json(db, chat)?),
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let disposition = format!("attachment; filename*=UTF-8''{}", encoded(&name));
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_DISPOSITION, &*disposition),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_str(value).map_err(ApiError::internal)?);
    }
    Ok(response)
}

type Pieces = std::pin::Pin<Box<dyn futures_util::Stream<Item = Result<Bytes, std::io::Error>> + Send>>;

async fn markdown(db: Db, chat: Chat) -> ApiResult<Pieces> {
    let ids = match chat.leaf {
        Some(leaf) => branch::ids(&mut *db.read().acquire().await?, chat.id, leaf).await?,
        None => Vec::new(),
    };
    let head = Bytes::from(format!("# {}\n", if chat.title.is_empty() { "Chat" } else { &chat.title }));
    let rest = stream::unfold(VecDeque::from(ids), move |mut ids| {
        let db = db.clone();
        async move {
            let id: MessageId = ids.pop_front()?;
            match one(&db, chat.id, id).await {
                Ok(message) => Some((Ok(Bytes::from(as_markdown(&message))), ids)),
                Err(error) => Some((Err(std::io::Error::other(error.to_string())), VecDeque::new())),
            }
        }
    });
    Ok(Box::pin(stream::once(async { Ok(head) }).chain(rest).fuse()))
}

async fn one(db: &Db, chat: ChatId, id: MessageId) -> ApiResult<Message> {
    let mut conn = db.read().acquire().await?;
    tree::find(&mut conn, chat, id).await?.ok_or_else(|| ApiError::not_found("message"))
}

fn as_markdown(message: &Message) -> String {
    let who = match (&message.role, &message.route) {
        (ChatRole::User, _) => "You".to_owned(),
        (ChatRole::Assistant, Some(route)) => match &route.device {
            Some(device) => format!("{} on {device}", route.model),
            None => format!("{}/{}", route.provider, route.model),
        },
        (ChatRole::Assistant, None) => message.model.clone().unwrap_or_default(),
    };
    let mut text = format!("\n## {who}\n\n{}\n", message.text.trim_end());
    for file in &message.attachments {
        text.push_str(&format!("\n- {}\n", file.name));
    }
    if let Some(problem) = &message.problem {
        text.push_str(&format!("\n> {}\n", problem.message));
    }
    text
}

fn json(db: Db, chat: Chat) -> ApiResult<Pieces> {
    let head = format!("{{\"chat\":{},\"messages\":[", serde_json::to_string(&chat)?);
    let rest = stream::unfold(Some(-1), move |after: Option<i64>| {
        let db = db.clone();
        async move {
            let after = after?;
            match some(&db, chat.id, after).await {
                Ok((text, next)) => Some((Ok(Bytes::from(text)), next)),
                Err(error) => Some((Err(std::io::Error::other(error.to_string())), None)),
            }
        }
    });
    Ok(Box::pin(stream::once(async { Ok(Bytes::from(head)) }).chain(rest).fuse()))
}

async fn some(db: &Db, chat: ChatId, after: i64) -> ApiResult<(String, Option<i64>)> {
    let mut conn = db.read().acquire().await?;
    let page = tree::page(&mut conn, chat, after, STEP).await?;
    let next = page.next.and_then(|next| next.parse().ok());
    let mut text = String::new();
    for (n, message) in page.items.iter().enumerate() {
        if n > 0 || after >= 0 {
            text.push(',');
        }
        text.push_str(&serde_json::to_string(message)?);
    }
    if next.is_none() {
        text.push_str("]}\n");
    }
    Ok((text, next))
}
