//! What is known of a provider's sign-in, as data: nothing in here is particular to one of them.

use std::fmt;

use foreman_protocol::ProviderKind;
use serde::{Deserialize, Serialize};

use super::Endpoint;

/// Longest name, client id, scope or argument. Characters.
const LONGEST: usize = 256;
const MOST_SCOPES: usize = 32;
const MOST_ARGUMENTS: usize = 8;

/// Why a definition cannot be used. Its text is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    #[error("the definitions cannot be read: {reason}")]
    Unreadable { reason: String },
    #[error("{id}: {what}")]
    Wrong { id: String, what: &'static str },
    #[error("there are two definitions called {id}")]
    Twice { id: String },
    #[error("addresses begin with https://, or are on this machine, and hold no name or password")]
    NotSafe,
    #[error("there are more definitions than {most}")]
    TooMany { most: usize },
}

/// Names a definition, and what is kept for it: lower case letters, digits and hyphens, 1 to 40.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DefinitionId(String);

impl DefinitionId {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DefinitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for DefinitionId {
    type Error = DefinitionError;

    fn try_from(text: String) -> Result<Self, DefinitionError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if (1..=40).contains(&text.len()) && text.chars().all(plain) {
            return Ok(Self(text));
        }
        let id = text.chars().filter(|c| !c.is_control()).take(40).collect();
        Err(DefinitionError::Wrong { id, what: "a name has 1 to 40 small letters, digits and hyphens" })
    }
}

impl From<DefinitionId> for String {
    fn from(id: DefinitionId) -> Self {
        id.0
    }
}

/// A provider that people sign in to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    pub id: DefinitionId,
    /// For people.
    pub name: String,
    /// What has to be said before a sign-in is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
    pub oauth: OAuth,
    /// The vendor's own program signs in on a device and keeps what it gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_device: Option<OnDevice>,
    /// An API key in the vault does instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ProviderKind>,
    /// As what a server takes the token; absent where no server can use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault: Option<VaultEntry>,
}

/// Sentences that a page has to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Terms {
    /// Anthropic permits its own programs to sign people in to Claude, and others only when approved.
    Anthropic,
}

/// How somebody is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flow {
    /// A code is shown and typed in elsewhere (RFC 8628).
    Device,
    /// The browser comes back by a link (RFC 6749 with PKCE, RFC 7636).
    Browser,
}

/// How the token endpoint wants to be asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenRequest {
    #[default]
    Form,
    Json,
}

/// Endpoints, or an issuer that names them, and the client. A public client: there is no secret in here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuth {
    pub flow: Flow,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<Endpoint>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_endpoint: Option<Endpoint>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_authorization_endpoint: Option<Endpoint>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint: Option<Endpoint>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint: Option<Endpoint>,
    /// Where a person takes it back when no endpoint does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoke_page: Option<Endpoint>,
    /// Under which name the provider knows this app; given by whoever registered it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    #[serde(default)]
    pub token_request: TokenRequest,
}

/// Commands of the vendor's own program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnDevice {
    /// For people.
    pub program: String,
    /// Runs in a terminal that the person sees.
    pub sign_in: Vec<String>,
    pub sign_out: Vec<String>,
    /// Prints as JSON whether somebody is signed in (`loggedIn`) and perhaps who (`email`), and no secret; without
    /// `loggedIn`, ending with 0 says yes and with 1 no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Vec<String>>,
}

/// A provider of a server, as which the token is kept there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultEntry {
    pub kind: ProviderKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<Endpoint>,
}

impl Definition {
    /// # Errors
    /// [`DefinitionError::Wrong`] with what is wrong.
    pub fn check(&self) -> Result<(), DefinitionError> {
        let on_device = self.on_device.as_ref().map_or(Ok(()), OnDevice::check);
        plain(&self.name, "its name is empty or too long")
            .and(self.oauth.check())
            .and(on_device)
            .and(self.vault.as_ref().map_or(Ok(()), VaultEntry::check))
            .map_err(|what| DefinitionError::Wrong { id: self.id.to_string(), what })
    }
}

