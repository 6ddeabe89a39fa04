//! Errors at the edge: what a caller is told (a [`Problem`]) and what only the log learns.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use foreman_protocol::{Problem, ProblemCode, ProblemReason};
use serde_json::{Value, json};

/// A request that did not work out. `message` is for people; `internal` goes to the log and nowhere else.
#[derive(Debug, thiserror::Error)]
#[error("{code:?}: {message}")]
pub struct ApiError {
    pub code: ProblemCode,
    pub message: String,
    pub details: Option<Value>,
    pub internal: Option<anyhow::Error>,
}

pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    pub fn new(code: ProblemCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: None, internal: None }
    }

    #[must_use]
    pub fn with(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// The same for somebody else who waited for it; the log has the cause once.
    #[must_use]
    pub fn again(&self) -> Self {
        Self { code: self.code, message: self.message.clone(), details: self.details.clone(), internal: None }
    }

    /// Of a code with many causes: which it is.
    #[must_use]
    pub fn because(self, reason: ProblemReason) -> Self {
        self.with(json!({ "reason": reason }))
    }

    pub fn unauthenticated() -> Self {
        Self::new(ProblemCode::Unauthenticated, "Sign in, or send a valid bearer token.")
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(ProblemCode::NotFound, format!("There is no such {what}, or it is not yours."))
    }

    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ProblemCode::Conflict, message)
    }

    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::new(ProblemCode::InvalidRequest, message).with(json!({ "field": field }))
    }

    pub fn device_gone() -> Self {
        Self::new(
            ProblemCode::DeviceGone,
            "This device was removed from the server. Connect it again with a new token to go on.",
        )
    }

    pub fn unavailable() -> Self {
        Self::new(
            ProblemCode::Unavailable,
            "The server is shutting down. Nothing was changed; try again in a moment.",
        )
    }

    pub fn internal(cause: impl Into<anyhow::Error>) -> Self {
        Self {
            code: ProblemCode::Internal,
            message: "Something went wrong on the server. Nothing was changed; the server's log says more."
                .into(),
            details: None,
            internal: Some(cause.into()),
        }
    }
}

impl From<sqlx::Error> for ApiError {
    /// Whatever the database refuses is a storage problem: the transaction is rolled back, so a retry is safe.
    fn from(error: sqlx::Error) -> Self {
        Self {
            code: ProblemCode::StorageUnavailable,
            message: "The server could not reach or write its database. Nothing was changed; try again in a moment."
                .into(),
            details: None,
            internal: Some(error.into()),
        }
    }
}

impl From<serde_json::Error> for ApiError {
    /// JSON we wrote ourselves did not read back.
    fn from(error: serde_json::Error) -> Self {
        Self::internal(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Some(cause) = &self.internal {
            tracing::error!(code = ?self.code, cause = format!("{cause:#}"), "request failed");
        }
        let problem = Problem::new(self.code, self.message, self.details);
        let retry = problem.details.as_ref().and_then(|details| details["retry_after_s"].as_u64());
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(problem)).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/problem+json"));
        if let Some(retry) = retry {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from(retry));
        }
        response
    }
}
