//! What a program asks for, read strictly. A request that cannot be told from a forged one (an unknown client, another
//! way back) is answered to the person only; any other mistake goes back to the program.

use std::net::{Ipv4Addr, Ipv6Addr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use foreman_protocol::{
    APP_CLIENT, APP_RETURN, AuthorizationClient, AuthorizationError, AuthorizationRequest,
    COMMAND_LINE_CLIENT, Role,
};
use reqwest::Url;

use crate::{
    bounds,
    problem::{ApiError, ApiResult},
};

/// Bytes.
const LONGEST_STATE: usize = 512;
/// Bytes.
const LONGEST_ADDRESS: usize = 256;

/// A request that a person may decide about.
pub struct Asked {
    pub client: AuthorizationClient,
    pub client_name: String,
    pub redirect_uri: String,
    pub state: Option<String>,
    pub code_challenge: String,
    /// What is asked for, where it is said.
    pub role: Option<Role>,
}

impl Asked {
    pub fn back(&self) -> Back {
        Back { redirect_uri: self.redirect_uri.clone(), state: self.state.clone() }
    }
}

/// The way back to the program.
pub struct Back {
    redirect_uri: String,
    state: Option<String>,
}

impl Back {
    pub fn granted(&self, code: &str, issuer: &str) -> ApiResult<String> {
        self.with("code", code, issuer)
    }

    pub fn refusal(&self, error: AuthorizationError, issuer: &str) -> ApiResult<String> {
        self.with("error", error.as_str(), issuer)
    }

    fn with(&self, name: &str, value: &str, issuer: &str) -> ApiResult<String> {
        let mut url = Url::parse(&self.redirect_uri).map_err(ApiError::internal)?;
        let mut query = url.query_pairs_mut();
        query.append_pair(name, value);
        if let Some(state) = &self.state {
            query.append_pair("state", state);
        }
        query.append_pair("iss", issuer);
        drop(query);
        Ok(url.into())
    }
}

pub enum Understood {
    Asked(Asked),
    Refused { error: AuthorizationError, back: Back },
}

/// Reads a request.
///
/// # Errors
/// `invalid_request` when nobody may be told but the person who looks at it.
pub fn understand(request: AuthorizationRequest) -> ApiResult<Understood> {
    let client = match request.client_id.as_deref() {
        Some(APP_CLIENT) => AuthorizationClient::App,
        Some(COMMAND_LINE_CLIENT) => AuthorizationClient::CommandLine,
        _ => return Err(ApiError::invalid("client_id", "This server knows no such program.")),
    };
    let redirect_uri = request.redirect_uri.unwrap_or_default();
    let ours = match client {
        AuthorizationClient::App => redirect_uri == APP_RETURN,
        AuthorizationClient::CommandLine => is_loopback(&redirect_uri),
    };
    if !ours {
        return Err(ApiError::invalid("redirect_uri", "This program does not come back to such an address."));
    }
    let state = request.state;
    if state.as_ref().is_some_and(|state| state.len() > LONGEST_STATE) {
        return Err(ApiError::invalid("state", format!("This is longer than {LONGEST_STATE} bytes.")));
    }
    let refused =
        |error, redirect_uri, state| Ok(Understood::Refused { error, back: Back { redirect_uri, state } });
    match request.response_type.as_deref() {
        Some("code") => {}
        None => return refused(AuthorizationError::InvalidRequest, redirect_uri, state),
        Some(_) => return refused(AuthorizationError::UnsupportedResponseType, redirect_uri, state),
    }
    let role = match request.scope.as_deref().map(role) {
        Some(None) => return refused(AuthorizationError::InvalidScope, redirect_uri, state),
        role => role.flatten(),
    };
    let s256 = request.code_challenge_method.as_deref() == Some("S256");
    let challenge = request.code_challenge.filter(|challenge| s256 && is_challenge(challenge));
    let name = bounds::name("client_name", request.client_name.as_deref().unwrap_or(default_name(client)));
    let (Some(code_challenge), Ok(client_name)) = (challenge, name) else {
        return refused(AuthorizationError::InvalidRequest, redirect_uri, state);
    };
    Ok(Understood::Asked(Asked { client, client_name, redirect_uri, state, code_challenge, role }))
}

const fn default_name(client: AuthorizationClient) -> &'static str {
    match client {
        AuthorizationClient::App => "Foreman",
        AuthorizationClient::CommandLine => "foreman",
    }
}

fn role(scope: &str) -> Option<Role> {
    Role::ALL.into_iter().find(|role| role.as_str() == scope)
}

/// SHA-256 as base64url without padding; RFC 7636, section 4.2.
fn is_challenge(text: &str) -> bool {
    text.len() == 43 && URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == 32)
}

