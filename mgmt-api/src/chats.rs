//! Conversations with models. Messages are a tree of rows; answers are made here, in the server, and appended as they
//! arrive, so whoever asked may go away and come back. Only a conversation's owner sees it.
//!
//! Which model answers is the router's business.

pub mod answering;
mod asking;
mod attachments;
mod branch;
mod context;
mod ending;
mod export;
mod live;
mod store;
mod tree;

use axum::{extract::State, http::StatusCode};
use foreman_protocol::{
    AddChat, Chat, ChatId, Event, Message, MessageId, Page, ProblemCode, Role, UpdateChat, UserId,
};
use serde::Deserialize;
use sqlx::Row;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use attachments::prune;

use crate::{
    App,
    auth::{Caller, Identity, parse},
    bounds,
    db::now,
    extract::{Json, Path, Query},
    once::Once,
    problem::{ApiError, ApiResult},
};

/// What is asked for where nobody said anything.
const ANY_MODEL: &str = "auto";
const TITLE_CHARS: usize = 200;
/// `provider/model`: longer than any.
const MODEL_CHARS: usize = 300;
/// Words of a search that count.
const SEARCH_WORDS: usize = 8;
const SEARCH_CHARS: usize = 200;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(attachments::upload())
        .routes(routes!(list, create))
        .routes(routes!(get, update, remove))
        .routes(routes!(messages))
        .routes(routes!(asking::ask))
        .routes(routes!(asking::ask_again))
        .routes(routes!(asking::stop))
        .routes(routes!(live::stream))
        .routes(routes!(export::export))
        .routes(routes!(attachments::get))
}

/// Whose conversations these are: the person's who is signed in, here or through a program that they signed in.
async fn person(app: &App, caller: &Caller) -> ApiResult<UserId> {
    let token = match &caller.identity {
        Identity::User { id, .. } => return Ok(*id),
        Identity::Token { id, .. } => *id,
    };
    let row = sqlx::query("SELECT for_user FROM api_tokens WHERE id = $1")
        .bind(token.to_string())
        .fetch_optional(app.db.read())
        .await?;
    let user = row.map(|row| row.try_get::<Option<String>, _>(0)).transpose()?.flatten();
    let user = user.ok_or_else(|| {
        ApiError::new(
            ProblemCode::Forbidden,
            "Conversations belong to people, and this token is a program's. Programs ask models at /v1.",
        )
    })?;
    parse(&user)
}

#[derive(Debug, Deserialize, IntoParams)]
struct ChatQuery {
    /// Words that the title or the messages have, in any order; up to 200 characters.
    q: Option<String>,
    /// 1 to 200; 50 when absent.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// One's own conversations, the last used first.
#[utoipa::path(get, path = "/api/v1/chats", tag = "chats", params(ChatQuery), responses((status = 200, body = Page<Chat>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ChatQuery>,
) -> ApiResult<Json<Page<Chat>>> {
    let owner = person(&app, &caller).await?;
    let q = query.q.unwrap_or_default();
    if q.chars().count() > SEARCH_CHARS {
        return Err(ApiError::invalid("q", format!("A search has up to {SEARCH_CHARS} characters.")));
    }
    let words = q.split_whitespace().take(SEARCH_WORDS).map(folded).collect();
    let after = query.cursor.as_deref().map(store::Place::read).transpose()?;
    Ok(Json(store::page(&app.db, owner, words, after, query.limit.unwrap_or(50)).await?))
}

/// Text as a search compares it.
fn folded(text: &str) -> String {
    text.to_lowercase().replace('\0', "")
}

/// Starts a conversation.
#[utoipa::path(post, path = "/api/v1/chats", tag = "chats", request_body = AddChat, responses((status = 201, body = Chat)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<AddChat>,
) -> ApiResult<(StatusCode, Json<Chat>)> {
    caller.at_least(Role::Operator)?;
    let owner = person(&app, &caller).await?;
    let chat = Chat {
        id: ChatId::fresh(),
        title: request.title.as_deref().map(title).transpose()?.unwrap_or_default(),
        model: request.model.map(model).transpose()?.unwrap_or_else(|| ANY_MODEL.to_owned()),
        leaf: None,
        answering: false,
        created_at: now(),
        updated_at: now(),
    };
    let cause = caller.cause();
    let made = app
        .db
        .write(move |tx| {
            Box::pin(async move {
                store::insert(tx, cause.tenant, owner, &chat).await?;
                tx.emit(&cause, Event::ChatChanged { chat_id: chat.id, owner }).await?;
                Ok(chat)
            })
        })
        .await?;
    Ok((StatusCode::CREATED, Json(made)))
}

