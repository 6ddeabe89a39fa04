//! Errors on the wire: RFC 9457 problem JSON with a code to branch on.

use serde::{Deserialize, Serialize};

/// What went wrong, for programs. The UI branches on this and never on text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// No valid session, bearer or signature.
    Unauthenticated,
    /// Known, but the role is not enough.
    Forbidden,
    NotFound,
    /// The address exists, the method does not fit it.
    MethodNotAllowed,
    /// A body, a parameter or a header that cannot be understood; `details.field` says which.
    InvalidRequest,
    /// The body is over the limit in `details.limit_bytes`.
    TooLarge,
    /// Too many tries from this address; `details.retry_after_s`.
    RateLimited,
    /// The connection token is unknown, used or expired. Which of them is not said.
    ConnectionTokenInvalid,
    /// This device was deleted or disconnected; its agent should stop.
    DeviceGone,
    /// The owner exists already.
    SetupDone,
    SetupCodeWrong,
    /// Wrong name or password, or a link that was used or has expired.
    SignInFailed,
    /// The request's `Host` is not one this server answers to.
    HostNotAllowed,
    /// Output that does not continue where the server stands; `details.expected` is the next offset.
    OutputOffset,
    /// The agent is older than this server can serve.
    ProtocolTooOld,
    /// What was asked does not fit the state, for example stopping a task that has ended.
    Conflict,
    /// The plan's limit is reached.
    LimitReached,
    /// The server cannot write (disk full, database away). Nothing was changed; try again.
    StorageUnavailable,
    /// Shutting down or overloaded; try again.
    Unavailable,
    Internal,
}

/// `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// `urn:foreman:problem:<code>`
    #[serde(rename = "type")]
    pub kind: String,
    pub status: u16,
    pub code: ProblemCode,
    /// What happened, what was kept, what to do: one or two sentences for people.
    #[serde(rename = "detail")]
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub details: Option<serde_json::Value>,
}
