//! The connection to one server: its address, the bearer, and how a request is made.

use std::{borrow::Cow, collections::VecDeque, fmt, time::Duration};

use foreman_link::http;
use foreman_protocol::{DeviceId, MAX_PAGE, Page};
use futures_util::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use reqwest::{
    Client, Method, RequestBuilder, Url,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::Error;

/// How long a request that is not a stream may take.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// All items of a list, fetched page by page as they are asked for. It ends after the first error.
pub type Listing<T> = BoxStream<'static, Result<T, Error>>;

/// Which page of a list.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    /// At most [`MAX_PAGE`]; the server's default when absent.
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

/// One Foreman server and the right to use it. Clones share the connections.
#[derive(Clone)]
pub struct Foreman {
    http: Client,
    base: Url,
    headers: HeaderMap,
}

impl fmt::Debug for Foreman {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Foreman").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl Foreman {
    /// `url` is where the server is reached, with or without a path before `/api`; `bearer` the secret of a token.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the address is not http(s) or the bearer cannot stand in a header.
    pub fn new(url: &str, bearer: &str) -> Result<Self, Error> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", bearer.trim()))
            .map_err(|_| invalid("the token has characters that no token has".to_owned()))?;
        authorization.set_sensitive(true);
        let headers = HeaderMap::from_iter([(AUTHORIZATION, authorization)]);
        Ok(Self { headers, ..Self::anonymous(url)? })
    }

    /// The same over connections of its own: those that wait to be used again may be dead without a word, after a sleep of
    /// this machine.
    ///
    /// # Errors
    /// When the system's certificates cannot be read.
    pub fn connected_anew(&self) -> Result<Self, Error> {
        Ok(Self { http: http::client()?, ..self.clone() })
    }

    /// Without a bearer, for what may be asked by anybody.
    pub(crate) fn anonymous(url: &str) -> Result<Self, Error> {
        let whole = |base: &Url| matches!(base.scheme(), "http" | "https");
        let mut base = Url::parse(url.trim()).ok().filter(whole).ok_or_else(|| {
            invalid(format!(
                "{url} is no address of a server: one begins with https:// or http://, like https://foreman.example.org \
                 or http://192.168.1.20:3001"
            ))
        })?;
        let path = format!("{}/", base.path().trim_end_matches('/'));
        base.set_path(&path);
        base.set_query(None);
        base.set_fragment(None);
        Ok(Self { http: http::client()?, base, headers: HeaderMap::new() })
    }

    /// Reads `FOREMAN_URL` (default `http://127.0.0.1:3001`) and `FOREMAN_TOKEN`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the token is absent or either cannot be used.
    pub fn from_env() -> Result<Self, Error> {
        let url = std::env::var("FOREMAN_URL").unwrap_or_else(|_| "http://127.0.0.1:3001".to_owned());
        let token = std::env::var("FOREMAN_TOKEN").map_err(|_| Error::Invalid {
            message: "FOREMAN_TOKEN is not set: make one with `foreman-server token create`".to_owned(),
        })?;
        Self::new(&url, &token)
    }

    /// The address this was made with.
    #[must_use]
    pub fn url(&self) -> &str {
        self.base.as_str()
    }

    /// `path` is relative to `/api/v1/` and made of constants and ids.
    pub(crate) fn address(&self, path: &str, query: &Query) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}api/v1/{path}", self.base.path()));
        if !query.0.is_empty() {
            url.query_pairs_mut().extend_pairs(&query.0);
        }
        url
    }

    /// What the server has beside its API; `path` is a constant.
    pub(crate) fn beside_the_api(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path()));
        url
    }

    /// The same for a WebSocket; `path` may have a query.
    pub(crate) fn web_socket_address(&self, path: &str) -> String {
        format!("{}api/v1/{path}", self.base.as_str().replacen("http", "ws", 1))
    }

    /// Where a sealed link to a device can be had through the server.
    pub(crate) fn relay_address(&self, id: DeviceId) -> String {
        self.web_socket_address(&format!("devices/{id}/relay"))
    }

    pub(crate) fn http(&self) -> &Client {
        &self.http
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    /// A request without a time limit.
    pub(crate) fn open_ended(&self, method: Method, path: &str, query: &Query) -> RequestBuilder {
        self.http.request(method, self.address(path, query)).headers(self.headers.clone())
    }

    pub(crate) fn request(&self, method: Method, path: &str, query: &Query) -> RequestBuilder {
        self.open_ended(method, path, query).timeout(REQUEST_TIMEOUT)
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, query: &Query) -> Result<T, Error> {
        http::json(self.request(Method::GET, path, query)).await
    }

    pub(crate) async fn send_json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, Error> {
        http::json(self.request(method, path, &Query::default()).json(body)).await
    }

    pub(crate) async fn send_empty(&self, method: Method, path: &str) -> Result<(), Error> {
        http::send(self.request(method, path, &Query::default())).await.map(drop)
    }

    pub(crate) async fn page<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Query,
        page: &PageRequest,
    ) -> Result<Page<T>, Error> {
        let mut query = query.clone();
        query.add("limit", page.limit);
        query.add("cursor", page.cursor.as_ref());
        self.get(path, &query).await
    }

    pub(crate) fn listing<T: DeserializeOwned + Send + 'static>(
        &self,
        path: String,
        query: Query,
    ) -> Listing<T> {
        let foreman = self.clone();
        let first = Some(PageRequest { limit: Some(MAX_PAGE), cursor: None });
        let pages = stream::try_unfold(first, move |next| {
            let (foreman, path, query) = (foreman.clone(), path.clone(), query.clone());
            async move {
                let Some(request) = next else { return Ok::<_, Error>(None) };
                let page: Page<T> = foreman.page(&path, &query, &request).await?;
                let after = page.next.map(|cursor| PageRequest { cursor: Some(cursor), ..request });
                Ok(Some((VecDeque::from(page.items), after)))
            }
        });
        pages.map_ok(|items| stream::iter(items).map(Ok)).try_flatten().boxed()
    }
}

