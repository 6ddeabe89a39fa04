//! Vendors that are asked in OpenAI's format, in what each documents otherwise: where, what shows the key, how models are
//! listed, what a refused key looks like, and what its streams have in them.
//!
//! Sources: <https://ai.google.dev/api/models>, <https://ai.google.dev/gemini-api/docs/openai>,
//! <https://docs.mistral.ai/api>, <https://console.groq.com/docs/api-reference>,
//! <https://inference-docs.cerebras.ai/api-reference>, <https://openrouter.ai/docs/api/reference/overview>.

use axum::{
    http::{HeaderMap, Method, StatusCode, Uri},
    response::Response,
};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{json as answer, openai};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    Google,
    Mistral,
    Groq,
    Cerebras,
    Openrouter,
}

impl Vendor {
    pub const ALL: [Self; 5] = [Self::Google, Self::Mistral, Self::Groq, Self::Cerebras, Self::Openrouter];

    /// Where its API really is.
    #[must_use]
    pub const fn host(self) -> &'static str {
        match self {
            Self::Google => "generativelanguage.googleapis.com",
            Self::Mistral => "api.mistral.ai",
            Self::Groq => "api.groq.com",
            Self::Cerebras => "api.cerebras.ai",
            Self::Openrouter => "openrouter.ai",
        }
    }

    const fn list_at(self) -> &'static str {
        match self {
            Self::Google => "/v1beta/models",
            Self::Mistral | Self::Cerebras => "/v1/models",
            Self::Groq => "/openai/v1/models",
            Self::Openrouter => "/api/v1/models",
        }
    }

    const fn chat_at(self) -> &'static str {
        match self {
            Self::Google => "/v1beta/openai/chat/completions",
            Self::Mistral | Self::Cerebras => "/v1/chat/completions",
            Self::Groq => "/openai/v1/chat/completions",
            Self::Openrouter => "/api/v1/chat/completions",
        }
    }

    /// What it says to anything but a question to a model; `None` for one that it answers.
    pub(super) fn before(
        self,
        asked: (&Method, &Uri, &HeaderMap, &Value),
        listed: &[String],
        key: Option<&str>,
        left: Option<f64>,
    ) -> Option<Response> {
        let (method, uri, headers, body) = asked;
        let path = uri.path();
        let lists = *method == Method::GET && path == self.list_at();
        let tells = *method == Method::GET && self == Self::Openrouter && path == "/api/v1/key";
        let chats = *method == Method::POST && path == self.chat_at();
        if !(lists || tells || chats) {
            return Some(answer(
                StatusCode::NOT_FOUND,
                &json!({ "error": { "message": "no such address" } }),
            ));
        }
        let header = match self {
            Self::Google if lists => "x-goog-api-key",
            _ => "authorization",
        };
        let shown = headers.get(header).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let shown = if header == "authorization" { shown.strip_prefix("Bearer ") } else { Some(shown) };
        let open = lists && self == Self::Openrouter;
        if !open && shown != key {
            return Some(self.refused(chats));
        }
        if lists {
            return Some(answer(StatusCode::OK, &self.list(listed, uri.query().unwrap_or_default())));
        }
        if tells {
            return Some(answer(StatusCode::OK, &key_of(left)));
        }
        self.forbidden(body).map(|said| answer(StatusCode::UNPROCESSABLE_ENTITY, &said))
    }

    fn refused(self, chats: bool) -> Response {
        let (status, said) = match self {
            Self::Google => {
                let said = json!({ "error": {
                    "code": 400, "message": "API key not valid. Please pass a valid API key.",
                    "status": "INVALID_ARGUMENT", "details": [{
                        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID",
                        "domain": "googleapis.com", "metadata": { "service": self.host() },
                    }],
                }});
                (StatusCode::BAD_REQUEST, if chats { json!([said]) } else { said })
            }
            Self::Mistral => (StatusCode::UNAUTHORIZED, json!({ "detail": "Unauthorized" })),
            Self::Groq => (
                StatusCode::UNAUTHORIZED,
                json!({ "error": { "message": "Invalid API Key", "type": "invalid_request_error",
                    "code": "invalid_api_key" } }),
            ),
            Self::Cerebras => (
                StatusCode::UNAUTHORIZED,
                json!({ "message": "Wrong API Key", "type": "invalid_request_error", "param": "api_key",
                    "code": "wrong_api_key" }),
            ),
            Self::Openrouter => {
                (StatusCode::UNAUTHORIZED, json!({ "error": { "message": "User not found.", "code": 401 } }))
            }
        };
        answer(status, &said)
    }

    fn list(self, models: &[String], query: &str) -> Value {
        if self == Self::Google {
            // Fifty unless more is asked for, a thousand at most.
            let size = query.split('&').find_map(|pair| pair.strip_prefix("pageSize=")?.parse().ok());
            let size = size.unwrap_or(50).min(1_000);
            let rows: Vec<Value> = models.iter().take(size).map(|id| google(id)).collect();
            return match models.len() > size {
                true => json!({ "models": rows, "nextPageToken": "more" }),
                false => json!({ "models": rows }),
            };
        }
        let rows: Vec<Value> = models.iter().map(|id| self.row(id)).collect();
        json!({ "object": "list", "data": rows })
    }

    fn row(self, id: &str) -> Value {
        let own = json!({ "id": id, "object": "model", "created": 1_750_000_000, "owned_by": "stub" });
        let more = match self {
            Self::Mistral => json!({
                "name": id, "aliases": [], "max_context_length": 131_072, "type": "base",
                "capabilities": { "completion_chat": true, "completion_fim": false, "function_calling": true,
                    "fine_tuning": false, "vision": true, "classification": false },
            }),
            Self::Groq => json!({
                "active": true, "context_window": 131_072, "max_completion_tokens": 32_768, "public_apps": null,
            }),
            Self::Openrouter => json!({
                "name": id, "context_length": 200_000, "supported_parameters": ["tools", "max_tokens"],
                "architecture": { "input_modalities": ["text", "image"], "output_modalities": ["text"] },
                "top_provider": { "context_length": 200_000, "max_completion_tokens": 64_000 },
                "pricing": { "prompt": "0.000003", "completion": "0.000015", "input_cache_read": "0.0000003" },
            }),
            Self::Google | Self::Cerebras => json!({}),
        };
        let fields = own.as_object().into_iter().chain(more.as_object()).flatten();
        fields.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Mistral takes no field that it does not know.
    fn forbidden(self, body: &Value) -> Option<Value> {
        const UNKNOWN: [&str; 4] = ["stream_options", "max_completion_tokens", "logprobs", "store"];
        let field = UNKNOWN.iter().find(|field| body.get(**field).is_some());
        let field = field.filter(|_| self == Self::Mistral)?;
        let why = json!({ "type": "extra_forbidden", "loc": ["body", field], "msg": "Extra inputs are not permitted" });
        Some(json!({ "object": "error", "message": { "detail": [why] }, "type": "invalid_request_error",
            "param": null, "code": null }))
    }

    /// OpenAI's events, as this vendor has them.
    pub(super) fn events(self, body: &Value) -> Vec<Bytes> {
        match self {
            Self::Google | Self::Groq => openai::events(body, true),
            // While it waits for whom it asks itself, it says so.
            Self::Openrouter => {
                let waits = Bytes::from_static(b": OPENROUTER PROCESSING\n\n");
                std::iter::once(waits).chain(openai::events(body, true)).collect()
            }
            // What was used is in the last event that says something, asked for or not.
            Self::Mistral | Self::Cerebras => openai::events_used_at_the_end(body),
        }
    }
}

fn google(id: &str) -> Value {
    let methods = if id.contains("embedding") { ["embedContent"] } else { ["generateContent"] };
    json!({
        "name": format!("models/{id}"), "version": "001", "displayName": id, "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536, "supportedGenerationMethods": methods,
    })
}

/// What OpenRouter tells of a key with so many dollars left; `None` for one without a limit.
fn key_of(left: Option<f64>) -> Value {
    json!({ "data": {
        "label": "sk-or-v1-au7...890", "limit": left.map(|_| 100), "limit_remaining": left, "limit_reset": null,
        "include_byok_in_limit": false, "usage": 25.5, "is_free_tier": false, "is_management_key": false,
    }})
}
