//! What this server is called by whoever asks it: RFC 8414 wants the very address that was asked, and a server may have
//! several. A program compares it with the address that its person confirmed (RFC 9207), so that a code for one server is
//! never brought to another.

use axum::http::{HeaderMap, HeaderName, header};
use foreman_protocol::ProblemCode;

use crate::{
    config::Settings,
    problem::{ApiError, ApiResult},
};

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// By the name that was asked, which was found to be one of ours already.
pub fn of(headers: &HeaderMap, settings: &Settings) -> String {
    let host = text(headers, &header::HOST);
    if host.is_empty() || settings.is_public_origin(&format!("{}://{host}", scheme_of(&settings.public_url)))
    {
        return settings.public_url.clone();
    }
    // Whoever lies about this is the only one who reads it.
    let scheme = if text(headers, &FORWARDED_PROTO) == "https" { "https" } else { "http" };
    format!("{scheme}://{host}")
}

/// By the page that sends a decision. It was found to be ours already, where it says which it is.
pub fn of_page(headers: &HeaderMap, settings: &Settings) -> ApiResult<String> {
    let origin = text(headers, &header::ORIGIN);
    if !origin.contains("://") {
        // Every browser says where a POST comes from.
        return Err(ApiError::new(
            ProblemCode::Forbidden,
            "This is decided in a browser, on this server's own page.",
        ));
    }
    let public = settings.is_public_origin(origin);
    Ok(if public { settings.public_url.clone() } else { origin.to_owned() })
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn scheme_of(url: &str) -> &str {
    url.split_once("://").map_or("http", |(scheme, _)| scheme)
}
