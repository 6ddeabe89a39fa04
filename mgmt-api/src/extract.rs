//! axum's extractors with our errors: whatever cannot be understood becomes problem JSON.

use axum::{
    extract::{
        FromRequest, FromRequestParts,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
};
use foreman_protocol::ProblemCode;
use serde::Serialize;

use crate::{bounds, problem::ApiError};

#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(ApiError))]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
pub struct Path<T>(pub T);

#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
pub struct Query<T>(pub T);

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return too_large(bounds::BODY_BYTES);
        }
        ApiError::invalid("body", rejection.body_text())
    }
}

impl From<PathRejection> for ApiError {
    fn from(_: PathRejection) -> Self {
        ApiError::new(ProblemCode::NotFound, "There is nothing at this address: its id cannot be read.")
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        ApiError::invalid("query", rejection.body_text())
    }
}

/// The body is over its limit.
pub fn too_large(limit: usize) -> ApiError {
    ApiError::new(
        ProblemCode::TooLarge,
        format!("The body is larger than {limit} bytes. Nothing was changed."),
    )
    .with(serde_json::json!({ "limit_bytes": limit }))
}
