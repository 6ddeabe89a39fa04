//! Signing a program in by the browser (OAuth 2.1 for native apps: RFC 8252, RFC 7636, RFC 9207): a person allows it on
//! the server's page, and the browser comes back with a code that only this program can exchange.
//!
//! The page and the exchange are at the very address that the person agreed to, whatever a server says of itself, and
//! the return has to name that address: so a server can never get the code of another one.

mod loopback;
mod pkce;
mod returned;

use std::{fmt, time::Duration};

use foreman_protocol::{
    APP_CLIENT, APP_RETURN, AuthorizationServer, AuthorizationToken, COMMAND_LINE_CLIENT, ExchangeCode,
};
use reqwest::{Method, StatusCode, Url};

use crate::{Approval, Error, Foreman, SignInError, request::Query};

pub use loopback::LoopbackReturn;
pub(crate) use pkce::Pkce;
pub use returned::{NoReturn, Returned};

/// For so long a browser may be away. After that its return is worth nothing.
pub const BROWSER_LIMIT: Duration = Duration::from_secs(600);

/// One attempt: what the browser is sent away with, and what its return has to fit.
pub struct BrowserSignIn {
    server: Foreman,
    client_id: &'static str,
    redirect_uri: String,
    pkce: Pkce,
    page: Url,
}

impl fmt::Debug for BrowserSignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrowserSignIn").field("server", &self.server).finish_non_exhaustive()
    }
}

impl BrowserSignIn {
    /// For an app that the system hands `foreman://` links to; `client_name` is shown to whoever decides.
    ///
    /// # Errors
    /// [`SignInError::NotOffered`] when the server has no such sign-in; see [`SignInError`].
    pub async fn begin_for_app(url: &str, client_name: &str) -> Result<Self, SignInError> {
        Self::begin(url, client_name, APP_CLIENT, APP_RETURN.to_owned()).await
    }

    /// For a program that the browser comes back to by a port of this machine.
    ///
    /// # Errors
    /// [`SignInError::NotOffered`] when the server has no such sign-in; see [`SignInError`].
    pub async fn begin_for_port(
        url: &str,
        client_name: &str,
        home: &LoopbackReturn,
    ) -> Result<Self, SignInError> {
        Self::begin(url, client_name, COMMAND_LINE_CLIENT, home.address().to_owned()).await
    }

    async fn begin(
        url: &str,
        client_name: &str,
        client_id: &'static str,
        redirect_uri: String,
    ) -> Result<Self, SignInError> {
        let server = Foreman::anonymous(url)?;
        offered(&server).await?;
        let pkce = Pkce::fresh();
        let mut page = server.beside_the_api("authorize");
        page.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", client_id)
            .append_pair("redirect_uri", &redirect_uri)
            .append_pair("state", &pkce.state)
            .append_pair("code_challenge", &pkce.challenge())
            .append_pair("code_challenge_method", "S256")
            .append_pair("client_name", client_name);
        Ok(Self { server, client_id, redirect_uri, pkce, page })
    }

    /// What the browser opens. It holds the state, so it is for the browser and the person only.
    #[must_use]
    pub fn page(&self) -> &str {
        self.page.as_str()
    }

    /// Whether a return belongs to this attempt.
    #[must_use]
    pub fn is_for(&self, returned: &Returned) -> bool {
        returned.state() == self.pkce.state
    }

    pub(crate) fn state(&self) -> &str {
        &self.pkce.state
    }

    /// Exchanges what the browser came back with, once.
    ///
    /// # Errors
    /// [`SignInError::Denied`] when the person said no, [`SignInError::WrongReturn`] when it belongs to another attempt or
    /// comes from another server; see [`SignInError`].
    pub async fn finish(self, returned: Returned) -> Result<Approval, SignInError> {
        let home = self.server.url().trim_end_matches('/');
        let from_here = returned.issuer().is_some_and(|issuer| issuer.trim_end_matches('/') == home);
        if !self.is_for(&returned) || !from_here {
            return Err(SignInError::WrongReturn);
        }
        let code = returned.into_outcome().map_err(|error| match error.as_str() {
            "access_denied" => SignInError::Denied,
            _ => SignInError::TurnedDown,
        })?;
        let text = |text: &str| Some(text.to_owned());
        let form = ExchangeCode {
            grant_type: text("authorization_code"),
            code: text(&code),
            redirect_uri: Some(self.redirect_uri),
            client_id: text(self.client_id),
            code_verifier: text(&self.pkce.verifier),
        };
        let fields = serde_json::to_value(&form).map_err(malformed)?;
        let said = fields.as_object().into_iter().flatten();
        let pairs = said.map(|(name, value)| (name, value.as_str().unwrap_or_default()));
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let request = self.server.request(Method::POST, "auth/token", &Query::default());
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        match foreman_link::http::json::<AuthorizationToken>(request.body(body)).await {
            Ok(given) => {
                Ok(Approval { token: given.access_token, token_type: given.token_type, role: given.scope })
            }
            // It does not say more, so that a thief of codes learns nothing.
            Err(Error::Unrecognised { status: 400, .. }) => Err(SignInError::TurnedDown),
            Err(error) => Err(error.into()),
        }
    }
}

/// A server of an earlier version answers with a page, or not at all.
async fn offered(server: &Foreman) -> Result<(), SignInError> {
    let address = server.beside_the_api(".well-known/oauth-authorization-server");
    let request = server.http().get(address).timeout(crate::request::REQUEST_TIMEOUT);
    let described = match foreman_link::http::json::<AuthorizationServer>(request).await {
        Ok(described) => described,
        Err(Error::Malformed { .. }) => return Err(SignInError::NotOffered),
        Err(error) if error.status() == Some(StatusCode::NOT_FOUND.as_u16()) => {
            return Err(SignInError::NotOffered);
        }
        Err(error) => return Err(error.into()),
    };
    let has = |all: &[String], one: &str| all.iter().any(|it| it == one);
    let good = has(&described.grant_types_supported, "authorization_code")
        && has(&described.code_challenge_methods_supported, "S256")
        && described.authorization_response_iss_parameter_supported;
    if good { Ok(()) } else { Err(SignInError::NotOffered) }
}

fn malformed(error: serde_json::Error) -> Error {
    Error::Malformed { message: error.to_string() }
}
