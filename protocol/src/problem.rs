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
    /// What was asked does not fit the state, for example stopping a task that has ended; `details.reason` is a
    /// [`ProblemReason`] where there is one for it.
    Conflict,
    /// The device's own policy says no; `details.setting` names what decides there.
    PolicyForbids,
    /// The caller's grant on the device is not enough, has expired or was taken back; `details.needed`.
    GrantNotEnough,
    /// The device gave this server no grant, so it cannot be reached from the dashboard.
    ServerNotTrusted,
    /// The device cannot be reached now.
    DeviceUnreachable,
    /// Upload data that does not continue where the device stands; `details.expected` is the next offset.
    UploadOffset,
    /// What was there changed since it was read.
    Changed,
    /// What was asked needs a key from the vault, and the vault is locked.
    VaultLocked,
    /// What was asked needs the vault, and there is none yet.
    VaultMissing,
    /// Not the vault's master password.
    VaultPasswordWrong,
    /// No model fits what was asked: none is known by this name, may be used, or can do it; `details.tried`.
    ModelUnavailable,
    /// Every model that fits failed; `details.tried` says how each did.
    UpstreamFailed,
    /// What may be spent is spent; `details` has `cap`, `cap_micros`, `spent_micros` and `resets_at`.
    SpendCapReached,
    /// As much of something is there as can be; `details.reason` is a [`ProblemReason`] where there is one for it.
    LimitReached,
    /// The server cannot write (disk full, database away). Nothing was changed; try again.
    StorageUnavailable,
    /// Shutting down or overloaded; try again.
    Unavailable,
    Internal,
}

/// Which cause of its code a problem has, where a person is told of it in words of its own. A reader that does not know
/// one shows the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProblemReason {
    /// A part of the path is a file.
    NotADirectory,
    IsADirectory,
    /// Something of this name is there.
    NameTaken,
    OtherFileSystem,
    IntoItself,
    InUse,
    /// No trash can be made on this file system.
    NoTrash,
    /// Where something from the trash was, something else is.
    PlaceTaken,
    /// A pipe, a socket, a device or a window into the system.
    NotAFile,
    /// What is there is no file.
    NotReplaced,
    NotSearchable,
    /// The policy names it or something in it.
    HeldByPolicy,
    LinkCircle,
    UploadElsewhere,
    UploadLost,
    GitSlow,
    /// The device's system has none of it yet.
    NoFilesHere,
    UploadsUnderWay,
    SearchesBusy,
    TerminalsOpen,
    ViewersMany,
    TerminalEnded,
    TaskEnded,
    TasksWaiting,
    CommandsWaiting,
    DeviceNotConnected,
    DeviceConnected,
    PullsUnderWay,
    PullEnded,
    NoOllama,
    ChatFull,
    ChatsFull,
    AttachmentsFull,
    AnswerUnderWay,
    ModelKeysFull,
    ConnectionsOpen,
    CallersWaiting,
    GrantsFull,
    GrantTakenBack,
    ReceiversFull,
    ProvidersFull,
    /// The name, or the provider on this device.
    ProviderTaken,
    ChangedElsewhere,
    KeyNameTaken,
    VaultFull,
    VaultExists,
    NoCloudflare,
}

impl ProblemCode {
    /// The HTTP status it is answered with.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Unauthenticated | Self::SignInFailed | Self::ConnectionTokenInvalid => 401,
            Self::Forbidden
            | Self::SetupCodeWrong
            | Self::PolicyForbids
            | Self::GrantNotEnough
            | Self::ServerNotTrusted
            | Self::VaultPasswordWrong => 403,
            Self::SpendCapReached => 402,
            Self::NotFound | Self::ModelUnavailable => 404,
            Self::MethodNotAllowed => 405,
            Self::SetupDone
            | Self::OutputOffset
            | Self::UploadOffset
            | Self::Conflict
            | Self::LimitReached
            | Self::VaultMissing => 409,
            Self::DeviceGone => 410,
            Self::Changed => 412,
            Self::TooLarge => 413,
            Self::HostNotAllowed => 421,
            Self::InvalidRequest => 422,
            Self::VaultLocked => 423,
            Self::ProtocolTooOld => 426,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::UpstreamFailed => 502,
            Self::StorageUnavailable | Self::Unavailable | Self::DeviceUnreachable => 503,
        }
    }
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

impl Problem {
    #[must_use]
    pub fn new(code: ProblemCode, message: impl Into<String>, details: Option<serde_json::Value>) -> Self {
        let name = serde_json::to_value(code).ok();
        let name = name.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
        Self {
            kind: format!("urn:foreman:problem:{name}"),
            status: code.status(),
            code,
            message: message.into(),
            details,
        }
    }
}
