//! An answer on its way, as server-sent events: its text from any byte on, the route once it is known, and the end.

use axum::{extract::State, http::HeaderMap, response::Response};
use foreman_protocol::{ChatId, MessageId, MessagePiece, MessageState};
use sqlx::Row;

use super::{asking::MessagePath, person, store, tree};
use crate::{
    App,
    auth::Caller,
    db::Db,
    events::{
        hub,
        live::{self, Growing, Look},
    },
    extract::Path,
    problem::{ApiError, ApiResult},
};

/// Pieces read at a time.
const STEP: i64 = 256;

/// An answer as it arrives.
///
/// Sends `route` ([`foreman_protocol::Route`]) when a model is chosen, `thinking` while it has not said anything yet,
/// `piece` ([`MessagePiece`]) with the offset after it as id, `ping`, and `end` with the whole message.
#[utoipa::path(get, path = "/api/v1/chats/{id}/messages/{mid}/stream", tag = "chats",
    params(("id" = ChatId, Path), ("mid" = MessageId, Path)),
    responses((status = 200, content_type = "text/event-stream", body = MessagePiece)))]
pub async fn stream(
    State(app): State<App>,
    caller: Caller,
    Path(path): Path<MessagePath>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let owner = person(&app, &caller).await?;
    // Subscribe first, then read.
    let news = app.hub.answer(path.mid);
    store::find(app.db.read(), owner, path.id).await?;
    let mut conn = app.db.read().acquire().await?;
    let found = tree::find(&mut conn, path.id, path.mid).await?;
    found.ok_or_else(|| ApiError::not_found("message"))?;
    drop(conn);
    let resume = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    let reader = Reader {
        db: app.db.clone(),
        chat: path.id,
        id: path.mid,
        offset: resume.unwrap_or_default(),
        route: false,
        thinking: false,
    };
    Ok(live::follow(app, caller, news, reader))
}

struct Reader {
    db: Db,
    chat: ChatId,
    id: MessageId,
    /// Bytes that were sent.
    offset: u64,
    /// The route was sent.
    route: bool,
    thinking: bool,
}

impl Growing for Reader {
    async fn look(&mut self) -> ApiResult<Look> {
        let row = sqlx::query(
            "SELECT state, route, thinking, body FROM chat_messages WHERE id = $1 AND chat_id = $2",
        )
        .bind(self.id.to_string())
        .bind(self.chat.to_string())
        .fetch_optional(self.db.read())
        .await?;
        let Some(row) = row else { return Ok(Look::End(None)) };
        if !self.route
            && let Some(route) = row.try_get::<Option<String>, _>("route")?
        {
            self.route = true;
            return Ok(Look::Frame(hub::frame("route", None, &route)));
        }
        let streaming = row.try_get::<String, _>("state")? == tree::state_word(MessageState::Streaming);
        let text = match streaming {
            true => self.pieces().await?,
            false => from_byte(&row.try_get::<String, _>("body")?, &mut self.offset),
        };
        if !text.is_empty() {
            let piece = MessagePiece { offset: self.offset, text };
            self.offset += piece.text.len() as u64;
            let id = i64::try_from(self.offset).ok();
            return Ok(Look::Frame(hub::frame("piece", id, &serde_json::to_string(&piece)?)));
        }
        if !streaming {
            let mut conn = self.db.read().acquire().await?;
            let whole = tree::find(&mut conn, self.chat, self.id).await?;
            let whole = whole.map(|message| serde_json::to_string(&message)).transpose()?;
            return Ok(Look::End(whole.map(|message| hub::frame("end", None, &message))));
        }
        if row.try_get::<i64, _>("thinking")? == 1 && !self.thinking {
            self.thinking = true;
            return Ok(Look::Frame(hub::frame("thinking", None, "{}")));
        }
        Ok(Look::Nothing)
    }
}

impl Reader {
    /// What has arrived after what was sent.
    async fn pieces(&mut self) -> ApiResult<String> {
        let rows = sqlx::query(
            "SELECT start_offset, body FROM chat_pieces WHERE message_id = $1 AND start_offset + size > $2 \
             ORDER BY start_offset LIMIT $3",
        )
        .bind(self.id.to_string())
        .bind(i64::try_from(self.offset).unwrap_or(i64::MAX))
        .bind(STEP)
        .fetch_all(self.db.read())
        .await?;
        let mut text = String::new();
        for row in rows {
            let start = u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default();
            let piece: String = row.try_get(1)?;
            if !text.is_empty() || start >= self.offset {
                text.push_str(&piece);
                continue;
            }
            let mut within = self.offset - start;
            text.push_str(&from_byte(&piece, &mut within));
            self.offset = start + within;
        }
        Ok(text)
    }
}

/// The text from a byte on; the byte moves back to where a character begins.
fn from_byte(text: &str, byte: &mut u64) -> String {
    let at = text.floor_char_boundary(usize::try_from(*byte).unwrap_or(usize::MAX));
    *byte = at as u64;
    text[at..].to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_byte_a_reader_names_it_gets_the_rest_of_the_text(text in "\\PC{0,40}", byte in 0_u64..200) {
            let mut at = byte;
            let rest = from_byte(&text, &mut at);
            prop_assert!(at <= byte && text.ends_with(&rest));
            prop_assert_eq!(at as usize + rest.len(), text.len());
        }
    }
}
