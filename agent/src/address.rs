//! The server's address as people write it.

use std::net::IpAddr;

use anyhow::{Context, bail};
use reqwest::Url;

/// The address without a path at its end; `https` is meant where nothing is said, `http` for this machine.
///
/// # Errors
/// When it is not the address of a server.
pub fn normalise(text: &str) -> anyhow::Result<String> {
    let text = text.trim();
    if text.is_empty() {
        bail!(
            "The server's address is empty. Give it with --server, for example --server https://foreman.example.org."
        );
    }
    let with_scheme = if text.contains("://") {
        text.to_owned()
    } else {
        let plain = parse(&format!("http://{text}"))?;
        if is_loopback(&plain) { format!("http://{text}") } else { format!("https://{text}") }
    };
    let url = parse(&with_scheme)?;
    if !matches!(url.scheme(), "http" | "https") {
        bail!("`{text}` is not an http or https address.");
    }
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        bail!(
            "`{text}` holds more than an address. Give only the server's address, the token goes with --token."
        );
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Whether the way to this address can be read by others.
#[must_use]
pub fn is_exposed(server: &str) -> bool {
    Url::parse(server).is_ok_and(|url| url.scheme() == "http" && !is_loopback(&url))
}

fn parse(text: &str) -> anyhow::Result<Url> {
    Url::parse(text).with_context(|| format!("`{text}` is not an address"))
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn people_write_it_in_many_ways() {
        for (text, expected) in [
            ("https://foreman.example.org/", "https://foreman.example.org"),
            ("foreman.example.org", "https://foreman.example.org"),
            (" localhost:3001 ", "http://localhost:3001"),
            ("127.0.0.1:3001", "http://127.0.0.1:3001"),
            ("http://[::1]:3001/base/", "http://[::1]:3001/base"),
        ] {
            assert_eq!(normalise(text).unwrap(), expected);
        }
        for wrong in ["", "ftp://x", "https://", "https://x/?token=1", "https://me:secret@x"] {
            assert!(normalise(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn plain_http_is_only_safe_on_this_machine() {
        assert!(is_exposed("http://192.168.1.4:3001"));
        assert!(!is_exposed("http://127.0.0.1:3001"));
        assert!(!is_exposed("http://[::1]:3001"));
        assert!(!is_exposed("https://foreman.example.org"));
    }

    proptest! {
        #[test]
        fn what_is_accepted_stays_as_it_is(text: String) {
            if let Ok(address) = normalise(&text) {
                prop_assert_eq!(normalise(&address).unwrap(), address);
            }
        }
    }
}
