//! Signing in by the browser, which comes back by a link: PKCE S256 (RFC 7636), a state that is worth something once,
//! and the issuer where the provider says it (RFC 9207).

use reqwest::{Client, Url};

use super::{
    ProviderSignInError,
    answer::{Granted, ask},
    endpoints::Endpoints,
};
use crate::browser_sign_in::{Pkce, Returned};

/// Where a provider's page leads to after a sign-in; to be registered there.
pub const RETURN_ADDRESS: &str = "foreman://provider-signed-in";

/// One attempt: what the browser is sent away with, and what its return has to fit.
pub(super) struct BrowserAttempt {
    pkce: Pkce,
    /// What the browser opens.
    pub page: Url,
}

impl BrowserAttempt {
    pub fn start(at: &Endpoints) -> Result<Self, ProviderSignInError> {
        let page = at.authorization.as_ref();
        let page =
            page.ok_or(ProviderSignInError::Garbage { reason: "it offers no sign-in by a browser" })?;
        let mut page = page.url().clone();
        let pkce = Pkce::fresh();
        let scope = at.scopes.join(" ");
        let mut query = page.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &at.client_id)
            .append_pair("redirect_uri", RETURN_ADDRESS)
            .append_pair("state", &pkce.state)
            .append_pair("code_challenge", &pkce.challenge())
            .append_pair("code_challenge_method", "S256");
        if !scope.is_empty() {
            query.append_pair("scope", &scope);
        }
        // OpenID Connect gives no refresh token without having asked.
        if at.scopes.iter().any(|scope| scope == "offline_access") {
            query.append_pair("prompt", "consent");
        }
        drop(query);
        Ok(Self { pkce, page })
    }

    pub fn state(&self) -> &str {
        &self.pkce.state
    }

    /// Exchanges what came back. The caller has found this attempt by the state, and forgets it.
    pub async fn finish(
        self,
        http: &Client,
        at: &Endpoints,
        returned: Returned,
    ) -> Result<Granted, ProviderSignInError> {
        let other =
            |(said, known): (&str, &String)| said.trim_end_matches('/') != known.trim_end_matches('/');
        if returned.state() != self.state() || returned.issuer().zip(at.issuer.as_ref()).is_some_and(other) {
            return Err(ProviderSignInError::WrongReturn);
        }
        let code = returned.into_outcome().map_err(|error| match error.as_str() {
            "access_denied" => ProviderSignInError::Denied,
            _ => ProviderSignInError::Refused { reason: "its page ended with an error".to_owned() },
        })?;
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", RETURN_ADDRESS),
            ("client_id", at.client_id.as_str()),
            ("code_verifier", self.pkce.verifier.as_str()),
            // OAuth does not ask for it here; those that want JSON do.
            ("state", self.state()),
        ];
        let fields = match at.token_request {
            super::TokenRequest::Form => &fields[..5],
            super::TokenRequest::Json => &fields[..],
        };
        let answer = ask(http, &at.token, at.token_request, fields).await?;
        answer.problem().map_or_else(|| answer.granted(), |problem| Err(problem.into()))
    }
}
