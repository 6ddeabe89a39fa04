//! Signing a program in without a browser of its own (RFC 8628): it shows a code, a person approves it elsewhere. With a
//! browser: see [`crate::BrowserSignIn`].

use std::time::Duration;

use foreman_link::http;
use foreman_protocol::{
    DeviceCode, DeviceCodeError, DeviceCodeProblem, DeviceCodeToken, PollDeviceCode, StartDeviceCode,
};
use reqwest::{Method, StatusCode};

use crate::{Error, Foreman, request::Query};

/// How much slower to ask when the server says so; RFC 8628, section 3.5.
const SLOWER_BY: Duration = Duration::from_secs(5);

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    #[error("the request was turned away. Nothing was changed")]
    Denied,
    #[error("nobody approved it in time. Nothing was changed; start again")]
    Expired,
    #[error("this server does not offer to sign in by the browser. Sign in with a code instead")]
    NotOffered,
    #[error("the browser came back from another sign-in or another server. Nothing was changed; start again")]
    WrongReturn,
    #[error("the server did not take what the browser came back with. Nothing was changed; start again")]
    TurnedDown,
    #[error(transparent)]
    Server(#[from] Error),
}

/// A program that waits to be signed in.
pub struct DeviceSignIn {
    server: Foreman,
    code: DeviceCode,
}

/// What an approved program got.
pub type Approval = DeviceCodeToken;

impl DeviceSignIn {
    /// Asks the server at `url` for a code; `client_name` is shown to whoever approves.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn start(url: &str, client_name: &str) -> Result<Self, Error> {
        let server = Foreman::anonymous(url)?;
        let start = StartDeviceCode { client_name: client_name.to_owned() };
        let code = server.send_json(Method::POST, "auth/device/code", &start).await?;
        Ok(Self { server, code })
    }

    /// What the person has to see.
    #[must_use]
    pub const fn code(&self) -> &DeviceCode {
        &self.code
    }

    /// Waits for the decision.
    ///
    /// # Errors
    /// See [`SignInError`]; a server that does not answer for a moment is asked again.
    pub async fn wait(self) -> Result<Approval, SignInError> {
        let limit = Duration::from_secs(self.code.expires_in.into());
        let mut interval = Duration::from_secs(self.code.interval.into());
        let asking = async {
            loop {
                tokio::time::sleep(interval).await;
                match self.poll().await {
                    Ok(Ok(approval)) => return Ok(approval),
                    Ok(Err(DeviceCodeError::AuthorizationPending)) => {}
                    Ok(Err(DeviceCodeError::SlowDown)) => interval += SLOWER_BY,
                    Ok(Err(DeviceCodeError::AccessDenied)) => return Err(SignInError::Denied),
                    Ok(Err(DeviceCodeError::ExpiredToken)) => return Err(SignInError::Expired),
                    Err(error) if error.is_transient() => interval += SLOWER_BY,
                    Err(error) => return Err(error.into()),
                }
            }
        };
        tokio::time::timeout(limit, asking).await.map_err(|_| SignInError::Expired)?
    }

    async fn poll(&self) -> Result<Result<Approval, DeviceCodeError>, Error> {
        let poll = PollDeviceCode { device_code: self.code.device_code.clone() };
        let request = self.server.request(Method::POST, "auth/device/token", &Query::default()).json(&poll);
        let response = request.send().await?;
        let status = response.status();
        let body = response.bytes().await?;
        if status == StatusCode::BAD_REQUEST
            && let Ok(problem) = serde_json::from_slice::<DeviceCodeProblem>(&body)
        {
            return Ok(Err(problem.error));
        }
        if !status.is_success() {
            return Err(http::RequestError::from_answer(status.as_u16(), &body));
        }
        let understood = serde_json::from_slice(&body);
        understood.map(Ok).map_err(|error| Error::Malformed { message: error.to_string() })
    }
}
