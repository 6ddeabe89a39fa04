//! Checks on the request itself: which `Host` it names, and whether a browser sent it from our own page.

use std::net::IpAddr;

use axum::{
    extract::Request,
    http::{Method, header, request::Parts},
};
use foreman_protocol::ProblemCode;

use crate::{
    config::Settings,
    problem::{ApiError, ApiResult},
};

/// Refuses names this server was not told to answer to: a page elsewhere can point its own name at our address
/// (DNS rebinding), but it cannot change the `Host` its visitors' browsers send. Plain addresses are no such name.
///
/// # Errors
/// `host_not_allowed`.
pub fn known_host(settings: &Settings, request: &Request) -> ApiResult<()> {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .or_else(|| request.uri().authority().map(axum::http::uri::Authority::as_str))
        .unwrap_or_default();
    let name = host_name(host);
    let address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    if address || name.eq_ignore_ascii_case("localhost") || settings.answers_to(name) {
        return Ok(());
    }
    Err(ApiError::new(
        ProblemCode::HostNotAllowed,
        format!("This server does not answer to {name:?}. Allow it with --allowed-host or --public-url."),
    ))
}

/// The host without its port.
pub fn host_name(authority: &str) -> &str {
    if authority.starts_with('[') {
        return authority.find(']').map_or(authority, |end| &authority[..=end]);
    }
    authority.split_once(':').map_or(authority, |(name, _)| name)
}

/// A cookie only counts when the page that sends it is ours: for a change, and for a WebSocket, which browsers open
/// to any site from any page.
pub fn same_origin(parts: &Parts, settings: &Settings) -> ApiResult<()> {
    let socket = parts.headers.contains_key(header::UPGRADE) || parts.method == Method::CONNECT;
    if !socket && matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let origin = match parts.headers.get(header::ORIGIN) {
        Some(origin) => origin.to_str().unwrap_or_default(),
        // No browser opens a WebSocket without one.
        None if socket => "nowhere",
        None => return Ok(()),
    };
    let host = parts.headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let same = origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host));
    if same || settings.is_public_origin(origin) {
        return Ok(());
    }
    Err(ApiError::new(
        ProblemCode::Forbidden,
        format!(
            "This request came from a page of {origin:?}, not of this server, so it was not carried out. If that is \
             this server's own address, tell it with --public-url (FOREMAN_PUBLIC_URL). Programs send a bearer token."
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_cut_from_hosts() {
        assert_eq!(host_name("localhost:3001"), "localhost");
        assert_eq!(host_name("[::1]:3001"), "[::1]");
        assert_eq!(host_name("foreman.example"), "foreman.example");
        assert_eq!(host_name(""), "");
    }
}
