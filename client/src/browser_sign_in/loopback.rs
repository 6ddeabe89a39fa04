//! A port of this machine that a browser comes back to (RFC 8252, section 7.3). It is open while a sign-in waits, only
//! on this machine's own address, and hears nothing but that one return.

use std::{convert::Infallible, io, net::Ipv4Addr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use reqwest::Url;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::OnceCell,
    task::JoinSet,
};

use super::{BROWSER_LIMIT, BrowserSignIn, Returned};
use crate::SignInError;

const PATH: &str = "/signed-in";
/// A browser opens a few; more than these wait.
const MOST_CONNECTIONS: usize = 16;
/// How long one of them may take to say what it wants.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// A port that waits for one browser.
pub struct LoopbackReturn {
    listener: TcpListener,
    /// With its port, as a `Host` header has it.
    host: String,
    address: String,
}

impl LoopbackReturn {
    /// Opens a free port.
    ///
    /// # Errors
    /// When the system gives none.
    pub async fn open() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let host = listener.local_addr()?.to_string();
        Ok(Self { address: format!("http://{host}{PATH}"), host, listener })
    }

    /// Where the browser comes back to.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Waits for the return of this attempt. Whatever else comes is told that it is not waited for.
    ///
    /// # Errors
    /// [`SignInError::Expired`] after [`BROWSER_LIMIT`].
    pub async fn wait(self, attempt: &BrowserSignIn) -> Result<Returned, SignInError> {
        let expected = Arc::new(Expected { host: self.host, state: attempt.state().to_owned() });
        let mut open = JoinSet::new();
        let waiting = async {
            loop {
                tokio::select! {
                    came = self.listener.accept(), if open.len() < MOST_CONNECTIONS => match came {
                        Ok((stream, _)) => drop(open.spawn(answer(stream, expected.clone()))),
                        // The system has no room for a moment.
                        Err(_) => tokio::time::sleep(PAUSE).await,
                    },
                    Some(ended) = open.join_next() => {
                        if let Ok(Some(returned)) = ended {
                            return returned;
                        }
                    }
                }
            }
        };
        tokio::time::timeout(BROWSER_LIMIT, waiting).await.map_err(|_| SignInError::Expired)
    }
}

struct Expected {
    host: String,
    state: String,
}

/// One connection; what came back, once the browser has its page.
async fn answer(stream: TcpStream, expected: Arc<Expected>) -> Option<Returned> {
    let found = Arc::new(OnceCell::new());
    let service = service_fn(|request: Request<Incoming>| {
        let returned = expected.read(&request);
        let response = page(returned.as_ref());
        if let Some(returned) = returned {
            let _ = found.set(returned);
        }
        async { Ok::<_, Infallible>(response) }
    });
    let mut connection = hyper::server::conn::http1::Builder::new();
    connection.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT).keep_alive(false);
    // A browser that goes away in the middle said what it had to say, or nothing.
    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
    found.get().cloned()
}

impl Expected {
    /// The name is looked at too: a page elsewhere can point its own name at this machine.
    fn read(&self, request: &Request<Incoming>) -> Option<Returned> {
        let named = request.headers().get(HOST).is_some_and(|host| host.as_bytes() == self.host.as_bytes());
        if request.method() != Method::GET || !named || request.uri().path() != PATH {
            return None;
        }
        let url = Url::parse(&format!("http://{}{}", self.host, request.uri())).ok()?;
        Returned::strictly_of(&url).ok().filter(|returned| returned.state() == self.state)
    }
}

/// What the person sees where the browser ends. Nothing is loaded by it and nothing runs in it.
fn page(returned: Option<&Returned>) -> Response<Full<Bytes>> {
    let (status, title, text) = match returned {
        None => {
            (StatusCode::NOT_FOUND, "Nothing waits for this", "Begin the sign-in again where you want it.")
        }
        Some(returned) if returned.is_allowed() => {
            (StatusCode::OK, "Go back to your terminal", "It has what it needs. You can close this page.")
        }
        Some(_) => (StatusCode::OK, "Not signed in", "Your terminal was told. You can close this page."),
    };
    let html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{title} · Foreman</title><style>:root{{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}}\
         body{{display:grid;place-content:center;min-height:90vh;margin:0 1.5rem}}h1{{font-size:1.4rem;margin:0}}</style>\
         <main><h1>{title}</h1><p>{text}</p></main>"
    );
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    ];
    let mut response = Response::new(Full::from(html));
    *response.status_mut() = status;
    for (name, value) in headers {
        response.headers_mut().insert(name, hyper::header::HeaderValue::from_static(value));
    }
    response
}
