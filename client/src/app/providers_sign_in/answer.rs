//! Asking a provider's endpoints, and what they answer. GitHub says its errors with 200, RFC 6749 with 400: what counts
//! is what the body says.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use foreman_link::http::RequestError;
use foreman_protocol::Millis;
use reqwest::{Client, header::ACCEPT};
use serde::Deserialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Endpoint, TokenRequest};
use crate::{Error, StoreError, app::SecretError};

/// One question to a provider, its answer included.
pub(super) const LIMIT: Duration = Duration::from_secs(20);
/// Longest answer. Bytes.
const LONGEST: usize = 64 * 1024;
/// Longest token. Bytes.
const LONGEST_TOKEN: usize = 16 * 1024;
/// Longest life that is believed.
const LONGEST_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);

/// Errors of OAuth that something follows from; the rest is [`OAuthProblem::Other`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OAuthProblem {
    Pending,
    /// Ask less often; GitHub says how often, in seconds.
    SlowDown(Option<u64>),
    Expired,
    Denied,
    /// The code or the refresh token is worth nothing.
    InvalidGrant,
    Other(String),
}

/// Why nobody is signed in to a provider, or no token can be had. Its text is for people and holds no secret. Whoever
/// waited for the same renewal gets the same.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProviderSignInError {
    #[error("there is no provider of this name to sign in to")]
    Unknown,
    #[error("nobody has said yet as which client to sign in")]
    NotConfigured,
    #[error("the sign-in was turned away. Nothing was kept")]
    Denied,
    #[error("nobody approved it in time. Nothing was kept; start again")]
    Expired,
    #[error("the sign-in was given up")]
    Cancelled,
    #[error("this return belongs to no sign-in that is under way. It was left alone")]
    WrongReturn,
    #[error("nobody is signed in there")]
    SignedOut,
    #[error("the provider no longer takes this sign-in. Sign in again")]
    SignInAgain,
    #[error("the provider refused: {reason}")]
    Refused { reason: String },
    #[error("the provider could not be reached: {reason}")]
    Unreachable { reason: String },
    #[error("the provider's answer makes no sense: {reason}")]
    Garbage { reason: &'static str },
    #[error("no server takes a token of this provider")]
    NoVault,
    #[error(transparent)]
    Server(Arc<Error>),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Storage(Arc<StoreError>),
}

impl ProviderSignInError {
    /// The same may work in a moment.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

impl From<StoreError> for ProviderSignInError {
    fn from(error: StoreError) -> Self {
        Self::Storage(error.into())
    }
}

impl From<OAuthProblem> for ProviderSignInError {
    fn from(problem: OAuthProblem) -> Self {
        match problem {
            OAuthProblem::Denied => Self::Denied,
            OAuthProblem::Expired => Self::Expired,
            OAuthProblem::InvalidGrant => Self::Refused { reason: "invalid_grant".to_owned() },
            OAuthProblem::Pending => Self::Refused { reason: "authorization_pending".to_owned() },
            OAuthProblem::SlowDown(_) => Self::Refused { reason: "slow_down".to_owned() },
            OAuthProblem::Other(reason) => Self::Refused { reason },
        }
    }
}

/// What a token endpoint gave.
pub(super) struct Granted {
    pub access: Zeroizing<String>,
    pub refresh: Option<Zeroizing<String>>,
    pub lives: Option<Duration>,
}

/// What an endpoint said: its JSON, whatever its status was.
pub(super) struct Answer {
    pub ok: bool,
    pub body: Map<String, Value>,
}

/// Asks with these fields; `secret` fields are among them, so nothing of this is ever logged.
pub(super) async fn ask(
    http: &Client,
    at: &Endpoint,
    how: TokenRequest,
    fields: &[(&str, &str)],
) -> Result<Answer, ProviderSignInError> {
    let request = http.post(at.url().clone()).header(ACCEPT, "application/json").timeout(LIMIT);
    let request = match how {
        TokenRequest::Form => request
            .header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form(fields)),
        TokenRequest::Json => request.json(&fields.iter().copied().collect::<BTreeMap<_, _>>()),
    };
    read(request).await
}

fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// Sends it and reads a JSON object of a bounded length.
pub(super) async fn read(request: reqwest::RequestBuilder) -> Result<Answer, ProviderSignInError> {
    // Without the address: its query may hold what nobody else should read.
    let unreachable = |error: reqwest::Error| ProviderSignInError::Unreachable {
        reason: RequestError::from(error.without_url()).to_string(),
    };
    let mut response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    let mut bytes = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if bytes.len() + chunk.len() > LONGEST {
            return Err(ProviderSignInError::Garbage { reason: "it is longer than any answer" });
        }
        bytes.extend_from_slice(&chunk);
    }
    // Too many, and nobody at home, pass by.
    if status.is_server_error() || status.as_u16() == 429 {
        return Err(ProviderSignInError::Unreachable { reason: format!("it answered {}", status.as_u16()) });
    }
    if status.is_redirection() {
        return Err(ProviderSignInError::Garbage { reason: "it leads elsewhere" });
    }
    if bytes.is_empty() {
        return Ok(Answer { ok: status.is_success(), body: Map::new() });
    }
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(body)) => Ok(Answer { ok: status.is_success(), body }),
        _ if !status.is_success() => {
            Err(ProviderSignInError::Refused { reason: format!("it answered {}", status.as_u16()) })
        }
        _ => Err(ProviderSignInError::Garbage { reason: "it is not what OAuth says" }),
    }
}

