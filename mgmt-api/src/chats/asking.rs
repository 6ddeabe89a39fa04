//! Asking, asking for another answer, and stopping one.

use axum::{extract::State, http::StatusCode};
use foreman_protocol::{
    Ask, AskAgain, Asked, Attachment, Chat, ChatId, ChatRole, Event, Message, MessageId, MessageState,
    ProblemCode, ProblemReason, Role, UserId,
};
use serde::Deserialize;
use sqlx::Row;

use super::{
    answering::{self, Work},
    attachments, ending, model, person, store, tree,
};
use crate::{
    App,
    auth::Caller,
    bounds,
    db::{Tx, now},
    events::Cause,
    extract::{Json, Path},
    problem::{ApiError, ApiResult},
};

/// A question. What is longer goes along as a file.
const TEXT_BYTES: usize = 128 * 1024;
const MOST_FILES: usize = 10;
/// Answers on their way to one person.
const AT_ONCE: i64 = 4;
/// Messages of one conversation, and versions of one message.
const MOST_MESSAGES: i64 = 20_000;
const MOST_VERSIONS: i64 = 100;
/// A title made from a question.
const TITLE_CHARS: usize = 80;

/// What begins, or what had begun already.
struct Begun {
    asked: Asked,
    work: Option<Work>,
}

/// Asks. The question is kept before anything is sent to a model; the same `id` again gives what came of it.
#[utoipa::path(post, path = "/api/v1/chats/{id}/ask", tag = "chats", params(("id" = ChatId, Path)),
    request_body = Ask, responses((status = 202, body = Asked)))]
pub async fn ask(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ChatId>,
    Json(ask): Json<Ask>,
) -> ApiResult<(StatusCode, Json<Asked>)> {
    caller.at_least(Role::Operator)?;
    let owner = person(&app, &caller).await?;
    bounds::text("text", &ask.text, TEXT_BYTES)?;
    if ask.text.trim().is_empty() && ask.attachments.is_empty() {
        return Err(ApiError::invalid("text", "There is nothing to ask: neither words nor a file."));
    }
    if ask.attachments.len() > MOST_FILES {
        return Err(ApiError::invalid(
            "attachments",
            format!("Up to {MOST_FILES} files go with a question."),
        ));
    }
    let wanted = ask.model.clone().map(model).transpose()?;
    let cause = caller.cause();
    let begun = app
        .db
        .write(move |tx| Box::pin(async move { begin(tx, owner, cause, id, ask, wanted).await }))
        .await?;
    Ok(answer_begins(&app, begun))
}

fn answer_begins(app: &App, begun: Begun) -> (StatusCode, Json<Asked>) {
    if let Some(work) = begun.work {
        answering::begin(app, work);
    }
    (StatusCode::ACCEPTED, Json(begun.asked))
}

async fn begin(
    tx: &mut Tx,
    owner: UserId,
    cause: Cause,
    id: ChatId,
    ask: Ask,
    wanted: Option<String>,
) -> ApiResult<Begun> {
    let mut chat = store::find(tx.conn(), owner, id).await?;
    if let Some(question) = tree::find(tx.conn(), id, ask.id).await? {
        let answer = first_answer(tx, &question).await?;
        return Ok(Begun { asked: Asked { question, answer }, work: None });
    }
    if let Some(parent) = ask.parent {
        let parent =
            tree::find(tx.conn(), id, parent).await?.ok_or_else(|| ApiError::not_found("message"))?;
        if parent.role != ChatRole::Assistant || parent.state == MessageState::Streaming {
            return Err(ApiError::conflict("A question follows an answer that has ended. Nothing was sent.")
                .because(ProblemReason::AnswerUnderWay));
        }
    }
    room_for_another(tx, owner).await?;
    let files = attachments::of_owner(tx, owner, &ask.attachments).await?;
    let question = new_message(id, ask.id, ask.parent, ChatRole::User, ask.text, files);
    insert(tx, &question).await?;
    if chat.title.is_empty() {
        chat.title = title_from(&question);
    }
    chat.model = wanted.unwrap_or(chat.model);
    let model = chat.model.clone();
    answer_to(tx, owner, cause, chat, question, MessageId::fresh(), model).await
}

