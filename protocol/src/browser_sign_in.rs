//! Signing a program in by the browser: OAuth 2.1's authorization code with PKCE, for native apps (RFC 8252, RFC 7636).

use serde::{Deserialize, Serialize};

use crate::Role;

/// The app: comes back by a link of the system.
pub const APP_CLIENT: &str = "foreman-app";
/// The only address that [`APP_CLIENT`] comes back to.
pub const APP_RETURN: &str = "foreman://signed-in";
/// Command-line programs: come back to a port of the machine they run on.
pub const COMMAND_LINE_CLIENT: &str = "foreman-cli";

/// What `/authorize` is opened with. All of it comes from outside, so all of it may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(default)]
pub struct AuthorizationRequest {
    /// `code`
    pub response_type: Option<String>,
    /// `foreman-app` or `foreman-cli`
    pub client_id: Option<String>,
    /// `foreman://signed-in`, or `http://127.0.0.1:PORT/…` or `http://[::1]:PORT/…` of a command-line program.
    pub redirect_uri: Option<String>,
    /// Comes back as it is; at most 512 bytes.
    pub state: Option<String>,
    /// The role that is asked for; without it the person's own.
    pub scope: Option<String>,
    /// SHA-256 of the verifier, as base64url without padding.
    pub code_challenge: Option<String>,
    /// `S256`
    pub code_challenge_method: Option<String>,
    /// What the program calls itself: 1 to 64 characters, shown to the person.
    pub client_name: Option<String>,
}

/// Which of the two kinds of programs asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AuthorizationClient {
    App,
    CommandLine,
}

/// Why a program that may be told is told no; RFC 6749, section 4.1.2.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AuthorizationError {
    InvalidRequest,
    UnsupportedResponseType,
    InvalidScope,
    AccessDenied,
}

impl AuthorizationError {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            AuthorizationError::InvalidRequest => "invalid_request",
            AuthorizationError::UnsupportedResponseType => "unsupported_response_type",
            AuthorizationError::InvalidScope => "invalid_scope",
            AuthorizationError::AccessDenied => "access_denied",
        }
    }
}

/// `GET /api/v1/auth/authorize`: what a request means, for the person who decides. Looking changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum AuthorizationLook {
    Ask {
        client: AuthorizationClient,
        /// What the program calls itself; anybody may call themselves so.
        client_name: String,
        /// Where the code goes.
        redirect_uri: String,
        /// What it may do when nothing else is chosen.
        role: Role,
    },
    /// The request is wrong, and the program is to hear so.
    Refuse { error: AuthorizationError, redirect_to: String },
}

/// `POST /api/v1/auth/authorize`: a person's decision about a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DecideAuthorization {
    pub request: AuthorizationRequest,
    pub allow: bool,
    /// What the program may do; at most what the person may, which is also the default.
    #[serde(default)]
    pub role: Option<Role>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuthorizationDecided {
    /// Where the browser goes now, with the code or the refusal.
    pub redirect_to: String,
}

/// `POST /api/v1/auth/token`, as a form; RFC 6749, section 4.1.3, and RFC 7636, section 4.5.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct ExchangeCode {
    /// `authorization_code`
    pub grant_type: Option<String>,
    pub code: Option<String>,
    pub redirect_uri: Option<String>,
    pub client_id: Option<String>,
    pub code_verifier: Option<String>,
}

/// The program's own token, like any other in the list and revocable there. It has no end of its own.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuthorizationToken {
    pub access_token: String,
    /// `Bearer`
    pub token_type: String,
    /// What it may do.
    pub scope: Role,
}

/// Why no token was given; RFC 6749, section 5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TokenError {
    InvalidRequest,
    InvalidClient,
    /// The code is unknown, spent, too old or of another program.
    InvalidGrant,
    UnsupportedGrantType,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenProblem {
    pub error: TokenError,
}

/// `GET /.well-known/oauth-authorization-server`; RFC 8414.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationServer {
    pub issuer: String,
    pub authorization_endpoint: String,
    pub token_endpoint: String,
    #[serde(default)]
    pub response_types_supported: Vec<String>,
    #[serde(default)]
    pub grant_types_supported: Vec<String>,
    #[serde(default)]
    pub code_challenge_methods_supported: Vec<String>,
    #[serde(default)]
    pub token_endpoint_auth_methods_supported: Vec<String>,
    #[serde(default)]
    pub scopes_supported: Vec<String>,
    /// RFC 9207
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}