fn title(text: &str) -> ApiResult<String> {
    let text = text.trim();
    if !(1..=TITLE_CHARS).contains(&text.chars().count()) || text.chars().any(char::is_control) {
        return Err(ApiError::invalid("title", "A title has 1 to 200 characters and no line breaks."));
    }
    Ok(text.to_owned())
}

fn model(name: String) -> ApiResult<String> {
    bounds::text("model", &name, MODEL_CHARS * 4)?;
    if !(1..=MODEL_CHARS).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(ApiError::invalid(
            "model",
            "This names no model: `auto`, a profile or `provider/model`.",
        ));
    }
    Ok(name)
}

/// A conversation.
#[utoipa::path(get, path = "/api/v1/chats/{id}", tag = "chats", params(("id" = ChatId, Path)), responses((status = 200, body = Chat)))]
async fn get(State(app): State<App>, caller: Caller, Path(id): Path<ChatId>) -> ApiResult<Json<Chat>> {
    Ok(Json(store::find(app.db.read(), person(&app, &caller).await?, id).await?))
}

/// Renames it, chooses the model for what comes, or shows another branch: the newest that `leaf` belongs to. With an
/// `Idempotency-Key` once, however often it is asked for.
#[utoipa::path(patch, path = "/api/v1/chats/{id}", tag = "chats", params(("id" = ChatId, Path)),
    request_body = UpdateChat, responses((status = 200, body = Chat)))]
async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ChatId>,
    once: Once,
    Json(request): Json<UpdateChat>,
) -> ApiResult<Json<Chat>> {
    caller.at_least(Role::Operator)?;
    let owner = person(&app, &caller).await?;
    let new_title = request.title.as_deref().map(title).transpose()?;
    let new_model = request.model.map(model).transpose()?;
    let cause = caller.cause();
    let chat = app
        .db
        .write(move |tx| {
            Box::pin(async move {
                let mut chat = store::find(tx.conn(), owner, id).await?;
                if !once.is_first(tx, &cause).await? {
                    return Ok(chat);
                }
                if let Some(leaf) = request.leaf {
                    chat.leaf = Some(branch::newest_below(tx.conn(), id, leaf).await?);
                }
                chat.title = new_title.unwrap_or(chat.title);
                chat.model = new_model.unwrap_or(chat.model);
                store::save(tx, &chat).await?;
                tx.emit(&cause, Event::ChatChanged { chat_id: id, owner }).await?;
                Ok(chat)
            })
        })
        .await?;
    Ok(Json(chat))
}

/// Deletes it with all its messages and files. An answer on its way is stopped.
#[utoipa::path(delete, path = "/api/v1/chats/{id}", tag = "chats", params(("id" = ChatId, Path)), responses((status = 204)))]
async fn remove(State(app): State<App>, caller: Caller, Path(id): Path<ChatId>) -> ApiResult<StatusCode> {
    caller.at_least(Role::Operator)?;
    let owner = person(&app, &caller).await?;
    let cause = caller.cause();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                store::find(tx.conn(), owner, id).await?;
                ending::wake_all(tx, id).await?;
                let files = attachments::of_chat(tx, id).await?;
                store::delete(tx, id).await?;
                attachments::delete_unused(tx, &files).await?;
                tx.emit(&cause, Event::ChatDeleted { chat_id: id, owner }).await?;
                Ok(())
            })
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, IntoParams)]
struct MessagesQuery {
    /// The branch that ends here, from its end upwards; absent: the whole tree, oldest first.
    leaf: Option<MessageId>,
    /// 1 to 200; 50 when absent. A page ends earlier once it has a megabyte of text.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Messages of a conversation.
#[utoipa::path(get, path = "/api/v1/chats/{id}/messages", tag = "chats", params(("id" = ChatId, Path), MessagesQuery),
    responses((status = 200, body = Page<Message>)))]
async fn messages(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ChatId>,
    Query(query): Query<MessagesQuery>,
) -> ApiResult<Json<Page<Message>>> {
    let owner = person(&app, &caller).await?;
    let mut conn = app.db.read().acquire().await?;
    store::find(&mut *conn, owner, id).await?;
    let limit = i64::from(query.limit.unwrap_or(50).clamp(1, 200));
    let unreadable = |_| ApiError::invalid("cursor", "This is not a cursor of this list.");
    let page = match (query.leaf, query.cursor) {
        (None, cursor) => {
            let after = cursor.map(|cursor| cursor.parse().map_err(unreadable)).transpose()?;
            tree::page(&mut conn, id, after.unwrap_or(-1), limit).await?
        }
        (Some(_), Some(cursor)) => {
            let from = cursor
                .parse()
                .map_err(|_| ApiError::invalid("cursor", "This is not a cursor of this list."))?;
            branch::page(&mut conn, id, from, limit).await?
        }
        (Some(leaf), None) => branch::page(&mut conn, id, leaf, limit).await?,
    };
    Ok(Json(page))
}