/// Another answer to a question, from another model or the same. The same `id` again gives what came of it.
#[utoipa::path(post, path = "/api/v1/chats/{id}/ask-again", tag = "chats", params(("id" = ChatId, Path)),
    request_body = AskAgain, responses((status = 202, body = Asked)))]
pub async fn ask_again(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ChatId>,
    Json(again): Json<AskAgain>,
) -> ApiResult<(StatusCode, Json<Asked>)> {
    caller.at_least(Role::Operator)?;
    let owner = person(&app, &caller).await?;
    let wanted = again.model.clone().map(model).transpose()?;
    let cause = caller.cause();
    let begun = app
        .db
        .write(move |tx| {
            Box::pin(async move {
                let chat = store::find(tx.conn(), owner, id).await?;
                let question = tree::find(tx.conn(), id, again.question)
                    .await?
                    .filter(|message| message.role == ChatRole::User)
                    .ok_or_else(|| ApiError::not_found("question"))?;
                if let Some(answer) = tree::find(tx.conn(), id, again.id).await? {
                    return Ok(Begun { asked: Asked { question, answer }, work: None });
                }
                room_for_another(tx, owner).await?;
                let model = wanted.unwrap_or_else(|| chat.model.clone());
                answer_to(tx, owner, cause, chat, question, again.id, model).await
            })
        })
        .await?;
    Ok(answer_begins(&app, begun))
}

async fn answer_to(
    tx: &mut Tx,
    owner: UserId,
    cause: Cause,
    mut chat: Chat,
    question: Message,
    id: MessageId,
    model: String,
) -> ApiResult<Begun> {
    let mut answer =
        new_message(chat.id, id, Some(question.id), ChatRole::Assistant, String::new(), Vec::new());
    answer.state = MessageState::Streaming;
    answer.model = Some(model.clone());
    insert(tx, &answer).await?;
    ending::claim(tx, id).await?;
    chat.leaf = Some(id);
    chat.updated_at = now();
    store::save(tx, &chat).await?;
    tx.emit(&cause, Event::ChatChanged { chat_id: chat.id, owner }).await?;
    let whole = |found: Option<Message>| found.ok_or_else(|| ApiError::not_found("message"));
    let asked = Asked {
        question: whole(tree::find(tx.conn(), chat.id, question.id).await?)?,
        answer: whole(tree::find(tx.conn(), chat.id, id).await?)?,
    };
    let work = Work { tenant: cause.tenant, owner, chat: chat.id, question: question.id, answer: id, model };
    Ok(Begun { asked, work: Some(work) })
}

fn new_message(
    chat_id: ChatId,
    id: MessageId,
    parent: Option<MessageId>,
    role: ChatRole,
    text: String,
    attachments: Vec<Attachment>,
) -> Message {
    Message {
        id,
        chat_id,
        parent,
        role,
        text,
        attachments,
        state: MessageState::Done,
        route: None,
        usage: None,
        problem: None,
        model: None,
        thinking: false,
        left_out: 0,
        versions: Vec::new(),
        created_at: now(),
    }
}

async fn insert(tx: &mut Tx, message: &Message) -> ApiResult<()> {
    let taken = sqlx::query("SELECT 1 FROM chat_messages WHERE id = $1")
        .bind(message.id.to_string())
        .fetch_optional(tx.conn())
        .await?;
    if taken.is_some() {
        return Err(ApiError::conflict("Another message has this id. Nothing was sent."));
    }
    let versions = sqlx::query("SELECT COUNT(*) FROM chat_messages WHERE chat_id = $1 AND parent = $2")
        .bind(message.chat_id.to_string())
        .bind(message.parent.map(|parent| parent.to_string()).unwrap_or_default())
        .fetch_one(tx.conn())
        .await?;
    let seq = store::next_seq(tx, message.chat_id).await?;
    if seq >= MOST_MESSAGES || versions.try_get::<i64, _>(0)? >= MOST_VERSIONS {
        return Err(ApiError::new(
            ProblemCode::LimitReached,
            "This conversation has grown as far as it can. Start another; this one is kept.",
        )
        .because(ProblemReason::ChatFull));
    }
    tree::insert(tx, seq, message).await
}

