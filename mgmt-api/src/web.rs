//! What browsers and installers fetch: the dashboard, the API's readable page, the agent and its install script.

mod api_page;
mod downloads;
mod read_out;

use std::{borrow::Cow, sync::LazyLock};

use axum::{
    Router,
    http::{HeaderName, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use rust_embed::{EmbeddedFile, RustEmbed};
use sha2::{Digest, Sha256};

use crate::{App, link::through::PassedOn, problem::ApiError};

pub use api_page::api_page;
pub use read_out::read_out;

/// The built dashboard. Read from disk in debug builds, inside the binary in release builds.
#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../build"]
#[allow_missing = true]
struct Dashboard;

const INDEX: &str = "index.html";
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
/// Kit names these files by their content.
const IMMUTABLE: &str = "_app/immutable/";

pub fn router() -> Router<App> {
    Router::new().merge(downloads::router()).route("/", get(index)).fallback(file)
}

async fn index() -> Response {
    page()
}

/// A file of the dashboard, or the page itself for the dashboard's own addresses.
async fn file(uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path.starts_with("api/") || path.starts_with("downloads/") {
        return ApiError::not_found("address").into_response();
    }
    match Dashboard::get(path) {
        Some(file) if path != INDEX => asset(path, file),
        _ if path.starts_with("_app/") => ApiError::not_found("file").into_response(),
        _ => page(),
    }
}

fn asset(path: &str, file: EmbeddedFile) -> Response {
    let caching =
        if path.starts_with(IMMUTABLE) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let kind = file.metadata.mimetype().to_owned();
    let etag = format!("\"{}\"", crate::events::hex(&file.metadata.sha256_hash()));
    let mut response = bytes(file.data).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    for (name, value) in [(header::CONTENT_TYPE, kind), (header::ETAG, etag)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    response
}

fn bytes(data: Cow<'static, [u8]>) -> axum::body::Body {
    match data {
        Cow::Borrowed(data) => axum::body::Body::from(data),
        Cow::Owned(data) => axum::body::Body::from(data),
    }
}

fn page() -> Response {
    match Dashboard::get(INDEX) {
        Some(file) => html(String::from_utf8_lossy(&file.data).into_owned()),
        None => {
            let text = "<!doctype html><title>Foreman</title><p>The server runs, but this build has no dashboard. \
                        Build it with ./dev up and start again.";
            (StatusCode::SERVICE_UNAVAILABLE, html(text.to_owned())).into_response()
        }
    }
}

pub fn html(text: String) -> Response {
    let mut response = axum::response::Html(text).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// What a page may load and do: only what comes from here, and the inline start script by its hash.
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let index = Dashboard::get(INDEX)
        .map(|file| String::from_utf8_lossy(&file.data).into_owned())
        .unwrap_or_default();
    let hashes: String = inline_scripts(&index)
        .map(|script| format!(" 'sha256-{}'", STANDARD.encode(Sha256::digest(script.as_bytes()))))
        .collect();
    let policy = format!(
        "default-src 'self'; script-src 'self'{hashes}; style-src 'self'; style-src-attr 'unsafe-inline'; \
         img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'self'; \
         form-action 'self'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).ok()
});

/// The contents of `<script>` elements without attributes, which is how Kit writes its start script.
fn inline_scripts(html: &str) -> impl Iterator<Item = &str> {
    html.split("<script>").skip(1).filter_map(|rest| rest.split_once("</script>").map(|(script, _)| script))
}

pub fn security_headers(mut response: Response) -> Response {
    // What comes from a device has a stricter policy of its own.
    let passed_on = response.extensions().get::<PassedOn>().is_some();
    let headers = response.headers_mut();
    if let Some(policy) = POLICY.as_ref()
        && !passed_on
    {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(PERMISSIONS_POLICY, HeaderValue::from_static("camera=(), microphone=(), geolocation=()"));
    headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_inline_scripts_are_hashed() {
        let html = "<script src=\"/a.js\"></script><script>start()</script><p>x</p><script>\n2\n</script>";
        assert_eq!(inline_scripts(html).collect::<Vec<_>>(), ["start()", "\n2\n"]);
    }
}
