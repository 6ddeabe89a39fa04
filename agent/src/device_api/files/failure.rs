//! What went wrong with a file, as a problem on the wire.

use foreman_machine::files::FilesError;
use foreman_protocol::ProblemCode;
use serde_json::json;

use crate::device_api::ApiError;

impl From<FilesError> for ApiError {
    fn from(error: FilesError) -> Self {
        let message = error.to_string();
        if let Some(setting) = error.setting() {
            return Self::new(ProblemCode::PolicyForbids, message).with(json!({ "setting": setting }));
        }
        match error {
            FilesError::NotFound => Self::new(ProblemCode::NotFound, message),
            FilesError::NoRight => Self::new(ProblemCode::Forbidden, message),
            FilesError::Invalid { field, why } => Self::invalid(field, why),
            FilesError::Changed => Self::new(ProblemCode::Changed, message),
            FilesError::Offset { expected } => {
                Self::new(ProblemCode::UploadOffset, message).with(json!({ "expected": expected }))
            }
            FilesError::Full(_) => Self::new(ProblemCode::StorageUnavailable, message),
            FilesError::TooLarge { limit } => {
                Self::new(ProblemCode::TooLarge, message).with(json!({ "limit_bytes": limit }))
            }
            FilesError::Limit(reason, _) => Self::new(ProblemCode::LimitReached, message).because(reason),
            FilesError::Io(cause) => {
                tracing::warn!(%cause, "a request for a file failed");
                Self::new(ProblemCode::Internal, message)
            }
            FilesError::NoFile(reason, _) | FilesError::Conflict(reason, _) => {
                Self::new(ProblemCode::Conflict, message).because(reason)
            }
            _ => Self::new(ProblemCode::Conflict, message),
        }
    }
}