async fn first_answer(tx: &mut Tx, question: &Message) -> ApiResult<Message> {
    let row =
        sqlx::query("SELECT id FROM chat_messages WHERE chat_id = $1 AND parent = $2 ORDER BY seq LIMIT 1")
            .bind(question.chat_id.to_string())
            .bind(question.id.to_string())
            .fetch_optional(tx.conn())
            .await?;
    let taken = || ApiError::conflict("Another message has this id. Nothing was sent.");
    let row = row.filter(|_| question.role == ChatRole::User).ok_or_else(taken)?;
    let id = crate::auth::parse(&row.try_get::<String, _>(0)?)?;
    tree::find(tx.conn(), question.chat_id, id).await?.ok_or_else(taken)
}

async fn room_for_another(tx: &mut Tx, owner: UserId) -> ApiResult<()> {
    let row = sqlx::query(
        "SELECT COUNT(*) FROM chat_messages m JOIN chats c ON c.id = m.chat_id \
         WHERE m.state = 'streaming' AND c.owner = $1",
    )
    .bind(owner.to_string())
    .fetch_one(tx.conn())
    .await?;
    if row.try_get::<i64, _>(0)? < AT_ONCE {
        return Ok(());
    }
    Err(ApiError::new(
        ProblemCode::RateLimited,
        format!(
            "{AT_ONCE} answers are on their way to you. Nothing was sent; ask when one of them has ended."
        ),
    )
    .with(serde_json::json!({ "retry_after_s": 5 })))
}

/// The first line of a question with words in it, or what its file is called.
fn title_from(question: &Message) -> String {
    let line = question
        .text
        .lines()
        .map(|line| line.trim_start_matches(['#', '>', '-', '*', '`', ' ', '\t']).trim())
        .find(|line| !line.is_empty())
        .or_else(|| question.attachments.first().map(|file| file.name.as_str()))
        .unwrap_or_default();
    let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= TITLE_CHARS {
        return line;
    }
    let cut: String = line.chars().take(TITLE_CHARS - 1).collect();
    let words = cut.rsplit_once(' ').map_or(cut.as_str(), |(words, _)| words);
    format!("{}…", if words.chars().count() > TITLE_CHARS / 2 { words } else { &cut }.trim_end())
}

#[derive(Debug, Deserialize)]
pub struct MessagePath {
    pub id: ChatId,
    pub mid: MessageId,
}

/// Stops an answer, also at the model; what arrived is kept. One that has ended stays as it is.
#[utoipa::path(post, path = "/api/v1/chats/{id}/messages/{mid}/stop", tag = "chats",
    params(("id" = ChatId, Path), ("mid" = MessageId, Path)), responses((status = 200, body = Message)))]
pub async fn stop(
    State(app): State<App>,
    caller: Caller,
    Path(path): Path<MessagePath>,
) -> ApiResult<Json<Message>> {
    caller.at_least(Role::Operator)?;
    let owner = person(&app, &caller).await?;
    let cause = caller.cause();
    let message = app
        .db
        .write(move |tx| {
            Box::pin(async move {
                store::find(tx.conn(), owner, path.id).await?;
                let end = ending::End::stopped();
                ending::end(tx, &cause, owner, path.id, path.mid, end).await?;
                tree::find(tx.conn(), path.id, path.mid).await?.ok_or_else(|| ApiError::not_found("message"))
            })
        })
        .await?;
    Ok(Json(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titled(text: &str) -> String {
        let (chat, id) = (ChatId::fresh(), MessageId::fresh());
        title_from(&new_message(chat, id, None, ChatRole::User, text.to_owned(), Vec::new()))
    }

    #[test]
    fn a_title_is_the_first_words_of_the_question() {
        assert_eq!(titled("\n\n## Why is the sky blue?\nReally."), "Why is the sky blue?");
        assert_eq!(titled("   "), "");
        let long = titled(&"word ".repeat(50));
        assert!(long.ends_with("word…") && long.chars().count() <= TITLE_CHARS, "{long}");
        assert_eq!(titled(&"ä".repeat(200)).chars().count(), TITLE_CHARS);
    }
}