impl Answer {
    pub fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// Whole seconds; some providers write them as text.
    pub fn seconds(&self, name: &str) -> Option<u64> {
        let value = self.body.get(name)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    }

    /// The error, when it is one: by its body first, because some say it with 200.
    pub fn problem(&self) -> Option<OAuthProblem> {
        let Some(code) = self.text("error") else {
            return (!self.ok).then(|| OAuthProblem::Other("it does not say why".to_owned()));
        };
        Some(match code {
            "authorization_pending" => OAuthProblem::Pending,
            "slow_down" => OAuthProblem::SlowDown(self.seconds("interval")),
            "expired_token" | "token_expired" => OAuthProblem::Expired,
            "access_denied" | "authorization_declined" => OAuthProblem::Denied,
            "invalid_grant" | "bad_refresh_token" => OAuthProblem::InvalidGrant,
            other => OAuthProblem::Other(shown(other)),
        })
    }

    pub fn granted(mut self) -> Result<Granted, ProviderSignInError> {
        let garbage = |reason| ProviderSignInError::Garbage { reason };
        if self.text("token_type").is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            return Err(garbage("it gives another kind of token than a bearer"));
        }
        let lives = self.seconds("expires_in").filter(|seconds| *seconds > 0);
        let lives = lives.map(|seconds| Duration::from_secs(seconds).min(LONGEST_LIFE));
        let access = self.token("access_token")?.ok_or(garbage("it gives no token"))?;
        Ok(Granted { access, refresh: self.token("refresh_token")?, lives })
    }

    fn token(&mut self, name: &str) -> Result<Option<Zeroizing<String>>, ProviderSignInError> {
        let token = match self.body.remove(name) {
            Some(Value::String(token)) if !token.is_empty() => Zeroizing::new(token),
            None | Some(Value::Null | Value::String(_)) => return Ok(None),
            Some(_) => return Err(ProviderSignInError::Garbage { reason: "its token is no text" }),
        };
        if token.len() > LONGEST_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ProviderSignInError::Garbage { reason: "its token cannot stand in a header" });
        }
        Ok(Some(token))
    }
}

/// An error's name as OAuth allows it, and nothing that a provider may have put in its place.
fn shown(code: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let text: String = code.chars().take(64).filter(plain).collect();
    if text.is_empty() { "it does not say why".to_owned() } else { text }
}

/// Milliseconds of a span.
pub(super) fn millis(span: Duration) -> Millis {
    Millis::try_from(span.as_millis()).unwrap_or(Millis::MAX)
}

/// What discovery tells; see RFC 8414 and OpenID Connect Discovery.
#[derive(Debug, Deserialize)]
pub(super) struct Discovered {
    pub issuer: String,
    pub authorization_endpoint: Option<Endpoint>,
    pub device_authorization_endpoint: Option<Endpoint>,
    pub token_endpoint: Option<Endpoint>,
    pub revocation_endpoint: Option<Endpoint>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(ok: bool, body: Value) -> Answer {
        let Value::Object(body) = body else { panic!("no object") };
        Answer { ok, body }
    }

    #[test]
    fn an_error_is_one_with_200_and_with_400() {
        for ok in [true, false] {
            let said = |body| answer(ok, body).problem();
            assert_eq!(said(json!({ "error": "authorization_pending" })), Some(OAuthProblem::Pending));
            let slower = said(json!({ "error": "slow_down", "interval": 10 }));
            assert_eq!(slower, Some(OAuthProblem::SlowDown(Some(10))));
            assert_eq!(said(json!({ "error": "access_denied" })), Some(OAuthProblem::Denied));
            assert_eq!(said(json!({ "error": "expired_token" })), Some(OAuthProblem::Expired));
            let odd = said(json!({ "error": "<b>gho_secret token" }));
            assert_eq!(odd, Some(OAuthProblem::Other("bgho_secrettoken".to_owned())));
        }
        assert!(answer(true, json!({ "access_token": "a" })).problem().is_none());
        assert!(answer(false, json!({ "access_token": "a" })).problem().is_some());
    }

    #[test]
    fn tokens_are_read_strictly_and_lives_leniently() {
        let granted =
            answer(true, json!({ "access_token": "a", "token_type": "Bearer", "expires_in": "60" }));
        let granted = granted.granted().map_err(|error| error.to_string()).unwrap();
        assert_eq!((granted.access.as_str(), granted.lives), ("a", Some(Duration::from_secs(60))));
        for (life, believed) in [
            (json!(0), None),
            (json!(-5), None),
            (json!("soon"), None),
            (json!(u64::MAX), Some(LONGEST_LIFE)),
        ] {
            let granted = answer(true, json!({ "access_token": "a", "expires_in": life })).granted();
            assert_eq!(granted.map_err(|error| error.to_string()).unwrap().lives, believed);
        }
        for body in [
            json!({}),
            json!({ "access_token": "" }),
            json!({ "access_token": 7 }),
            json!({ "access_token": "a b" }),
            json!({ "access_token": "a\r\nx: y" }),
            json!({ "access_token": "a", "token_type": "mac" }),
            json!({ "access_token": "a", "refresh_token": ["b"] }),
            json!({ "access_token": "a".repeat(LONGEST_TOKEN + 1) }),
        ] {
            assert!(answer(true, body.clone()).granted().is_err(), "{body}");
        }
    }

    #[test]
    fn a_form_escapes_what_it_carries() {
        assert_eq!(form(&[("a", "b&c=d e"), ("x", "ü")]), "a=b%26c%3Dd+e&x=%C3%BC");
    }
}
