//! The router: one address for every model. It chooses a model by rules that people see and edit, asks the provider
//! with a key that no client ever sees, says which model answered and why, and counts what was used.
//!
//! It must not know how a provider is reached ([`crate::providers`]) nor what a conversation is.

use std::pin::Pin;

use foreman_protocol::{ApiTokenId, MessageUsage, ModelKeyId, Route, TenantId, UserId};
use futures_util::Stream;

use crate::{
    App,
    problem::{ApiError, ApiResult},
};

/// On whose account a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payer {
    User(UserId),
    Token(ApiTokenId),
    Key(ModelKeyId),
}

/// A request from within this process.
pub struct Question {
    pub tenant: TenantId,
    pub payer: Payer,
    /// `auto`, a profile, `provider/model` or a model's bare name.
    pub model: String,
    pub project: Option<String>,
    /// OpenAI's chat completions request, without `model` and `stream`.
    pub body: serde_json::Value,
}

/// What came of a question. Dropping `pieces` cancels upstream at once.
pub struct Reply {
    pub route: Route,
    pub pieces: Pin<Box<dyn Stream<Item = Result<Piece, ApiError>> + Send>>,
}

/// A piece of an answer on its way.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    Text(String),
    Reasoning(String),
    /// The last one. `finish` is OpenAI's word for why it ended: `stop`, `length`, `tool_calls`, `content_filter`.
    Done {
        usage: MessageUsage,
        finish: String,
    },
}

/// Asks a model. Returns when the first token is there; before that, other models may have been tried.
///
/// # Errors
/// `model_unavailable`, `upstream_failed`, `spend_cap_reached`, `vault_locked`, `rate_limited`; what arrived before a
/// broken answer is in the pieces before the error.
#[allow(dead_code, reason = "the chat asks")]
pub async fn ask(app: &App, question: Question) -> ApiResult<Reply> {
    let _ = (app, question);
    Err(ApiError::unavailable())
}
