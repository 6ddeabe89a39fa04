//! An address that tokens may be sent to, or a person be led to: nobody on the way can read or change what is sent.

use std::fmt;

use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::DefinitionError;

/// https, or this machine itself; without credentials and fragment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint(Url);

impl Endpoint {
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.0
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl TryFrom<Url> for Endpoint {
    type Error = DefinitionError;

    fn try_from(url: Url) -> Result<Self, DefinitionError> {
        let host = url.host_str().unwrap_or_default();
        let here = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        if plain && !host.is_empty() && (url.scheme() == "https" || (url.scheme() == "http" && here)) {
            return Ok(Self(url));
        }
        Err(DefinitionError::NotSafe)
    }
}

impl TryFrom<String> for Endpoint {
    type Error = DefinitionError;

    fn try_from(text: String) -> Result<Self, DefinitionError> {
        Url::parse(text.trim()).map_err(|_| DefinitionError::NotSafe)?.try_into()
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.0.into()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
