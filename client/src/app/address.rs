//! What a person types, pastes or scans, read strictly and before anything is sent. A link only says what is meant;
//! that nothing happens without a person agreeing is decided by whoever asks them.

use std::{fmt, net::IpAddr};

use reqwest::Url;
use serde::{Deserialize, Serialize};

use foreman_protocol::APP_RETURN;

use super::providers_sign_in::RETURN_ADDRESS;
use crate::{NoReturn, Returned};

/// Links and addresses are short; what is longer was not made by a person or by Foreman. Bytes.
const LONGEST: usize = 2_048;
/// A return from a provider's page holds what the provider put there. Bytes.
const LONGEST_RETURN: usize = 8_192;

/// Why something is no address of a server. Its text is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("nothing was given")]
    Empty,
    #[error("this is longer than any address")]
    TooLong,
    #[error(
        "this is no address of a server: it begins with http:// or https://, or is a host with or without a port"
    )]
    NotAnAddress,
    #[error("an address must not hold a name or a password")]
    Credentials,
    #[error("this link is none of Foreman's, or of a newer version")]
    NotALink,
}

impl From<NoReturn> for AddressError {
    fn from(_: NoReturn) -> Self {
        Self::NotALink
    }
}

/// Where a server is: http or https, a host, perhaps a path. Without credentials, query and fragment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerAddress(Url);

impl ServerAddress {
    /// Reads what a person typed. Without `http…://` it is https, and http for this machine and the local network,
    /// where servers have no certificate.
    ///
    /// # Errors
    /// See [`AddressError`].
    pub fn typed(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if text.len() > LONGEST {
            return Err(AddressError::TooLong);
        }
        // The parser would drop tabs and line ends silently, and take a backslash for a slash.
        if text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(AddressError::NotAnAddress);
        }
        if text.contains("://") {
            return Self::strict(text);
        }
        let guess = Self::strict(&format!("https://{text}"))?;
        if guess.is_local() { Self::strict(&format!("http://{text}")) } else { Ok(guess) }
    }

    fn strict(text: &str) -> Result<Self, AddressError> {
        let mut url = Url::parse(text).map_err(|_| AddressError::NotAnAddress)?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(AddressError::NotAnAddress);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressError::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(AddressError::NotAnAddress);
        }
        let path = format!("{}/", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Ok(Self(url))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The host and the port, for people.
    #[must_use]
    pub fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// This machine itself: nobody is in between.
    #[must_use]
    pub fn is_this_machine(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default();
        host == "localhost" || self.ip().is_some_and(|ip| ip.is_loopback())
    }

    fn ip(&self) -> Option<IpAddr> {
        self.0.host_str()?.trim_matches(['[', ']']).parse().ok()
    }

    /// Names and addresses that are never on the internet.
    fn is_local(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default();
        let private = match self.ip() {
            Some(IpAddr::V4(ip)) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
            Some(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
            None => host == "localhost" || host.ends_with(".local") || !host.contains('.'),
        };
        private && !host.is_empty()
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for ServerAddress {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        Self::strict(&text)
    }
}

impl From<ServerAddress> for String {
    fn from(address: ServerAddress) -> Self {
        address.as_str().to_owned()
    }
}

/// A link to this app. What it names was chosen by whoever made it, so it is only ever shown and asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppLink {
    Pair(PairLink),
    /// A page of the dashboard, on the server at this address when it names one.
    Open {
        server: Option<ServerAddress>,
        page: String,
    },
    /// A browser comes back from a provider's page. It is nothing without the attempt that it belongs to.
    Returned(Returned),
    /// A browser comes back from a server's page. It is nothing without the sign-in that this app began.
    SignedIn(Returned),
}

/// `foreman://pair?server=https://…&fingerprint=…`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairLink {
    pub server: ServerAddress,
    /// What the server's certificate has to be: 64 hexadecimal digits.
    pub fingerprint: Option<String>,
}

impl AppLink {
    /// Reads a link strictly: nothing unknown, nothing twice.
    ///
    /// # Errors
    /// See [`AddressError`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let is_return = text.starts_with(RETURN_ADDRESS) || text.starts_with(APP_RETURN);
        let longest = if is_return { LONGEST_RETURN } else { LONGEST };
        if text.len() > longest {
            return Err(AddressError::TooLong);
        }
        let no = AddressError::NotALink;
        if text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(no);
        }
        let url = Url::parse(text).map_err(|_| no.clone())?;
        let plain = url.username().is_empty() && url.password().is_none() && url.port().is_none();
        if url.scheme() != "foreman" || !plain || url.fragment().is_some() {
            return Err(no);
        }
        if (url.host_str(), url.path()) == (Some("provider-signed-in"), "") {
            return Ok(Self::Returned(Returned::of(&url)?));
        }
        if (url.host_str(), url.path()) == (Some("signed-in"), "") {
            return Ok(Self::SignedIn(Returned::strictly_of(&url)?));
        }
        let mut given = Given::of(&url)?;
        let link = match (url.host_str(), url.path()) {
            (Some("pair"), "" | "/") => Self::Pair(PairLink {
                server: ServerAddress::typed(&given.take("server").ok_or(no.clone())?)?,
                fingerprint: given.take("fingerprint").map(|text| fingerprint(&text)).transpose()?,
            }),
            (Some("open"), page) => Self::Open {
                server: given.take("server").map(|text| ServerAddress::typed(&text)).transpose()?,
                page: page_of(page)?,
            },
            _ => return Err(no),
        };
        if given.0.is_empty() { Ok(link) } else { Err(no) }
    }
}

