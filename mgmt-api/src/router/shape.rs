//! Errors as the client's library understands them, with Foreman's code in them.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use foreman_protocol::Problem;
use serde_json::{Value, json};

use super::sse;
use crate::{problem::ApiError, providers::Wire};

/// The error's body: OpenAI's `{error: {message, type, code}}` or Anthropic's `{type: error, error: {type, message}}`.
fn body(format: Wire, problem: &Problem) -> Value {
    let code = serde_json::to_value(problem.code).unwrap_or_default();
    match format {
        Wire::OpenAi => json!({ "error": {
            "message": problem.message,
            "type": code,
            "param": null,
            "code": code,
            "details": problem.details,
        }}),
        Wire::Anthropic => json!({ "type": "error", "error": {
            "type": anthropic_type(problem.status),
            "message": problem.message,
            "code": code,
            "details": problem.details,
        }}),
    }
}

/// Anthropic's libraries branch on these.
pub const fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

fn problem(error: ApiError) -> Problem {
    if let Some(cause) = &error.internal {
        tracing::error!(code = ?error.code, cause = format!("{cause:#}"), "a request to a model failed");
    }
    Problem::new(error.code, error.message, error.details)
}

/// An error that is the whole answer.
pub fn response(format: Wire, error: ApiError) -> Response {
    let problem = problem(error);
    let retry = problem.details.as_ref().and_then(|details| details["retry_after_s"].as_u64());
    let mut response = Response::new(Body::from(body(format, &problem).to_string()));
    *response.status_mut() =
        StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(retry) = retry {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry));
    }
    response
}

/// An error that ends a stream; what came before stays.
pub fn event(format: Wire, error: ApiError) -> Bytes {
    let body = body(format, &problem(error));
    match format {
        Wire::OpenAi => sse::plain(&body),
        Wire::Anthropic => sse::named("error", &body),
    }
}

/// A provider's refusal, said in the other format.
pub fn refusal(format: Wire, status: StatusCode, said: &[u8]) -> Value {
    let message = message_of(said).unwrap_or_else(|| format!("The provider answered {status}."));
    let kind = anthropic_type(status.as_u16());
    match format {
        Wire::OpenAi => json!({ "error": { "message": message, "type": kind, "param": null, "code": kind } }),
        Wire::Anthropic => json!({ "type": "error", "error": { "type": kind, "message": message } }),
    }
}

/// What an error of either format, or Ollama's, says.
pub fn message_of(said: &[u8]) -> Option<String> {
    let said: Value = serde_json::from_slice(said).ok()?;
    // Google wraps its errors in a list.
    let said = if said.is_array() { &said[0] } else { &said };
    let message = said["error"]["message"].as_str().or(said["error"].as_str()).or(said["message"].as_str())?;
    Some(message.chars().take(500).collect())
}
