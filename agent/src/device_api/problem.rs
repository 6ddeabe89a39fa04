//! What a caller of the device is told when something does not work out.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use foreman_protocol::{Problem, ProblemCode, ProblemReason};
use serde_json::{Value, json};

/// A request that did not work out. The message is for people.
#[derive(Debug)]
pub struct ApiError {
    pub code: ProblemCode,
    pub message: String,
    pub details: Option<Value>,
}

pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    pub fn new(code: ProblemCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: None }
    }

    #[must_use]
    pub fn with(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// Of a code with many causes: which it is.
    #[must_use]
    pub fn because(self, reason: ProblemReason) -> Self {
        self.with(json!({ "reason": reason }))
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(ProblemCode::NotFound, format!("There is no such {what}."))
    }

    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::new(ProblemCode::InvalidRequest, message).with(json!({ "field": field }))
    }

    /// The device's own rule says no.
    pub fn policy(setting: &str) -> Self {
        Self::new(
            ProblemCode::PolicyForbids,
            format!("This device does not allow it: {setting} decides. Only the device can change that, in its policy.env."),
        )
        .with(json!({ "setting": setting }))
    }

    /// Something on the device failed; the cause goes to its log.
    pub fn internal(cause: &anyhow::Error) -> Self {
        tracing::error!(cause = format!("{cause:#}"), "a request over the link failed");
        Self::new(ProblemCode::Internal, "Something went wrong on the device. Its agent's log says more.")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem = Problem::new(self.code, self.message, self.details);
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(problem)).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/problem+json"));
        response
    }
}