impl OAuth {
    /// Somebody has said whom to ask, and as whom.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        let begins = match self.flow {
            Flow::Device => &self.device_authorization_endpoint,
            Flow::Browser => &self.authorization_endpoint,
        };
        self.client_id.is_some()
            && (self.issuer.is_some() || (begins.is_some() && self.token_endpoint.is_some()))
    }

    fn check(&self) -> Result<(), &'static str> {
        if let Some(client) = &self.client_id {
            plain(client, "the client id is empty or too long")?;
        }
        // RFC 6749, section 3.3.
        let scope = |scope: &String| {
            (1..=LONGEST).contains(&scope.len())
                && scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
        };
        let scopes = self.scopes.len() <= MOST_SCOPES && self.scopes.iter().all(scope);
        if scopes { Ok(()) } else { Err("the scopes cannot be asked for") }
    }
}

impl OnDevice {
    fn check(&self) -> Result<(), &'static str> {
        plain(&self.program, "the program's name is empty or too long")?;
        let fits = |command: &Vec<String>| {
            (1..=MOST_ARGUMENTS).contains(&command.len())
                && command.iter().all(|argument| plain(argument, "").is_ok())
        };
        let all = [Some(&self.sign_in), Some(&self.sign_out), self.status.as_ref()];
        if all.into_iter().flatten().all(fits) { Ok(()) } else { Err("a command cannot be run") }
    }
}

impl VaultEntry {
    fn check(&self) -> Result<(), &'static str> {
        let own = matches!(self.kind, ProviderKind::Ollama);
        let address = self.kind != ProviderKind::OpenaiCompatible || self.base_url.is_some();
        if !own && address { Ok(()) } else { Err("no server takes its token like that") }
    }
}

fn plain(text: &str, what: &'static str) -> Result<(), &'static str> {
    let fits = (1..=LONGEST).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if fits && !text.trim().is_empty() { Ok(()) } else { Err(what) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(change: impl FnOnce(&mut Value)) -> Result<Definition, String> {
        let mut value = json!({
            "id": "x", "name": "X",
            "oauth": { "flow": "device", "issuer": "https://id.example", "client_id": "foreman" },
        });
        change(&mut value);
        let read: Definition = serde_json::from_value(value).map_err(|error| error.to_string())?;
        read.check().map_err(|error| error.to_string())?;
        Ok(read)
    }

    #[test]
    fn a_definition_says_whether_it_can_be_used() {
        assert!(read(|_| ()).unwrap().oauth.is_configured());
        assert!(!read(|x| drop(x["oauth"]["client_id"].take())).unwrap().oauth.is_configured());
        let halfway = read(|x| {
            x["oauth"] = json!({ "flow": "browser", "client_id": "c", "token_endpoint": "https://x/t" })
        });
        assert!(!halfway.unwrap().oauth.is_configured());
    }

    #[test]
    fn what_would_send_tokens_astray_is_refused() {
        for address in ["http://id.example", "ftp://x", "https://a:b@x", "https://x/#y", "javascript:x"] {
            assert!(read(|x| x["oauth"]["issuer"] = json!(address)).is_err(), "{address}");
            assert!(read(|x| x["oauth"]["token_endpoint"] = json!(address)).is_err(), "{address}");
        }
        assert!(read(|x| x["oauth"]["issuer"] = json!("http://127.0.0.1:9")).is_ok());
        assert!(read(|x| x["vault"] = json!({ "kind": "openai_compatible" })).is_err());
        assert!(read(|x| x["oauth"]["scopes"] = json!(["a b"])).is_err());
        assert!(read(|x| x["oauth"]["client_secret"] = json!("s")).is_err());
        assert!(read(|x| x["id"] = json!("../x")).is_err());
        assert!(read(|x| x["name"] = json!(" ")).is_err());
    }
}
