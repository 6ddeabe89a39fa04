//! Signing in by the browser, which comes back by a link: PKCE S256 (RFC 7636), a state that is worth something once,
//! and the issuer where the provider says it (RFC 9207).

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Client, Url};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{
    ProviderSignInError,
    answer::{Granted, ask},
    endpoints::Endpoints,
};
use crate::app::AddressError;

/// Where a provider's page leads to after a sign-in; to be registered there.
pub const RETURN_ADDRESS: &str = "foreman://provider-signed-in";

/// Longest code or state that is read. Bytes.
const LONGEST: usize = 4_096;

/// What came back by a link. It is worth nothing to whoever does not have the verifier, and is shown nowhere all the same.
#[derive(Clone, PartialEq, Eq)]
pub struct Returned {
    state: String,
    /// The code, or the error's name.
    outcome: Result<Zeroizing<String>, String>,
    issuer: Option<String>,
}

impl fmt::Debug for Returned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Returned").field("allowed", &self.outcome.is_ok()).finish_non_exhaustive()
    }
}

impl Returned {
    /// Reads the link of a return. What a provider adds beyond OAuth is passed over, as RFC 6749 wants it.
    ///
    /// # Errors
    /// [`AddressError::NotALink`] for anything doubled, absent or over-long.
    pub fn of(url: &Url) -> Result<Self, AddressError> {
        let (mut state, mut code, mut error, mut issuer) = (None, None, None, None);
        for (name, value) in url.query_pairs() {
            let kept = match &*name {
                "state" => &mut state,
                "code" => &mut code,
                "error" => &mut error,
                "iss" => &mut issuer,
                _ => continue,
            };
            if value.is_empty() || value.len() > LONGEST || kept.replace(value.into_owned()).is_some() {
                return Err(AddressError::NotALink);
            }
        }
        let outcome = match (code, error) {
            (Some(code), None) => Ok(code.into()),
            (None, Some(error)) => Err(error),
            _ => return Err(AddressError::NotALink),
        };
        Ok(Self { state: state.ok_or(AddressError::NotALink)?, outcome, issuer })
    }

    pub(super) fn state(&self) -> &str {
        &self.state
    }
}

/// One attempt: what the browser is sent away with, and what its return has to fit.
pub(super) struct BrowserAttempt {
    verifier: Zeroizing<String>,
    pub state: String,
    /// What the browser opens.
    pub page: Url,
}

impl BrowserAttempt {
    pub fn start(at: &Endpoints) -> Result<Self, ProviderSignInError> {
        let page = at.authorization.as_ref();
        let page =
            page.ok_or(ProviderSignInError::Garbage { reason: "it offers no sign-in by a browser" })?;
        let mut page = page.url().clone();
        let verifier = Zeroizing::new(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
        let state = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        let scope = at.scopes.join(" ");
        let mut query = page.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &at.client_id)
            .append_pair("redirect_uri", RETURN_ADDRESS)
            .append_pair("state", &state)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        if !scope.is_empty() {
            query.append_pair("scope", &scope);
        }
        // OpenID Connect gives no refresh token without having asked.
        if at.scopes.iter().any(|scope| scope == "offline_access") {
            query.append_pair("prompt", "consent");
        }
        drop(query);
        Ok(Self { verifier, state, page })
    }

    /// Exchanges what came back. The caller has found this attempt by the state, and forgets it.
    pub async fn finish(
        self,
        http: &Client,
        at: &Endpoints,
        returned: Returned,
    ) -> Result<Granted, ProviderSignInError> {
        let other =
            |(said, known): (String, &String)| said.trim_end_matches('/') != known.trim_end_matches('/');
        if returned.state != self.state || returned.issuer.zip(at.issuer.as_ref()).is_some_and(other) {
            return Err(ProviderSignInError::WrongReturn);
        }
        let code = returned.outcome.map_err(|error| match error.as_str() {
            "access_denied" => ProviderSignInError::Denied,
            _ => ProviderSignInError::Refused { reason: "its page ended with an error".to_owned() },
        })?;
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", RETURN_ADDRESS),
            ("client_id", at.client_id.as_str()),
            ("code_verifier", self.verifier.as_str()),
            // OAuth does not ask for it here; those that want JSON do.
            ("state", self.state.as_str()),
        ];
        let fields = match at.token_request {
            super::TokenRequest::Form => &fields[..5],
            super::TokenRequest::Json => &fields[..],
        };
        let answer = ask(http, &at.token, at.token_request, fields).await?;
        answer.problem().map_or_else(|| answer.granted(), |problem| Err(problem.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Returned, AddressError> {
        Returned::of(&format!("{RETURN_ADDRESS}?{query}").parse().unwrap())
    }

    #[test]
    fn a_return_is_read_once_and_shows_nothing() {
        let returned = read("code=secret-code&state=s&session_state=x&iss=https%3A%2F%2Fid.example").unwrap();
        assert_eq!(returned.state(), "s");
        assert!(!format!("{returned:?}").contains("secret-code"));
        for query in [
            "",
            "code=a",
            "state=s",
            "code=a&state=",
            "code=a&code=b&state=s",
            "code=a&state=s&state=t",
            "code=a&error=b&state=s",
        ] {
            assert!(read(query).is_err(), "{query}");
        }
        assert!(read(&format!("state=s&code={}", "a".repeat(LONGEST + 1))).is_err());
    }
}
