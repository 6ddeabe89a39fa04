//! Conversations with models. Messages form a tree: an edited question or a second answer is a sibling, and a chat
//! shows the branch that ends in `leaf`.

use serde::{Deserialize, Serialize};

use crate::{AttachmentId, ChatId, MessageId, Millis, Problem, Route};

/// A conversation. Only its owner sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Chat {
    pub id: ChatId,
    /// From the first question until somebody renames it.
    pub title: String,
    /// What the next question asks for: `auto`, a profile or `provider/model`.
    pub model: String,
    /// The last message of the branch that is shown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub leaf: Option<MessageId>,
    /// An answer is on its way.
    pub answering: bool,
    pub created_at: Millis,
    pub updated_at: Millis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ChatRole {
    User,
    Assistant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// Text still arrives.
    Streaming,
    Done,
    /// Somebody stopped it; what arrived is kept.
    Stopped,
    /// It broke off or never began; what arrived is kept.
    Failed,
}

/// A picture or a file that goes with a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attachment {
    pub id: AttachmentId,
    pub name: String,
    pub media_type: String,
    pub size: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Message {
    pub id: MessageId,
    pub chat_id: ChatId,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parent: Option<MessageId>,
    pub role: ChatRole,
    /// Markdown.
    pub text: String,
    pub attachments: Vec<Attachment>,
    pub state: MessageState,
    /// For answers: which model, and why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub route: Option<Route>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub usage: Option<MessageUsage>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<Problem>,
    /// For answers: what was asked for, `auto`, a profile or `provider/model`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub model: Option<String>,
    /// The model thinks and has said nothing yet.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub thinking: bool,
    /// How many of the oldest messages did not fit into the model's context and were not sent.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub left_out: u32,
    /// Other versions: all messages with the same parent, this one included, oldest first. Empty for an only one.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub versions: Vec<MessageId>,
    pub created_at: Millis,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MessageUsage {
    pub input_tokens: i64,
    pub output_tokens: i64,
    pub cached_tokens: i64,
    /// Absent when the price is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cost_micros: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_token_ms: Option<i64>,
    pub latency_ms: i64,
}

/// Starts a conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AddChat {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub model: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UpdateChat {
    /// 1 to 200 characters.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub model: Option<String>,
    /// Shows another branch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub leaf: Option<MessageId>,
}

/// Asks: the question is kept before the answer begins. The same `id` twice is asked once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Made by the client, so that a send that was cut off can be repeated.
    pub id: MessageId,
    /// What it follows; absent: the first of the conversation. Another child than the last is a new branch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parent: Option<MessageId>,
    pub text: String,
    #[serde(default)]
    pub attachments: Vec<AttachmentId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub model: Option<String>,
}

/// Another answer to a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AskAgain {
    /// Of the answer.
    pub id: MessageId,
    /// The question.
    pub question: MessageId,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub model: Option<String>,
}

/// What a question was answered with at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Asked {
    pub question: Message,
    /// Empty and streaming; follow it at `…/messages/{id}/stream`.
    pub answer: Message,
}

/// A piece of an answer on its way. Its SSE id is `offset` plus its length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MessagePiece {
    /// Bytes of UTF-8 before it.
    pub offset: u64,
    pub text: String,
}
