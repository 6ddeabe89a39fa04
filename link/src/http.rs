//! The one HTTP client, and reading its answers into typed errors.
//!
//! No total time-out is set, because streams live for days: a request that must end in time carries its own
//! (`RequestBuilder::timeout`). Redirects are not followed: they would turn a `POST` into a `GET`, so the caller
//! is told where the server has moved.

mod error;
mod proxy;

use std::time::Duration;

use serde::de::DeserializeOwned;

pub use error::RequestError;
pub(crate) use error::describe;
pub(crate) use proxy::Settings as ProxySettings;

/// How long the way to the server may take: name, TCP and TLS together.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Above this an error's body is not read further.
const ERROR_BODY_LIMIT: usize = 64 * 1024;

/// Makes `ring` the process's cryptography for TLS. Doing it twice changes nothing.
pub fn install_crypto_provider() {
    // An error says that somebody installed one already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The client of Foreman's programs. Make one for a process and clone it: clones share the connections.
///
/// Proxies named by `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` (either case) are used except for what `NO_PROXY`
/// names and for this machine itself.
///
/// # Errors
/// When a proxy's address cannot be understood or the system's certificates cannot be read.
pub fn client() -> Result<reqwest::Client, RequestError> {
    client_in(|name| std::env::var(name).ok())
}

fn client_in(variable: impl Fn(&str) -> Option<String>) -> Result<reqwest::Client, RequestError> {
    install_crypto_provider();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("foreman/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_keepalive(Duration::from_secs(30))
        .tcp_nodelay(true)
        // So that a person can be shown whose certificate it is.
        .tls_info(true)
        .pool_max_idle_per_host(2)
        .pool_idle_timeout(Duration::from_secs(60))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    for proxy in proxy::from_environment(variable)? {
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(RequestError::from)
}

/// Sends a request and gives back the answer only when it is a success.
///
/// # Errors
/// See [`RequestError`].
pub async fn send(request: reqwest::RequestBuilder) -> Result<reqwest::Response, RequestError> {
    let mut response = request.send().await?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    if status.is_redirection() {
        let location = response.headers().get(reqwest::header::LOCATION);
        return Err(RequestError::Moved {
            status: status.as_u16(),
            location: location.and_then(|value| value.to_str().ok()).unwrap_or("an unnamed place").to_owned(),
        });
    }
    let mut body = Vec::new();
    // A body that breaks off still has its status, which is the better news.
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > ERROR_BODY_LIMIT {
            break;
        }
    }
    Err(RequestError::from_answer(status.as_u16(), &body))
}

/// Sends a request and reads the answer's JSON.
///
/// # Errors
/// See [`RequestError`]; [`RequestError::Malformed`] when the answer is not what was expected.
pub async fn json<T: DeserializeOwned>(request: reqwest::RequestBuilder) -> Result<T, RequestError> {
    let body = send(request).await?.bytes().await?;
    serde_json::from_slice(&body).map_err(|error| RequestError::Malformed { message: error.to_string() })
}

#[cfg(test)]
mod tests {
    use axum::{Router, response::Redirect, routing::get};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    async fn serve() -> String {
        let router = Router::new()
            .route("/number", get(|| async { "7" }))
            .route("/moved", get(|| async { Redirect::temporary("https://foreman.example/") }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    #[tokio::test]
    async fn this_machine_is_reached_without_the_proxy_and_others_through_it() {
        let client =
            client_in(|name| (name == "http_proxy").then(|| "http://127.0.0.1:1".to_owned())).unwrap();
        let url = serve().await;
        assert_eq!(json::<u32>(client.get(format!("{url}/number"))).await.unwrap(), 7);
        let error = send(client.get("http://192.0.2.1/")).await.unwrap_err();
        assert!(error.to_string().contains("refused"), "the proxy refuses, nothing else could: {error}");
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_may_come_whole_later() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            for reset in [false, true] {
                let (mut stream, _) = listener.accept().await.unwrap();
                assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await.unwrap();
                if reset {
                    stream.set_zero_linger().unwrap();
                }
            }
        });
        let client = client().unwrap();
        for _ in 0..2 {
            let broken = json::<u32>(client.get(&url)).await.unwrap_err();
            assert!(broken.is_transient(), "{broken:?}");
        }
    }

    #[tokio::test]
    async fn other_answers_are_errors_that_say_what_came() {
        let (client, url) = (client().unwrap(), serve().await);
        let moved = send(client.get(format!("{url}/moved"))).await.unwrap_err();
        assert_eq!(moved.to_string(), "answered 307: use https://foreman.example/ instead");
        let missing = send(client.get(format!("{url}/nothing"))).await.unwrap_err();
        assert_eq!((missing.status(), missing.is_transient()), (Some(404), false));
        let odd = json::<String>(client.get(format!("{url}/number"))).await.unwrap_err();
        assert!(matches!(odd, RequestError::Malformed { .. }), "{odd}");
        let invalid = send(client.get("not an address")).await.unwrap_err();
        assert!(matches!(invalid, RequestError::Invalid { .. }), "{invalid}");
    }
}
