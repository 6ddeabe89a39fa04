//! What a browser came back with, read once.

use std::fmt;

use reqwest::Url;
use zeroize::Zeroizing;

/// Longest code or state that is read. Bytes.
const LONGEST: usize = 4_096;

/// What came back. It is worth nothing to whoever does not have the verifier, and is shown nowhere all the same.
#[derive(Clone, PartialEq, Eq)]
pub struct Returned {
    state: String,
    /// The code, or the error's name.
    outcome: Result<Zeroizing<String>, String>,
    issuer: Option<String>,
}

/// Something is doubled, absent or over-long: it is no return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no return from a sign-in")]
pub struct NoReturn;

impl fmt::Debug for Returned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Returned").field("allowed", &self.outcome.is_ok()).finish_non_exhaustive()
    }
}

impl Returned {
    /// Reads the address of a return. What is there beyond OAuth is passed over, as RFC 6749 wants it.
    ///
    /// # Errors
    /// [`NoReturn`]
    pub fn of(url: &Url) -> Result<Self, NoReturn> {
        Self::read(url, false)
    }

    /// Reads the address of a return from a Foreman server, which has nothing that is not known, and names the server.
    ///
    /// # Errors
    /// [`NoReturn`]
    pub fn strictly_of(url: &Url) -> Result<Self, NoReturn> {
        Self::read(url, true)
    }

    fn read(url: &Url, strictly: bool) -> Result<Self, NoReturn> {
        let (mut state, mut code, mut error, mut issuer) = (None, None, None, None);
        for (name, value) in url.query_pairs() {
            let kept = match &*name {
                "state" => &mut state,
                "code" => &mut code,
                "error" => &mut error,
                "iss" => &mut issuer,
                _ if strictly => return Err(NoReturn),
                _ => continue,
            };
            if value.is_empty() || value.len() > LONGEST || kept.replace(value.into_owned()).is_some() {
                return Err(NoReturn);
            }
        }
        if strictly && issuer.is_none() {
            return Err(NoReturn);
        }
        let outcome = match (code, error) {
            (Some(code), None) => Ok(code.into()),
            (None, Some(error)) => Err(error),
            _ => return Err(NoReturn),
        };
        Ok(Self { state: state.ok_or(NoReturn)?, outcome, issuer })
    }

    pub(crate) fn state(&self) -> &str {
        &self.state
    }

    pub(crate) fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// The person said yes.
    pub(crate) const fn is_allowed(&self) -> bool {
        self.outcome.is_ok()
    }

    pub(crate) fn into_outcome(self) -> Result<Zeroizing<String>, String> {
        self.outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Returned, NoReturn> {
        Returned::of(&format!("foreman://provider-signed-in?{query}").parse().unwrap())
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

    #[test]
    fn a_return_from_a_server_names_it_and_has_nothing_else() {
        let strictly =
            |query: &str| Returned::strictly_of(&format!("foreman://signed-in?{query}").parse().unwrap());
        assert!(strictly("code=a&state=s&iss=https://foreman.example").is_ok());
        assert!(strictly("error=access_denied&state=s&iss=https://foreman.example").is_ok());
        assert!(strictly("code=a&state=s").is_err());
        assert!(strictly("code=a&state=s&iss=https://foreman.example&next=x").is_err());
    }
}
