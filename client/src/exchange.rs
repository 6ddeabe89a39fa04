//! Requests as a user interface makes them: a method, a path with its query, a body, and the answer as it came. For
//! programs that show the API's answers and do not read them here; everybody else has the typed methods.

use bytes::{Bytes, BytesMut};
use foreman_link::http;
use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use reqwest::{
    Method, Url,
    header::{HeaderMap, HeaderName},
};

use crate::{Error, Foreman};

/// What belongs to the connection or to whoever is signed in, so no page may set it.
const NOT_ITS_OWN: [&str; 12] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "origin",
    "proxy-authorization",
    "referer",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// A request that is passed on.
#[derive(Debug, Clone)]
pub struct RawAsk {
    pub method: Method,
    /// With its query: `/api/v1/devices?limit=1` for a server, `/terminals` for a device.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Option<Bytes>,
}

/// An answer that is passed on, whatever its status; the body is read as fast as it is taken.
pub struct RawAnswer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: BoxStream<'static, Result<Bytes, Error>>,
}

impl RawAnswer {
    /// The whole body.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is longer than `limit` bytes, [`Error::Unreachable`] when it breaks off.
    pub async fn whole(mut self, limit: usize) -> Result<Bytes, Error> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.body.next().await {
            let chunk = chunk?;
            if body.len() + chunk.len() > limit {
                return Err(Error::Malformed { message: format!("it is longer than {limit} bytes") });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

/// Without what a page may not set.
pub(crate) fn passed_on(mut headers: HeaderMap) -> HeaderMap {
    for name in NOT_ITS_OWN {
        headers.remove(HeaderName::from_static(name));
    }
    headers
}

impl Foreman {
    /// Passes a request on to the API, with this program's bearer.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a path outside the API, and when there was no answer; an answer that refuses is none.
    pub async fn exchange(&self, ask: RawAsk) -> Result<RawAnswer, Error> {
        let url = self.within_api(&ask.path)?;
        let mut headers = passed_on(ask.headers);
        headers.extend(self.headers());
        let mut request = self.http().request(ask.method, url).headers(headers);
        if let Some(body) = ask.body {
            request = request.body(body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        if status.is_redirection() && status != reqwest::StatusCode::NOT_MODIFIED {
            let location = headers.get("location").and_then(|to| to.to_str().ok()).unwrap_or("elsewhere");
            return Err(Error::Moved { status: status.as_u16(), location: location.to_owned() });
        }
        let body = response.bytes_stream().map_err(http::RequestError::from).boxed();
        Ok(RawAnswer { status: status.as_u16(), headers, body })
    }

    /// The address of a path of the API, and of nothing else on that host.
    fn within_api(&self, path: &str) -> Result<Url, Error> {
        let invalid = || Error::Invalid { message: format!("{path} is not a path of the API") };
        let base: Url = self.url().parse().map_err(|_| invalid())?;
        let url: Url =
            format!("{}{}", self.url().trim_end_matches('/'), path).parse().map_err(|_| invalid())?;
        // Looked at after dots were resolved.
        let inside = url.path().starts_with(&format!("{}api/", base.path()));
        let here = url.origin() == base.origin() && url.username().is_empty() && path.starts_with('/');
        if inside && here { Ok(url) } else { Err(invalid()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_within_the_api_of_its_server() {
        let foreman = Foreman::new("https://example.org/foreman", "t").unwrap();
        let address = |path: &str| foreman.within_api(path).map(|url| url.to_string()).ok();
        assert_eq!(
            address("/api/v1/devices?q=a%20b").unwrap(),
            "https://example.org/foreman/api/v1/devices?q=a%20b"
        );
        for outside in [
            "/metrics",
            "/api/../metrics",
            "/api/%2e%2e/metrics",
            "/api/../../../other/api/x",
            "api/v1/devices",
            "@evil.example/api/",
            ".evil.example/api/",
            "//evil.example/api/",
            "",
        ] {
            assert_eq!(address(outside), None, "{outside}");
        }
    }

    #[test]
    fn a_page_cannot_speak_for_the_connection() {
        let mut headers = HeaderMap::new();
        for name in ["authorization", "cookie", "host", "if-match"] {
            headers.insert(HeaderName::from_static(name), "x".parse().unwrap());
        }
        let left = passed_on(headers);
        assert_eq!(left.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["if-match"]);
    }
}
