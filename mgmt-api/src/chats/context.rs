//! What a model is sent: the branch that ends in the question, as much of its end as fits into the model's context.

use base64::{Engine, engine::general_purpose::STANDARD};
use foreman_protocol::{Attachment, ChatId, ChatRole, Message, MessageId, TenantId};
use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::{attachments, branch, tree};
use crate::{
    App,
    problem::{ApiError, ApiResult},
};

/// Where nothing is known of a model. Tokens.
const UNKNOWN_CONTEXT: u32 = 32_768;
/// Kept free for the answer, or a quarter of the context where that is less. Tokens.
const ANSWER_ROOM: u32 = 8_192;
/// A picture, as vendors count them, roughly. Tokens.
const PICTURE_TOKENS: u64 = 1_600;
/// What a message costs besides its words. Tokens.
const MESSAGE_TOKENS: u64 = 8;
/// Pictures in one request; older ones are only named.
const PICTURE_BYTES: u64 = 20 * 1024 * 1024;
/// Messages read at a time, and at most.
const STEP: i64 = 50;
const MOST: usize = 2_000;

/// A request, without the model.
pub struct Context {
    pub body: Value,
    /// Messages of the branch that did not fit.
    pub left_out: u32,
}

/// What goes along with this question.
pub async fn build(
    app: &App,
    tenant: TenantId,
    chat: ChatId,
    question: MessageId,
    model: &str,
) -> ApiResult<Context> {
    let catalogue = app.providers.catalogue(app, tenant).await?;
    let room = room(app.router.context(&catalogue, model, UNKNOWN_CONTEXT).unwrap_or(UNKNOWN_CONTEXT));
    let mut conn = app.db.read().acquire().await?;
    let kept = newest_that_fit(&mut conn, chat, question, room).await?;
    let left_out = match kept.last().and_then(|oldest| oldest.parent) {
        Some(parent) => branch::ids(&mut conn, chat, parent).await?.len(),
        None => 0,
    };
    let mut pictures = PICTURE_BYTES;
    let mut messages = Vec::with_capacity(kept.len());
    for message in &kept {
        if message.role == ChatRole::User {
            messages.push(asked(&mut conn, message, &mut pictures).await?);
        } else if !message.text.is_empty() {
            messages.push(json!({ "role": "assistant", "content": message.text }));
        }
    }
    messages.reverse();
    Ok(Context {
        body: json!({ "messages": messages }),
        left_out: u32::try_from(left_out).unwrap_or(u32::MAX),
    })
}

/// Tokens of a context that a conversation may fill.
fn room(context: u32) -> u64 {
    u64::from(context - ANSWER_ROOM.min(context / 4))
}

/// The question and what comes before it, newest first. The oldest is a question, as vendors want it.
async fn newest_that_fit(
    conn: &mut AnyConnection,
    chat: ChatId,
    question: MessageId,
    room: u64,
) -> ApiResult<Vec<Message>> {
    let mut kept: Vec<Message> = Vec::new();
    let mut used = 0;
    let mut from = Some(question);
    while let Some(start) = from.filter(|_| kept.len() < MOST) {
        let step = branch::upwards(conn, chat, start, STEP).await?;
        from = step.last().and_then(|last| last.parent);
        let step = tree::complete(conn, chat, step).await?;
        let fits = fitting(step.iter().map(tokens), room, &mut used, kept.is_empty());
        let all = fits == step.len();
        kept.extend(step.into_iter().take(fits));
        if !all {
            break;
        }
    }
    if kept.is_empty() {
        return Err(ApiError::not_found("question"));
    }
    while kept.len() > 1 && kept.last().is_some_and(|oldest| oldest.role == ChatRole::Assistant) {
        kept.pop();
    }
    Ok(kept)
}

/// How many of these, from the first on, fit beside what is used. The question itself always goes.
fn fitting(sizes: impl Iterator<Item = u64>, room: u64, used: &mut u64, with_question: bool) -> usize {
    sizes
        .enumerate()
        .take_while(|(n, size)| {
            let fits = *used + size <= room || (*n == 0 && with_question);
            if fits {
                *used += size;
            }
            fits
        })
        .count()
}

