//! Which addresses a provider may have. A person names them, and this server then goes there with a key: not to the
//! places where clouds hand out the rights of a machine, and in clear only within private networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::{HeaderMap, StatusCode, header};
use foreman_protocol::Provider;
use reqwest::Url;

use crate::problem::{ApiError, ApiResult};

const LONGEST: usize = 512;
/// Of Alibaba and Oracle; the others are in the link-local networks.
const METADATA_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];
/// Of Amazon and Google.
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254),
    Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254),
];

/// Whether nothing is ever sent there.
pub fn is_forbidden(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_broadcast()
                || METADATA_V4.contains(&ip)
        }
        IpAddr::V6(ip) => {
            ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_unicast_link_local()
                || METADATA_V6.contains(&ip)
                || carried(ip).is_some_and(|ip| is_forbidden(IpAddr::V4(ip)))
        }
    }
}

/// Whether it is this machine or in a private network, where requests may go in clear.
pub fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || matches!(ip.octets(), [100, 64..=127, ..]),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
    }
}

/// The IPv4 address that NAT64 or 6to4 leads to.
fn carried(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = ip.octets();
    match ip.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15])),
        [0x2002, ..] => Some(Ipv4Addr::new(octets[2], octets[3], octets[4], octets[5])),
        _ => None,
    }
}

/// A base address as it is kept: without a slash at the end. Names are looked at again each time they are resolved.
///
/// # Errors
/// `invalid_request` on `base_url`.
pub fn checked(text: &str) -> ApiResult<String> {
    let invalid = |message: &str| ApiError::invalid("base_url", message);
    let text = text.trim();
    if text.len() > LONGEST {
        return Err(invalid("This address is too long."));
    }
    let url = Url::parse(text).map_err(|_| {
        invalid("This is not an address. One looks like https://api.example.com/v1 or http://192.168.1.20:8000/v1.")
    })?;
    let (plain, host) = match (url.scheme(), url.host_str()) {
        ("https", Some(host)) => (false, host),
        ("http", Some(host)) => (true, host),
        _ => return Err(invalid("An address begins with https:// or http://.")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(
            "A name or password in an address would be shown. Give the key in its own field.",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("Give the address without what follows ? or #."));
    }
    if let Ok(ip) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        if is_forbidden(ip) {
            return Err(invalid("This address belongs to the machine's own network and is never asked."));
        }
        if plain && !is_private(ip) {
            return Err(invalid("A key would travel readable to this address. Use https."));
        }
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// What a call adds to a base address, for telling which one a redirect means.
const CALLS: [&str; 5] =
    ["/chat/completions", "/embeddings", "/messages/count_tokens", "/messages", "/models"];

/// The base address that a redirect leads to, to be shown: without what else it may carry.
pub fn redirected(provider: &Provider, status: StatusCode, headers: &HeaderMap) -> Option<String> {
    if !status.is_redirection() {
        return None;
    }
    let location = headers.get(header::LOCATION)?.to_str().ok()?;
    let base = provider.base_url.as_deref().and_then(|base| Url::parse(base).ok());
    let mut to = match &base {
        Some(base) => base.join(location).ok()?,
        None => Url::parse(location).ok()?,
    };
    let _ = (to.set_username(""), to.set_password(None));
    to.set_query(None);
    to.set_fragment(None);
    let to = to.as_str().trim_end_matches('/');
    let to = CALLS.iter().find_map(|call| to.strip_suffix(call)).unwrap_or(to);
    (to.len() <= LONGEST).then(|| to.to_owned())
}

/// Said wherever somebody waits for an answer from there.
pub fn leads_elsewhere(to: &str) -> String {
    format!("It leads on to {to}. No key is sent there by itself: enter that address if it is the right one.")
}

/// Whether it is asked without encryption.
pub fn is_plain(base_url: &str) -> bool {
    base_url.starts_with("http://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_where_machines_get_their_rights_are_refused() {
        for text in [
            "http://169.254.169.254/latest",
            "https://169.254.169.254",
            "http://[fe80::1]/v1",
            "http://[fd00:ec2::254]/v1",
            "http://[::ffff:169.254.169.254]/v1",
            "http://[64:ff9b::a9fe:a9fe]/v1",
            "http://2852039166/v1",
            "http://0xa9.0xfe.0xa9.0xfe/",
            "http://100.100.100.200/",
            "http://0.0.0.0:8000/v1",
        ] {
            assert!(checked(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_redirect_is_shown_as_the_address_that_is_meant() {
        let provider = serde_json::from_value(serde_json::json!({
            "id": foreman_protocol::ProviderId::fresh(), "kind": "openai_compatible", "auth": "none", "name": "lab",
            "base_url": "http://llm.lan/v1", "found": false, "enabled": true, "is_default": false, "use_for": [],
            "health": { "state": "up" }, "created_at": 0,
        }))
        .unwrap();
        for (location, shown) in [
            ("https://llm.lan/v1/models", "https://llm.lan/v1"),
            ("/api/v1/chat/completions", "http://llm.lan/api/v1"),
            ("https://u:p@sso.lan/login/?back=secret#x", "https://sso.lan/login"),
            ("//other.lan:8443/", "http://other.lan:8443"),
        ] {
            let headers = [(header::LOCATION, location.parse().unwrap())].into_iter().collect();
            assert_eq!(redirected(&provider, StatusCode::FOUND, &headers).as_deref(), Some(shown));
            assert_eq!(redirected(&provider, StatusCode::OK, &headers), None);
        }
        assert_eq!(redirected(&provider, StatusCode::FOUND, &HeaderMap::new()), None);
    }

    #[test]
    fn keys_travel_in_clear_only_within_private_networks() {
        for text in ["http://8.8.8.8/v1", "http://[2001:db8::1]/v1", "ftp://x/v1", "x", "https://"] {
            assert!(checked(text).is_err(), "{text}");
        }
        for text in
            ["https://u:p@api.example.com/v1", "https://api.example.com/v1?key=x", "https://a.example/#x"]
        {
            assert!(checked(text).is_err(), "{text}");
        }
        for (text, kept) in [
            ("https://api.example.com/v1/", "https://api.example.com/v1"),
            (" http://192.168.1.20:8000/v1 ", "http://192.168.1.20:8000/v1"),
            ("http://localhost:1234", "http://localhost:1234"),
            ("http://100.101.1.2:8000/v1", "http://100.101.1.2:8000/v1"),
            ("http://[::1]:9/", "http://[::1]:9"),
        ] {
            assert_eq!(checked(text).unwrap(), kept);
        }
    }
}