const fn invalid(message: String) -> Error {
    Error::Invalid { message }
}

/// The part of an address behind `?`; absent values are left out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(Cow<'static, str>, String)>);

impl Query {
    pub(crate) fn add(&mut self, name: impl Into<Cow<'static, str>>, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.0.push((name.into(), value.to_string()));
        }
    }

    /// What goes behind `?`, when there is something.
    pub(crate) fn encoded(&self) -> Option<String> {
        let mut url = Url::parse("http://device/").ok().filter(|_| !self.0.is_empty())?;
        url.query_pairs_mut().extend_pairs(&self.0);
        url.query().map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_a_path_before_the_api_and_escape_values() {
        let foreman = Foreman::new("https://example.org/foreman/?x#y", "t").unwrap();
        let mut query = Query::default();
        query.add("q", Some("a b&c"));
        query.add("cursor", None::<String>);
        let address = foreman.address("devices", &query);
        assert_eq!(address.as_str(), "https://example.org/foreman/api/v1/devices?q=a+b%26c");
    }

    #[test]
    fn a_web_socket_keeps_the_path_and_the_encryption() {
        let foreman = Foreman::new("https://example.org/foreman", "t").unwrap();
        assert_eq!(foreman.web_socket_address("x?a=b"), "wss://example.org/foreman/api/v1/x?a=b");
        let plain = Foreman::new("http://127.0.0.1:1", "t").unwrap();
        assert_eq!(plain.web_socket_address("x"), "ws://127.0.0.1:1/api/v1/x");
    }

    #[test]
    fn what_cannot_work_is_said_at_once() {
        for url in ["", "notaurl", "example.org", "localhost:3001", "ftp://example.org", "https://"] {
            let said = Foreman::new(url, "t").err().map(|error| error.to_string()).unwrap_or_default();
            assert!(said.contains("begins with https:// or http://, like https://"), "{url}: {said}");
        }
        assert!(Foreman::new("http://example.org", "a\nb").is_err());
    }

    #[test]
    fn the_bearer_is_not_shown() {
        let foreman = Foreman::new("http://example.org", "fm_secret").unwrap();
        assert!(!format!("{foreman:?} {:?}", foreman.headers()).contains("fm_secret"));
    }
}