/// What a link has behind `?`, each name once.
struct Given(Vec<(String, String)>);

impl Given {
    fn of(url: &Url) -> Result<Self, AddressError> {
        let mut all: Vec<(String, String)> = Vec::new();
        for (name, value) in url.query_pairs() {
            if all.iter().any(|(known, _)| *known == name) {
                return Err(AddressError::NotALink);
            }
            all.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(all))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(at).1)
    }
}

/// Lower case, without what people put between digits.
fn fingerprint(text: &str) -> Result<String, AddressError> {
    let plain = text.strip_prefix("sha256:").unwrap_or(text);
    let digits: String = plain.chars().filter(|c| !matches!(c, ':' | ' ' | '-')).collect();
    let right = digits.len() == 64 && digits.chars().all(|c| c.is_ascii_hexdigit());
    right.then(|| digits.to_ascii_lowercase()).ok_or(AddressError::NotALink)
}

/// A page that only shows: ids and plain words. Pages that sign in or approve are not opened by a link to the app.
fn page_of(path: &str) -> Result<String, AddressError> {
    const FIRST: [&str; 6] = ["devices", "tasks", "work", "activity", "chat", "settings"];
    let mut parts = path.trim_start_matches('/').split('/');
    let first = parts.next().unwrap_or_default();
    let plain = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    if path.is_empty() || path == "/" {
        return Ok("/".to_owned());
    }
    if !path.starts_with('/') || path.starts_with("//") || !FIRST.contains(&first) || !parts.all(plain) {
        return Err(AddressError::NotALink);
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn typed(text: &str) -> Result<String, AddressError> {
        ServerAddress::typed(text).map(|address| address.as_str().to_owned())
    }

    #[test]
    fn what_people_type_becomes_an_address() {
        for (text, url) in [
            ("https://foreman.example", "https://foreman.example/"),
            (" foreman.example ", "https://foreman.example/"),
            ("foreman.example/under", "https://foreman.example/under/"),
            ("192.168.1.5:3001", "http://192.168.1.5:3001/"),
            ("localhost:3001", "http://localhost:3001/"),
            ("nas.local", "http://nas.local/"),
            ("[::1]:3001", "http://[::1]:3001/"),
            ("http://foreman.example", "http://foreman.example/"),
        ] {
            assert_eq!(typed(text).unwrap(), url, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "ftp://x",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "https://",
            "https://a b",
            "https://x\\y",
            "https://x/?q",
            "https://x/#y",
            "foreman://pair",
            "https://x\ny",
        ] {
            assert!(typed(text).is_err(), "{text}");
        }
        assert_eq!(typed("https://mia:secret@x"), Err(AddressError::Credentials));
        // A name before an @ looks like the host and is none.
        assert_eq!(typed("https://foreman.example@evil.example"), Err(AddressError::Credentials));
        assert_eq!(typed(&"x".repeat(3_000)), Err(AddressError::TooLong));
    }

    #[test]
    fn this_machine_is_told_from_others() {
        let here = |text: &str| ServerAddress::typed(text).unwrap().is_this_machine();
        assert!(here("http://127.0.0.1:3001") && here("localhost") && here("http://[::1]"));
        assert!(!here("http://192.168.1.5") && !here("http://localhost.evil.example"));
    }

    #[test]
    fn links_say_what_is_meant() {
        let digits = "AB".repeat(32);
        let link =
            format!("foreman://pair?server=https%3A%2F%2Fforeman.example%2F&fingerprint=sha256:{digits}");
        let AppLink::Pair(pair) = AppLink::parse(&link).unwrap() else { panic!("{link}") };
        assert_eq!(pair.server.as_str(), "https://foreman.example/");
        assert_eq!(pair.fingerprint.unwrap(), "ab".repeat(32));
        let open =
            AppLink::parse("foreman://open/devices/0199aa00-0000-7000-8000-000000000000/logs").unwrap();
        assert!(matches!(open, AppLink::Open { page, .. } if page.ends_with("/logs")));
        let back = "foreman://signed-in?code=c&state=s&iss=https%3A%2F%2Fforeman.example";
        assert!(matches!(AppLink::parse(back).unwrap(), AppLink::SignedIn(_)));
        assert_eq!(
            AppLink::parse("foreman://open").unwrap(),
            AppLink::Open { server: None, page: "/".to_owned() }
        );
    }

    #[test]
    fn hostile_links_mean_nothing() {
        for link in include_str!("hostile-links.txt").lines().filter(|line| !line.starts_with('#')) {
            assert!(AppLink::parse(link).is_err(), "{link}");
        }
        assert!(AppLink::parse(&format!("foreman://open/{}", "a/".repeat(2_000))).is_err());
        assert!(AppLink::parse("foreman://open/devices/a\nb").is_err());
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reading(text in ".{0,200}", tail in "[ -~]{0,120}") {
            let _ = ServerAddress::typed(&text);
            for link in [text, format!("foreman://pair?server={tail}"), format!("foreman://open/{tail}")] {
                if let Ok(AppLink::Open { page, .. }) = AppLink::parse(&link) {
                    prop_assert!(page.starts_with('/') && !page.starts_with("//") && !page.contains('\\'));
                }
            }
        }
    }
}
