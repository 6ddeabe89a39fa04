//! Every question about files is answered with why there are none.

use std::sync::Arc;

use axum::{Router, routing::any};
use foreman_machine::files::{Files, REASON};
use foreman_protocol::{ProblemCode, ProblemReason};
use serde_json::json;

use super::{ApiError, Device};

pub fn router(_device: Arc<Device>, _files: Arc<Files>) -> Router {
    Router::new().route("/files", any(refuse)).route("/files/{*rest}", any(refuse))
}

/// Not [`ProblemCode::Unavailable`], because trying again does not help.
pub(super) async fn refuse() -> ApiError {
    ApiError::new(ProblemCode::Conflict, REASON)
        .with(json!({ "system": "windows", "reason": ProblemReason::NoFilesHere }))
}
