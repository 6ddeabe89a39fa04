//! People, programs and what they may do.

use serde::{Deserialize, Serialize};

use crate::{ApiTokenId, Millis, UserId};

/// What a user or a token may do in its tenant. Each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees everything, changes nothing.
    Viewer,
    /// Starts and stops tasks.
    Operator,
    /// Adds and removes devices and tokens.
    Admin,
    /// Everything, and cannot be removed by an admin.
    Owner,
}

impl Role {
    pub const ALL: [Role; 4] = [Role::Viewer, Role::Operator, Role::Admin, Role::Owner];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
            Role::Owner => "owner",
        }
    }
}

/// Whether the first owner is still to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SetupState {
    pub needed: bool,
}

/// Makes the owner. The code is printed in the server's terminal at first start.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SetupRequest {
    pub code: String,
    /// 1 to 64 characters.
    pub name: String,
    /// 10 to 256 characters.
    pub password: String,
}

/// Signs a browser in: by name and password, or by a one-use link made on the host.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged, deny_unknown_fields)]
pub enum SignIn {
    Password { name: String, password: String },
    Link { ticket: String },
}

/// What somebody who failed to sign in had shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SignInMeans {
    Password,
    Link,
    SetupCode,
    /// What a browser brings back to a program that signs in by it.
    Code,
    /// Of a program, or a key for models.
    Token,
    /// Of a device that joins.
    ConnectionToken,
}

impl SignInMeans {
    /// Whether a person made it up or typed it; the others are random and long.
    #[must_use]
    pub const fn is_guessable(self) -> bool {
        matches!(self, Self::Password | Self::SetupCode)
    }
}

/// Who is signed in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Me {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user_id: Option<UserId>,
    pub name: String,
    pub role: Role,
    /// The tenant's name.
    pub tenant: String,
    /// Whether a password is set; an owner made by a one-use link has none yet.
    pub has_password: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// Required when a password is set already.
    #[serde(default)]
    pub current: Option<String>,
    /// 10 to 256 characters.
    pub new: String,
}

/// A bearer token for programs, without its secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiToken {
    pub id: ApiTokenId,
    pub name: String,
    pub role: Role,
    pub created_at: Millis,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_used_at: Option<Millis>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateApiToken {
    /// 1 to 64 characters.
    pub name: String,
    pub role: Role,
}

/// The answer to making a token: the only time its secret is shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatedApiToken {
    pub token: ApiToken,
    pub secret: String,
}

/// What this server is, for the dashboard's footer and for programs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServerInfo {
    pub version: String,
    pub protocol_version: u32,
    /// `sqlite` or `postgresql`.
    pub database: String,
    /// Where clients and devices reach this server.
    pub public_url: String,
    pub server_time: Millis,
    /// How often agents report, in seconds.
    pub heartbeat_s: u32,
    /// After this many seconds without a heartbeat a device counts as offline.
    pub offline_after_s: u32,
}

/// `POST /api/v1/auth/device/code`: a program without a browser asks to be signed in (RFC 8628).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StartDeviceCode {
    /// 1 to 64 characters, shown to whoever approves: "foreman on laptop".
    pub client_name: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceCode {
    /// Only the program that asked knows it.
    pub device_code: String,
    /// What a person compares or types: `ABCD-EFGH`.
    pub user_code: String,
    pub verification_uri: String,
    pub verification_uri_complete: String,
    /// Seconds.
    pub expires_in: u32,
    /// Seconds between two polls.
    pub interval: u32,
}

/// `POST /api/v1/auth/device/token`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PollDeviceCode {
    pub device_code: String,
}

/// Approved: the program's own token, like any other in the list and revocable there.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceCodeToken {
    pub token: String,
    pub token_type: String,
    pub role: Role,
}

/// Not approved (yet), as RFC 8628 says it; answered with status 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeviceCodeError {
    AuthorizationPending,
    /// Asked too often: wait five seconds longer from now on.
    SlowDown,
    ExpiredToken,
    AccessDenied,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceCodeProblem {
    pub error: DeviceCodeError,
}

/// `GET /api/v1/auth/device/{user_code}`: what is asked, for the person who decides.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceCodeRequest {
    pub client_name: String,
    /// The network address it was asked from.
    pub source: String,
    pub created_at: Millis,
    pub expires_at: Millis,
}

/// `POST /api/v1/auth/device/{user_code}/approve`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ApproveDeviceCode {
    /// What the program may do; at most what the approver may, which is also the default.
    pub role: Option<Role>,
}