/// Roughly: what vendors make of text differs by language and by vendor.
fn tokens(message: &Message) -> u64 {
    let files: u64 = message
        .attachments
        .iter()
        .map(|file| if is_picture(file) { PICTURE_TOKENS } else { of_text(file.size) })
        .sum();
    of_text(message.text.len() as u64) + files + MESSAGE_TOKENS
}

/// Two tokens for seven bytes.
const fn of_text(bytes: u64) -> u64 {
    (bytes * 2).div_ceil(7)
}

fn is_picture(file: &Attachment) -> bool {
    file.media_type.starts_with("image/")
}

/// A question in OpenAI's words. `pictures` is how many bytes of them may still go along.
async fn asked(conn: &mut AnyConnection, message: &Message, pictures: &mut u64) -> ApiResult<Value> {
    let mut text = message.text.clone();
    let mut parts = Vec::new();
    for file in &message.attachments {
        if is_picture(file) && file.size <= *pictures {
            *pictures -= file.size;
            let data = STANDARD.encode(attachments::content(conn, file.id).await?);
            let url = format!("data:{};base64,{data}", file.media_type);
            parts.push(json!({ "type": "image_url", "image_url": { "url": url } }));
        } else if is_picture(file) {
            text.push_str(&format!("\n\n[The picture {} was sent before and is not sent again.]", file.name));
        } else {
            let data = attachments::content(conn, file.id).await?;
            text.push_str(&fenced(&file.name, &String::from_utf8_lossy(&data)));
        }
    }
    if parts.is_empty() {
        return Ok(json!({ "role": "user", "content": text }));
    }
    if !text.is_empty() {
        parts.insert(0, json!({ "type": "text", "text": text }));
    }
    Ok(json!({ "role": "user", "content": parts }))
}

/// A file as part of a question, in a fence that its own lines cannot close.
fn fenced(name: &str, content: &str) -> String {
    let longest = content
        .lines()
        .map(|line| line.trim_start().bytes().take_while(|byte| *byte == b'`').count())
        .max()
        .unwrap_or(0);
    let fence = "`".repeat(3.max(longest + 1));
    let end = if content.ends_with('\n') { "" } else { "\n" };
    format!("\n\n{name}:\n{fence}\n{content}{end}{fence}\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_question_always_goes_and_the_rest_only_while_it_fits(
            sizes in proptest::collection::vec(0_u64..1_000, 1..60), room in 0_u64..10_000, cut in 0_usize..60,
        ) {
            let (mut used, mut kept) = (0, 0);
            // Read in two steps or in one, it is the same.
            let cut = cut.min(sizes.len());
            for step in [&sizes[..cut], &sizes[cut..]] {
                let fits = fitting(step.iter().copied(), room, &mut used, kept == 0);
                kept += fits;
                if fits < step.len() {
                    break;
                }
            }
            let mut whole = 0;
            prop_assert_eq!(kept, fitting(sizes.iter().copied(), room, &mut whole, true));
            prop_assert!(kept >= 1);
            prop_assert!(kept == 1 || used <= room, "{used} of {room}");
            let next = sizes.get(kept).copied().unwrap_or(u64::MAX / 2);
            prop_assert!(used + next > room, "one more would have fit");
        }

        #[test]
        fn no_file_closes_its_own_fence(content in "[`a\n ]{0,40}") {
            let text = fenced("a.md", &content);
            let fence: String = text.lines().nth(3).unwrap().to_owned();
            prop_assert!(content.lines().all(|line| !line.trim().starts_with(&fence)));
            prop_assert!(text.trim_end().ends_with(&fence));
        }
    }

    #[test]
    fn an_answer_has_its_room_in_every_context() {
        assert_eq!([room(4_096), room(131_072)], [3_072, 122_880]);
    }
}