/// A port of the machine that the browser runs on, by its number and written in the one way there is, so that what a
/// person reads is where the browser goes. Names are none: they can be made to mean another machine (RFC 8252, 8.3).
fn is_loopback(text: &str) -> bool {
    if text.len() > LONGEST_ADDRESS {
        return false;
    }
    let Ok(url) = Url::parse(text) else { return false };
    let host = url.host_str().unwrap_or_default();
    let here = host == Ipv4Addr::LOCALHOST.to_string() || host == format!("[{}]", Ipv6Addr::LOCALHOST);
    let plain = url.username().is_empty() && url.password().is_none();
    let bare = url.query().is_none() && url.fragment().is_none();
    here && plain
        && bare
        && url.scheme() == "http"
        && url.port().is_some_and(|port| port > 0)
        && url.as_str() == text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(client: &str, redirect_uri: &str) -> AuthorizationRequest {
        let text = |text: &str| Some(text.to_owned());
        AuthorizationRequest {
            response_type: text("code"),
            client_id: text(client),
            redirect_uri: text(redirect_uri),
            state: text("a state & more"),
            scope: None,
            code_challenge: text("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            code_challenge_method: text("S256"),
            client_name: text("Foreman on laptop"),
        }
    }

    fn refused(request: AuthorizationRequest) -> Option<AuthorizationError> {
        match understand(request) {
            Ok(Understood::Refused { error, back }) => {
                let url = back.refusal(error, "https://foreman.example").unwrap();
                assert!(url.ends_with("&state=a+state+%26+more&iss=https%3A%2F%2Fforeman.example"), "{url}");
                Some(error)
            }
            _ => None,
        }
    }

    #[test]
    fn a_program_comes_back_where_it_may_and_nowhere_else() {
        for (client, good) in [
            (APP_CLIENT, "foreman://signed-in"),
            (COMMAND_LINE_CLIENT, "http://127.0.0.1:41234/"),
            (COMMAND_LINE_CLIENT, "http://127.0.0.1:1/signed-in"),
            (COMMAND_LINE_CLIENT, "http://[::1]:41234/signed-in"),
        ] {
            assert!(matches!(understand(asked(client, good)), Ok(Understood::Asked(_))), "{good}");
        }
        for (client, bad) in [
            ("", "foreman://signed-in"),
            ("foreman", "foreman://signed-in"),
            (APP_CLIENT, ""),
            (APP_CLIENT, "foreman://signed-in/"),
            (APP_CLIENT, "foreman://signed-in?x"),
            (APP_CLIENT, "foreman://signed-in#x"),
            (APP_CLIENT, "Foreman://signed-in"),
            (APP_CLIENT, "foreman://signed-in.evil.example"),
            (APP_CLIENT, "foremanx://signed-in"),
            (APP_CLIENT, "http://127.0.0.1:41234/"),
            (COMMAND_LINE_CLIENT, "foreman://signed-in"),
            (COMMAND_LINE_CLIENT, "http://localhost:41234/"),
            (COMMAND_LINE_CLIENT, "http://127.0.0.1/"),
            (COMMAND_LINE_CLIENT, "http://127.0.0.1:80/"),
            (COMMAND_LINE_CLIENT, "http://127.0.0.1:0/"),
            (COMMAND_LINE_CLIENT, "https://127.0.0.1:41234/"),
            (COMMAND_LINE_CLIENT, "http://127.1:41234/"),
            (COMMAND_LINE_CLIENT, "http://2130706433:41234/"),
            (COMMAND_LINE_CLIENT, "http://127.0.0.2:41234/"),
            (COMMAND_LINE_CLIENT, "http://127.0.0.1:41234"),
            (COMMAND_LINE_CLIENT, "http://127.0.0.1:41234\\@evil.example/"),
            (COMMAND_LINE_CLIENT, "http://127.0.0.1:41234@evil.example/"),
            (COMMAND_LINE_CLIENT, "http://127.0.0.1:41234/?next=https://evil.example"),
            (COMMAND_LINE_CLIENT, "http://127.0.0.1:41234/#x"),
            (COMMAND_LINE_CLIENT, "http://127.0.0.1.evil.example:41234/"),
            (COMMAND_LINE_CLIENT, "http://[::ffff:127.0.0.1]:41234/"),
            (COMMAND_LINE_CLIENT, "javascript:alert(1)"),
        ] {
            assert!(understand(asked(client, bad)).is_err(), "{client} {bad}");
        }
        let long = format!("http://127.0.0.1:41234/{}", "a".repeat(LONGEST_ADDRESS));
        assert!(understand(asked(COMMAND_LINE_CLIENT, &long)).is_err());
    }

    #[test]
    fn a_program_that_may_be_told_is_told_what_is_wrong() {
        use AuthorizationError::{InvalidRequest, InvalidScope, UnsupportedResponseType};
        let with = |change: fn(&mut AuthorizationRequest)| {
            let mut request = asked(APP_CLIENT, APP_RETURN);
            change(&mut request);
            refused(request)
        };
        assert_eq!(with(|_| ()), None);
        assert_eq!(with(|it| it.response_type = None), Some(InvalidRequest));
        assert_eq!(with(|it| it.response_type = Some("token".into())), Some(UnsupportedResponseType));
        assert_eq!(with(|it| it.scope = Some("viewer owner".into())), Some(InvalidScope));
        assert_eq!(with(|it| it.code_challenge = None), Some(InvalidRequest));
        assert_eq!(with(|it| it.code_challenge = Some("short".into())), Some(InvalidRequest));
        assert_eq!(with(|it| it.code_challenge_method = None), Some(InvalidRequest));
        assert_eq!(with(|it| it.code_challenge_method = Some("plain".into())), Some(InvalidRequest));
        assert_eq!(with(|it| it.client_name = Some("a\nb".into())), Some(InvalidRequest));
        let mut long = asked(APP_CLIENT, APP_RETURN);
        long.state = Some("s".repeat(LONGEST_STATE + 1));
        assert!(understand(long).is_err());
    }
}
